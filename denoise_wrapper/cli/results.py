"""Lines about files that were cleaned: for people, and as JSON for programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from denoise_wrapper.cli.progress import speed_line

if TYPE_CHECKING:
    from denoise_wrapper.files.batch import FileResult


def result_line(result: FileResult) -> str:
    """Say what became of a file: how fast it went, and the level of the speech before and after."""
    line = speed_line(f"{result.source} -> {result.target}", result.seconds, result.took, result.kept)
    if result.speech_db is None:
        return line
    before, after = result.speech_db
    return f"{line}; speech {before:.1f} -> {after:.1f} dBFS"


def result_json(result: FileResult) -> str:
    """Put what became of a file into one line of JSON.

    Keys: source, target (null if it failed), error (null if it did not), seconds of audio, kept (of the result),
    took (seconds by the clock), speed (times real time), speech_before_db and speech_after_db (dBFS; null if there is
    no telling).
    """
    before, after = result.speech_db or (None, None)
    content: dict[str, Any] = {
        "source": str(result.source),
        "target": None if result.target is None else str(result.target),
        "error": None if result.error is None else str(result.error),
        "seconds": round(result.seconds, 6),
        "kept": round(result.kept, 6),
        "took": round(result.took, 6),
        "speed": round(result.seconds / result.took, 1) if result.took and result.error is None else None,
        "speech_before_db": None if before is None else round(before, 2),
        "speech_after_db": None if after is None else round(after, 2),
    }
    return json.dumps(content)
