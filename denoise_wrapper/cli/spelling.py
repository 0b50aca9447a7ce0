"""Old spellings of commands, put into the words of today."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def modern(argv: Sequence[str]) -> tuple[list[str], str | None]:
    """Rewrite a command of an older spelling. Returns its words of today, and a hint: None if nothing was old."""
    words = list(argv)
    match words:
        case ["model", "list", *rest]:
            return ["models", *rest], _hint("model list", "models")
        case ["model", "info" | "wheel" as job, *rest]:
            return ["models", job, *rest], _hint(f"model {job}", f"models {job}")
        case ["model" | "models" as verb, "convert", *rest]:
            names = [word for word in rest if not word.startswith("-")]
            options = [word for word in rest if word.startswith("-")]
            target = ["-o", names[-1]] if len(names) > 1 else []
            return ["convert", *names[: -1 if target else None], *target, *options], _hint(
                f"{verb} convert MODEL OUT", "convert MODEL -o OUT"
            )
        case ["model", *rest]:
            return ["models", *rest], _hint("model", "models")
        case ["convert", "dtln", *rest] if not Path("dtln").exists():
            return ["convert", *rest], _hint("convert dtln", "convert")
        case ["evaluate", *rest] if any(word.partition("=")[0] == "--out" for word in rest):
            return ["evaluate", *map(_output, rest)], _hint("--out", "-o")
    return words, None


def _output(word: str) -> str:
    return word.replace("--out", "--output", 1) if word.partition("=")[0] == "--out" else word


def _hint(old: str, new: str) -> str:
    return f"'{old}' is now '{new}'"
