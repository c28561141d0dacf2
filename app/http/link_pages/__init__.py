"""The pages that links in emails open while FRONTEND_URL is not set."""
