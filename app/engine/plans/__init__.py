"""Plans: operations that are compiled once. `plan.py` explains them."""
