"""Verification of the audit, one file for each thing that is checked."""
