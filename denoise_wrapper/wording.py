"""Lists and counts as sentences have them."""

from __future__ import annotations

import re
import unicodedata
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


# What moves the cursor, colours or clears a terminal, breaks a line or turns the reading direction: controls, line and
# paragraph separators, marks of direction; and what is no text at all: bytes of a name that are not UTF-8.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(name: object, keep: str = "") -> str:
    """A name, or text with names in it, such that nothing in it acts: escape bytes, line ends and marks of direction
    become "\\x1b" and the like, and bytes that are no UTF-8 "\\udce9", as Python shows them.

    keep: characters that stay as they are, such as the line ends of a table.
    """
    return _UNSEEN.sub(lambda match: match[0] if match[0] in keep else _escaped(ord(match[0])), str(name))


def _escaped(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


ISOLATE, END_ISOLATE = "\u2068", "\u2069"


def isolated(name: str) -> str:
    """A name as text of another direction may hold it: visible, and isolated if it is written from right to left."""
    name = visible(name)
    turns = any(unicodedata.bidirectional(char) in ("R", "AL", "AN") for char in name)
    return f"{ISOLATE}{name}{END_ISOLATE}" if turns else name
