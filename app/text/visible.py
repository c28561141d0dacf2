"""Makes untrusted text safe to show on a terminal and in a log.

Control characters move the cursor, clear the screen, or change the direction of text (Unicode TR36,
"bidirectional text spoofing"). They are written as JSON escapes: in a JSON document an escape means
the character that it replaces.
"""

NEWLINE = 0x0A
C0 = range(0x20)
DEL_AND_C1 = range(0x7F, 0xA0)
# Line and paragraph separators, and characters that embed, override or isolate a direction.
SEPARATORS_AND_DIRECTIONS = range(0x2028, 0x202F)
ISOLATES = range(0x2066, 0x206A)
DIRECTION_MARKS = (0x061C, 0x200E, 0x200F)

SHORT_ESCAPES = {0x09: "\\t", NEWLINE: "\\n", 0x0D: "\\r"}
CONTROL = (*C0, *DEL_AND_C1, *SEPARATORS_AND_DIRECTIONS, *ISOLATES, *DIRECTION_MARKS)
ALL_ESCAPES = {each: SHORT_ESCAPES.get(each, f"\\u{each:04x}") for each in CONTROL}
ESCAPES_EXCEPT_NEWLINE = {each: escape for each, escape in ALL_ESCAPES.items() if each != NEWLINE}


def visible(text: str) -> str:
    """Returns the text with escapes for control characters other than newlines."""
    return text.translate(ESCAPES_EXCEPT_NEWLINE)


def one_line(value: str) -> str:
    """Returns the value with escapes for control characters, newlines included."""
    return value.translate(ALL_ESCAPES)
