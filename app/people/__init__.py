"""Administration: pages of users, changes to accounts of others, import and export."""
