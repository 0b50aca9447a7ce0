"""Stretches of a recording in which somebody speaks, by the probabilities of a backend, and the forms they are kept in.

from denoise_wrapper import Denoiser
from denoise_wrapper.segments import find_segments

times, voice = Denoiser().speech_probability(audio, 48000)
for segment in find_segments(voice, times[1]):
    print(segment.start, segment.end)
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from denoise_wrapper.denoiser import Denoiser
from denoise_wrapper.errors import ConfigError
from denoise_wrapper.filing import BLOCK_S

THRESHOLD, HYSTERESIS = 0.5, 0.15
MIN_SPEECH_S, MIN_PAUSE_S, PAD_S = 0.1, 0.3, 0.05


@dataclass(frozen=True)
class Segment:
    """Stretch of speech. start, end: seconds. probability: mean of what the backend says of it, 0 to 1."""

    start: float
    end: float
    probability: float


def find_segments(
    voice: ArrayLike,
    hop_s: float,
    *,
    threshold: float = THRESHOLD,
    hysteresis: float = HYSTERESIS,
    min_speech_s: float = MIN_SPEECH_S,
    min_pause_s: float = MIN_PAUSE_S,
    pad_s: float = PAD_S,
) -> list[Segment]:
    """Find where there is speech.

    voice: probabilities of speech, 0 to 1, (hops,), or (hops, channels), of which the highest counts. hop_s: seconds of
    a hop.
    threshold: 0 to 1, from which speech begins; hysteresis: it ends where the probability is lower than the threshold
    by that much. min_pause_s: shorter pauses are bridged. min_speech_s: what is shorter after that is left out. pad_s:
    what is added before and after, as far as there is room.
    Returns segments in their order, none of which touch. Raises ConfigError for a setting out of range.
    """
    for name, value, most in (
        ("threshold", threshold, 1.0), ("hysteresis", hysteresis, threshold), ("min_speech_s", min_speech_s, np.inf),
        ("min_pause_s", min_pause_s, np.inf), ("pad_s", pad_s, np.inf),
    ):  # fmt: skip
        if not 0.0 <= value <= most:
            raise ConfigError(f"{name} is 0 {'or more' if most == np.inf else f'to {most:g}'}, not {value!r}")
    if not hop_s > 0.0:
        raise ConfigError(f"hop_s is above 0, not {hop_s!r}")
    probability = np.asarray(voice, np.float64)
    probability = probability.max(axis=1) if probability.ndim == 2 else probability
    runs = _bridged(_runs(probability, threshold, threshold - hysteresis), min_pause_s / hop_s)
    runs = [(begin, end) for begin, end in runs if (end - begin) * hop_s >= min_speech_s - 1e-9]
    segments: list[Segment] = []
    for number, (begin, end) in enumerate(runs):
        before = segments[-1].end if segments else 0.0
        after = runs[number + 1][0] if number + 1 < len(runs) else len(probability)
        start_s = max(before, begin * hop_s - pad_s)
        end_s = end * hop_s + min(pad_s, (after - end) * hop_s / (2 if number + 1 < len(runs) else 1))
        segments.append(Segment(round(start_s, 6), round(end_s, 6), round(float(probability[begin:end].mean()), 4)))
    return segments


def file_segments(denoiser: Denoiser, path: str | os.PathLike[str], **settings: float) -> list[Segment]:
    """Find where there is speech in an audio file, block by block. settings: as `find_segments` takes them.

    Raises FileError if it cannot be read, ConfigError if the backend gives no probability of speech.
    """
    from denoise_wrapper.files.transform import open_source

    with contextlib.ExitStack() as stack:
        source = open_source(Path(path), stack)
        voice = denoiser._voice_of(source.blocks(source.rate * BLOCK_S), source.rate, source.channels)
    return find_segments(voice, denoiser.backend.hop / denoiser.backend.sample_rate, **settings)


def _runs(probability: NDArray[np.float64], begin: float, end: float) -> list[tuple[int, int]]:
    """Runs of hops from one that reaches begin to the one before that falls below end."""
    runs, start = [], -1
    for hop, value in enumerate(probability.tolist()):
        if start < 0 and value >= begin:
            start = hop
        elif start >= 0 and value < end:
            runs.append((start, hop))
            start = -1
    return [*runs, (start, len(probability))] if start >= 0 else runs


def _bridged(runs: Sequence[tuple[int, int]], pause: float) -> list[tuple[int, int]]:
    """Join runs with less than so many hops between them."""
    joined: list[tuple[int, int]] = []
    for begin, end in runs:
        if joined and begin - joined[-1][1] < pause:
            joined[-1] = joined[-1][0], end
        else:
            joined.append((begin, end))
    return joined


def _json(segments: Sequence[Segment], name: str) -> str:
    return json.dumps({"file": name, "segments": [asdict(segment) for segment in segments]}, indent=1) + "\n"


def _csv(segments: Sequence[Segment], name: str) -> str:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("start", "end", "probability"))
    rows.writerows((f"{each.start:.3f}", f"{each.end:.3f}", f"{each.probability:.4f}") for each in segments)
    return text.getvalue()


def _rttm(segments: Sequence[Segment], name: str) -> str:
    stem = "_".join(Path(name).stem.split()) or "file"
    return "".join(
        f"SPEAKER {stem} 1 {each.start:.3f} {each.end - each.start:.3f} <NA> <NA> speech <NA> <NA>\n"
        for each in segments
    )


def _srt(segments: Sequence[Segment], name: str) -> str:
    return "\n".join(
        f"{number}\n{_clock(each.start)} --> {_clock(each.end)}\nspeech\n" for number, each in enumerate(segments, 1)
    )


def _audacity(segments: Sequence[Segment], name: str) -> str:
    return "".join(f"{each.start:.6f}\t{each.end:.6f}\tspeech\n" for each in segments)


def _clock(seconds: float) -> str:
    """Hours, minutes, seconds and milliseconds as subtitles have them."""
    total, ms = divmod(round(1000 * seconds), 1000)
    return f"{total // 3600:02}:{total // 60 % 60:02}:{total % 60:02},{ms:03}"


FORMS: dict[str, Callable[[Sequence[Segment], str], str]] = {
    "json": _json, "csv": _csv, "rttm": _rttm, "srt": _srt, "audacity": _audacity,
}  # fmt: skip


def format_segments(segments: Sequence[Segment], form: str, name: str) -> str:
    """Format segments as text. form: a key of FORMS. name: of the file that they are of."""
    return FORMS[form](segments, name)
