"""Administration: pages of users, changes to other people's accounts, import and export."""
