"""Sessions: sign-in, refresh, sign-out, and the viewer of an access token."""
