"""People as other systems export them: how their files are read, and what of a record is taken."""
