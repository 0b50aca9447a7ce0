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


def count(number: int, what: str) -> str:
    """Number and noun, "1 clip" or "2 clips"."""
    return f"{number} {what}{'' if number == 1 else 's'}"
