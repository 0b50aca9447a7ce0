"""The verdict in one line: who sounds best where, who keeps the speech closest, and when that means little."""

from __future__ import annotations

import math

import pytest
from comparisons import small_comparison

from denoise_wrapper.compare.headline import headline

NAN = math.nan
A, B = [3.0] * 6, [2.5, 2.5, 2.5, 2.5, 3.5, 3.5]
NOISY = [2.0] * 6


@pytest.mark.parametrize(
    ("values", "line"),
    [
        (
            {"noisy": {"OVRL": NOISY}, "a": {"OVRL": A, "ESTOI": NOISY}, "b": {"OVRL": B, "ESTOI": A}},
            "a sounds best on 4 of 6 clips; b keeps speech closest",
        ),
        ({"noisy": {"PESQ": NOISY}, "a": {"PESQ": A}, "b": {"PESQ": B}}, "a sounds best on 4 of 6 clips"),
        ({"noisy": {"OVRL": [9.0] * 6}, "a": {"OVRL": A}}, "the noisy clip sounds best on 6 of 6 clips"),
        (
            {"noisy": {"OVRL": NOISY}, "a": {"OVRL": [3.0, 2.0] * 3}, "b": {"OVRL": [2.1, 3.0] * 3}},
            "a and b each sound best on 3 of 6 clips",
        ),
        (
            {"noisy": {"SPEECH": [0.0] * 6}, "a": {"SPEECH": [-3.0] * 6}, "b": {"SPEECH": [1.0] * 6}},
            "b keeps the level of speech closest",
        ),
        (
            {"noisy": {"OVRL": NOISY}, "a": {"OVRL": [*A[:5], NAN]}, "b": {"OVRL": [NAN, *B[1:]]}},
            "a sounds best on 3 of 4 clips",
        ),
        ({"noisy": {"OVRL": [NAN] * 6}, "a": {"OVRL": [NAN] * 6}}, ""),
    ],
)
def test_the_line_says_who_is_best_where(values: dict[str, dict[str, list[float]]], line: str) -> None:
    assert headline(small_comparison(values)) == line


@pytest.mark.parametrize(("clips", "doubt"), [(1, "(1 clip: too few"), (4, "(4 clips: too few"), (5, "")])
def test_of_few_clips_it_says_so_once(clips: int, doubt: str) -> None:
    line = headline(small_comparison({"noisy": {"OVRL": [1.0] * clips}, "a": {"OVRL": [2.0] * clips}}))
    assert line.count("too few") == bool(doubt)
    assert doubt in line
