"""Settings that are lists."""


def parts(text: str) -> tuple[str, ...]:
    """Returns the parts between commas, trimmed, without those that are empty."""
    return tuple(part.strip() for part in text.split(",") if part.strip())
