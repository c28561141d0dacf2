"""Settings that are lists."""


def parts(text: str) -> tuple[str, ...]:
    """Returns the parts between commas, trimmed, without empty ones."""
    return tuple(part.strip() for part in text.split(",") if part.strip())
