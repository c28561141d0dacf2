"""Emails: templates, one-time tokens in links, the queue, and the mail server."""
