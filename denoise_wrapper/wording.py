"""Lists and counts as sentences have them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

SHOWN = 5  # names of a list that stand for all of it


def listed(names: Iterable[str]) -> str:
    """Join names as in "a, b and c"."""
    *first, last = list(names)
    return f"{', '.join(first)} and {last}" if first else last


def few(names: Sequence[object], most: int = SHOWN) -> str:
    """Join the first names and count the rest, as in "a, b and 3 more"."""
    shown = ", ".join(str(name) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def duration(seconds: float) -> str:
    """Write a time as people do: "14 µs", "240 ms", "6.2 s", "2 min 5 s", "1 h 2 min"."""
    if seconds < 0.9995e-3:
        return f"{1e6 * seconds:.0f} µs"
    if seconds < 0.9995:
        return f"{1e3 * seconds:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes_left = divmod(round(seconds / 60), 60)
    return f"{minutes} min {rest} s" if seconds < 3599.5 else f"{hours} h {minutes_left} min"


def count(number: int, what: str) -> str:
    """Number and noun, "1 clip" or "2 clips"."""
    return f"{number} {what}{'' if number == 1 else 's'}"
