"""`portico doctor`: checks of a set-up that only read, and what each of them found."""
