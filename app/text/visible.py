"""Text from anywhere, made safe to show on a terminal and in a log.

Control characters move the cursor, clear what was shown, or turn the direction of writing (Unicode
TR36, "bidirectional text spoofing"). They are shown as escapes, in the form that JSON has for them:
in a JSON document each stands for what it replaces.
"""

NEWLINE = 0x0A
C0 = range(0x20)
DEL_AND_C1 = range(0x7F, 0xA0)
# Separators of lines and paragraphs, and what embeds, overrides or isolates a direction.
SEPARATORS_AND_DIRECTIONS = range(0x2028, 0x202F)
ISOLATES = range(0x2066, 0x206A)
MARKS = (0x061C, 0x200E, 0x200F)

SHORT = {0x09: "\\t", NEWLINE: "\\n", 0x0D: "\\r"}
CONTROL = (*C0, *DEL_AND_C1, *SEPARATORS_AND_DIRECTIONS, *ISOLATES, *MARKS)
IN_ONE_LINE = {each: SHORT.get(each, f"\\u{each:04x}") for each in CONTROL}
IN_LINES = {each: escape for each, escape in IN_ONE_LINE.items() if each != NEWLINE}


def visible(text: str) -> str:
    """Returns the text with escapes for control characters, its lines as they are."""
    return text.translate(IN_LINES)


def one_line(value: str) -> str:
    """Returns a value with escapes for control characters, newlines included: to put in a line."""
    return value.translate(IN_ONE_LINE)
