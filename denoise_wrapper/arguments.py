"""Arguments as callers give them: whole and real numbers of every type, their looks in a message, and warnings."""

from __future__ import annotations

import operator
import sys
import warnings
from numbers import Real
from pathlib import Path
from typing import Any

_PACKAGE = str(Path(__file__).parent)

_MOST = 80  # characters of an argument in a message


def whole(value: object) -> int | None:
    """Return a whole number of any type, such as NumPy's, as an int; None for what is none, and for truth values."""
    if isinstance(value, bool) or type(value).__name__ in ("bool_", "bool"):  # NumPy's, which is not imported for this
        return None
    number: Any = value
    try:
        return operator.index(number)
    except TypeError:
        return None


def real(value: object) -> float | None:
    """Return a real number of any type as a float; None for what is none, is too large for a float, or is true or
    false.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def shown(value: object) -> str:
    """Return an argument as a message shows it: as Python writes it, but never longer than a line."""
    try:
        text = repr(value)
    except Exception:  # a number of too many digits; a class that cannot be shown
        return f"this {type(value).__name__}"
    return text if len(text) <= _MOST else f"{text[: _MOST - 4]} ..."


def warn_caller(message: str) -> None:
    """Warn by a UserWarning at the line, outside this package, that called it."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, UserWarning, stacklevel=level)
