"""Level of the speech before and after: what it is of signals of which it is known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from denoise_wrapper.files.levels import Meter, speech_levels

RATE = 16000


def bursts(level: float, seconds: float = 8.0) -> NDArray[np.float32]:
    """A signal that is loud a quarter of the time, as a square wave of that level, and else silent."""
    count = round(seconds * RATE)
    loud = np.arange(count) // (RATE // 2) % 4 == 0
    return (level * loud * np.where(np.arange(count) // 20 % 2, 1, -1)).astype(np.float32)


def meter(samples: NDArray[np.float32], block: int = RATE) -> Meter:
    made = Meter()
    blocks = (samples[at : at + block].reshape(-1, 1) for at in range(0, len(samples), block))
    passed = np.concatenate(list(made.through(blocks, RATE)))
    np.testing.assert_array_equal(passed[:, 0], samples)
    return made


@pytest.mark.parametrize("gain_db", [-6.0, 0.0, 3.0])
def test_speech_that_is_made_louder_is_reported_as_that_much_louder(gain_db: float) -> None:
    before, after = bursts(0.1), bursts(0.1 * 10 ** (gain_db / 20))
    levels = speech_levels(meter(before), meter(after))
    assert levels is not None
    assert levels == pytest.approx((-20.0, -20.0 + gain_db), abs=0.01)


def test_noise_that_is_taken_away_does_not_count_as_speech() -> None:
    noise = 0.05 * np.random.default_rng(1).standard_normal(len(bursts(0.1))).astype(np.float32)
    levels = speech_levels(meter(bursts(0.1) + noise), meter(bursts(0.1)))
    assert levels == pytest.approx((-20.0, -20.0), abs=0.3)


@pytest.mark.parametrize("block", [1, 799, 800, 801, 16000])
def test_levels_do_not_depend_on_blocks(block: int) -> None:
    samples = bursts(0.1, 1.0)
    np.testing.assert_allclose(meter(samples, block).powers, meter(samples).powers, rtol=1e-6)


@pytest.mark.parametrize("samples", [np.zeros(RATE, np.float32), bursts(0.1, 0.2), np.full(RATE, 0.5, np.float32)])
def test_of_silence_of_little_and_of_what_never_changes_nothing_is_said(samples: NDArray[np.float32]) -> None:
    assert speech_levels(meter(samples), meter(samples)) is None
