"""Words that tables and the page share."""

from __future__ import annotations

from collections.abc import Iterable


def listed(names: Iterable[str]) -> str:
    """ "a, b and c" """
    *first, last = list(names)
    return f"{', '.join(first)} and {last}" if first else last


def count(number: int, what: str) -> str:
    """ "1 clip", "2 clips" """
    return f"{number} {what}{'' if number == 1 else 's'}"
