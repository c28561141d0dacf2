"""Plans: queries that are compiled once. `plan.py` explains them."""
