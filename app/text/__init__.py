"""Pure functions about texts: email addresses, lines, durations, what a terminal may show."""
