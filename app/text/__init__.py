"""Pure functions on text: email addresses, lines, durations, escapes for terminals."""
