"""The highest estimate of the guesses that a password takes."""

# For every password that is neither one pattern nor two in a row zxcvbn estimates more, so only
# those two cases are searched for.
MAX_GUESSES = 10**8
