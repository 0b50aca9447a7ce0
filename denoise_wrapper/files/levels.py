"""Level of the speech in a file before and after, measured block by block while it is cleaned."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from denoise_wrapper.audio import Array, to_float

STEP_S = 0.05  # over which powers are taken: about as long as a sound of speech
SHARE = 20.0  # percent of the steps that are taken for speech, the loudest, and for pauses, the quietest
_FEW = 1024  # steps for which there is room from the beginning
LEAST = 10  # steps without which there is no telling
STANDS_OUT = 2.0  # times the power of pauses that speech has at least
SILENT = 1e-10  # power of what counts as silence, -100 dBFS


class Meter:
    """Powers of the blocks that go through, one each 50 ms, all channels together."""

    def __init__(self) -> None:
        self._powers = np.zeros(_FEW, np.float32)  # as far as count; in one piece, that a long file stays small
        self._count = 0
        self._rest = np.zeros(0, np.float32)

    def through(self, blocks: Iterable[Array], rate: int) -> Iterator[Array]:
        """Pass the blocks on as they are, and measure them. rate: Hz."""
        step = max(1, round(rate * STEP_S))
        for block in blocks:
            samples = to_float(block, "zero")
            powers = np.einsum("ij,ij->i", samples, samples)
            powers *= np.float32(1.0 / max(1, samples.shape[1]))
            powers = np.concatenate([self._rest, powers])
            whole = len(powers) // step * step
            self._append(powers[:whole].reshape(-1, step).mean(axis=1))
            self._rest = powers[whole:]
            yield block

    @property
    def powers(self) -> NDArray[np.float32]:
        """Mean power of each whole step: float32 (steps,), full scale 1."""
        return self._powers[: self._count].copy()

    def _append(self, powers: NDArray[np.float32]) -> None:
        end = self._count + len(powers)
        if end > len(self._powers):
            self._powers = np.concatenate([self._powers[: self._count], np.zeros(end, np.float32)])
        self._powers[self._count : end] = powers
        self._count = end


def speech_levels(before: Meter, after: Meter) -> tuple[float, float] | None:
    """Estimate the level of the speech before and after, in dBFS; a square wave of full scale has 0.

    Speech is taken to be in the loudest fifth of the cleaned steps, or of each if a gate made one shorter, and the
    power of the quietest fifth, which is noise, is taken off. None if that tells nothing: too short, too even, silent.
    """
    powers = [before.powers, after.powers]
    choice = [powers[1] if len(powers[0]) == len(powers[1]) else each for each in powers]
    levels = []
    for each, by in zip(powers, choice, strict=True):
        if len(each) < LEAST:
            return None
        quiet, loud = np.percentile(by, [SHARE, 100.0 - SHARE])
        speech, pauses = float(each[by >= loud].mean()), float(each[by <= quiet].mean())
        if speech < STANDS_OUT * pauses or speech - pauses < SILENT:
            return None
        levels.append(10.0 * math.log10(speech - pauses))
    return levels[0], levels[1]
