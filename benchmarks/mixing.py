"""Mixing of training clips, by the rate and the length of a clip."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.options import Options
from benchmarks.results import Cell, Table
from benchmarks.signals import as_int16, clip
from benchmarks.timing import processor_s, take_turns

if TYPE_CHECKING:
    from denoise_wrapper.training.mix.mixing import Mixer

RATES = (16000, 48000)  # Hz
LENGTHS = (2.0, 10.0)  # seconds of a clip
SECONDS = 60  # of a voice or a noise
SOURCES, WORDS = 8, 40  # voices, and as many noises; recordings of each voice


def mixing(options: Options) -> Iterator[Table]:
    minutes = 4.0 * options.effort.seconds / 60.0  # of clips a round
    with tempfile.TemporaryDirectory() as folder:
        actions, counts = {}, {}
        for rate in RATES:
            for length in LENGTHS:
                name = f"{rate // 1000} kHz, {length:g} s"
                counts[name] = max(2, round(60.0 * minutes / length))
                mixer = make_mixer(Path(folder), rate, length)
                actions[name] = functools.partial(seconds_for, mixer, counts[name])
        times = take_turns(actions, options.effort.rounds)
    rows: list[list[Cell]] = []
    for (name, clock), length in zip(times.items(), LENGTHS * len(RATES), strict=True):
        pace = counts[name] / clock.best
        rows.append([name, 1e3 / pace, pace, pace * length])
    yield Table(
        "mixing",
        "Mixing of training clips on one core",
        ["clips", "ms of the processor", "clips a second", "x real time"],
        rows,
        f"The settings of [mix] as they are by default; {SOURCES} made-up voices of {WORDS} words and as many noises.",
        {f"mixing {row[0]}": times[str(row[0])].best / counts[str(row[0])] for row in rows},
    )


def seconds_for(mixer: Mixer, count: int) -> float:
    """Seconds of the processor for the first count clips."""

    def run() -> None:
        for index in range(count):
            mixer.clip(index)

    return processor_s(run)


def make_mixer(folder: Path, rate: int, clip_s: float) -> Mixer:
    """A mixer of made-up audio, which is written to a file in folder and mapped from there, as decoded audio is."""
    from denoise_wrapper.training.config import MixConfig  # needs what training needs
    from denoise_wrapper.training.data.corpus import Corpus, Recording, Source
    from denoise_wrapper.training.data.decoding import Samples
    from denoise_wrapper.training.mix.mixing import Mixer

    path = folder / f"{rate}.i16"
    if not path.exists():
        path.write_bytes(as_int16(clip(SECONDS, rate)).tobytes())
    samples = Samples(path)
    word = SECONDS * rate // WORDS
    words = tuple(Recording(samples, number * word, word, rate / 2) for number in range(WORDS))
    whole = (Recording(samples, 0, SECONDS * rate, rate / 2),)
    voices, noises = (
        tuple(Source(f"{kind} {number}", recordings) for number in range(SOURCES))
        for kind, recordings in (("voice", words), ("noise", whole))
    )
    response = np.exp(-np.arange(rate // 4, dtype=np.float32) / (0.05 * rate))
    return Mixer(Corpus(rate, voices, noises, (response,)), MixConfig(clip_s=clip_s), 0)
