"""Emails: their texts, the links in them, and the mail server."""
