"""Accounts: registration, verification, passwords, profile, deletion."""
