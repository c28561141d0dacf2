"""Human-readable sizes and durations."""

from datetime import timedelta

UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


def in_bytes(number: float) -> str:
    """Returns `1.5 GiB`."""
    for unit in UNITS[:-1]:
        if number < 1024:
            return f"{number:.{0 if unit == UNITS[0] else 1}f} {unit}"
        number /= 1024
    return f"{number:.1f} {UNITS[-1]}"


def in_largest_unit(time: timedelta) -> str:
    """Returns `3 days`, `2 hours`, `5 minutes` or `8 seconds`: the largest unit that fits."""
    for unit, length in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        number = int(time.total_seconds() // length)
        if number:
            return f"1 {unit}" if number == 1 else f"{number} {unit}s"
    return f"{max(0.0, time.total_seconds()):.0f} seconds"
