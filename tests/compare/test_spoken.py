"""Word errors: counted as an edit distance, compared clip by clip, by whatever recogniser there is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from require import require

from denoise_wrapper import ConfigError, DataError, Denoiser
from denoise_wrapper.compare.spoken import (
    WordErrors,
    count_errors,
    format_words,
    open_recogniser,
    split_words,
    word_errors,
)

RATE = 16000


@pytest.mark.parametrize(
    ("reference", "words", "errors"),
    [
        ("a b c", "a b c", 0),
        ("a b c", "a x c", 1),
        ("a b c", "a c", 1),
        ("a b c", "a b b c", 1),
        ("a b c", "", 3),
        ("a b", "c d e f g", 2),
        ("", "a", 0),
    ],
)
def test_errors_are_substitutions_deletions_and_insertions(reference: str, words: str, errors: int) -> None:
    assert count_errors(reference.split(), words.split()) == errors


def test_words_are_small_and_without_punctuation_in_any_script() -> None:
    assert split_words("Don't, STOP! _42_ Привет") == ["don't", "stop", "42", "привет"]


def loudness(audio: NDArray[np.float32]) -> Sequence[str]:
    """A recogniser that hears a word for each tenth of a second which is loud enough."""
    parts = np.abs(audio[: len(audio) // 1600 * 1600]).reshape(-1, 1600).max(axis=1)
    return ["word" if part > 0.05 else "hush" for part in parts]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    for side, level in (("clean", 0.001), ("noisy", 0.03)):
        (tmp_path / side).mkdir()
        for number in range(3):
            samples = level * rng.standard_normal(RATE)
            samples[:4000] += 0.5 * np.sin(np.arange(4000))
            soundfile.write(tmp_path / side / f"{number}.wav", samples, RATE)
    return tmp_path


def test_ways_are_counted_against_the_clean_clips(folder: Path) -> None:
    noisy, silent = word_errors(folder, {"noisy": None, "silent": Denoiser(mix=0.0)}, loudness)
    assert noisy.words.tolist() == [10, 10, 10]
    assert noisy.errors.tolist() == silent.errors.tolist() == [7, 7, 7]  # mix 0 passes everything
    assert noisy.percent == pytest.approx(70.0)
    table = format_words([noisy, silent], "set").splitlines()
    assert table[0] == "word errors on set: 3 clips, 30 words"
    assert "+0.0 [+0.0, +0.0] against noisy" in table[2]


def test_the_words_of_a_manifest_go_before_what_is_recognised(folder: Path) -> None:
    clips = [{"id": str(number), "words": "Word, word!"} for number in range(3)]
    (folder / "manifest.json").write_text(json.dumps({"clips": clips}))
    (noisy,) = word_errors(folder, {"noisy": None}, loudness)
    assert noisy.words.tolist() == [2, 2, 2]


def test_clean_clips_without_a_word_are_no_reference(folder: Path) -> None:
    with pytest.raises(DataError, match="nothing was recognised"):
        word_errors(folder, {"noisy": None}, lambda audio: [])


def test_an_interval_of_a_difference_is_narrower_than_that_of_what_both_find_hard() -> None:
    hard = np.array([0, 9] * 10)
    one, other = WordErrors("one", hard, np.full(20, 10)), WordErrors("other", hard + 1, np.full(20, 10))
    assert other.interval(one) == pytest.approx((10.0, 10.0))
    low, high = one.interval()
    assert low < one.percent < high


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    require("faster_whisper")
    with pytest.raises(ConfigError, match="is no folder of a faster-whisper model"):
        open_recogniser(tmp_path)
