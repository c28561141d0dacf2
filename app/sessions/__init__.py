"""Sessions: sign-in, refresh, sign-out, and who is behind a token."""
