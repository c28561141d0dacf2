"""A module that erases by itself what it knows of a user."""
