"""Plans: queries compiled once with their document. `plan.py` explains it."""
