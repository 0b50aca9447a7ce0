"""The deck of `listen`: versions at the same instant, switched without a click."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from denoise_wrapper.live.deck import FADE_S, Deck
from denoise_wrapper.live.player import steer

RATE = 8000


def tone(level: float) -> NDArray[np.float32]:
    phase = np.arange(RATE) * 2 * np.pi * 100 / RATE
    return (level * np.sin(phase))[:, None].astype(np.float32)


def read_all(deck: Deck, size: int, switch_at: int = -1) -> NDArray[np.float32]:
    parts = []
    while not deck.done:
        if switch_at >= 0 and deck.position >= switch_at:
            deck.switch()
            switch_at = -1
        parts.append(deck.read(size))
    return np.concatenate(parts)[:RATE]


@pytest.mark.parametrize("size", [1, 37, 512, 10000])
def test_one_version_comes_as_it_is_and_ends(size: int) -> None:
    deck = Deck([tone(0.5), tone(0.1)], RATE)
    np.testing.assert_array_equal(read_all(deck, size), tone(0.5))
    assert not deck.read(10).any()


def test_a_switch_goes_over_in_20_ms_without_a_click_or_a_jump_in_time() -> None:
    out = read_all(Deck([tone(0.5), tone(0.1)], RATE), 80, switch_at=4000)
    fade = round(FADE_S * RATE)
    np.testing.assert_array_equal(out[:4000], tone(0.5)[:4000])
    np.testing.assert_allclose(out[4000 + fade :], tone(0.1)[4000 + fade :], atol=1e-6)
    steepest = np.abs(np.diff(tone(0.5)[:, 0])).max()
    assert np.abs(np.diff(out[:, 0])).max() <= steepest + 0.5 / fade


def test_keys_switch_seek_and_end() -> None:
    deck = Deck([tone(0.5), tone(0.1)], RATE)
    assert steer(deck, " ")
    assert deck.wanted == 1
    assert steer(deck, " ")
    assert deck.wanted == 0
    assert steer(deck, "f")
    assert deck.position == RATE  # the end, as 2 s are not there
    assert steer(deck, "b")
    assert deck.position == 0
    assert steer(deck, "")
    assert not steer(deck, "q")
