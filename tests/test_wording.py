"""Words for numbers, as people write them."""

from __future__ import annotations

import pytest

from denoise_wrapper.wording import count, duration


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, "0 µs"),
        (13.6e-6, "14 µs"),
        (0.99949e-3, "999 µs"),
        (0.9996e-3, "1 ms"),
        (0.24, "240 ms"),
        (0.9996, "1.0 s"),
        (6.24, "6.2 s"),
        (59.96, "1 min 0 s"),
        (125.4, "2 min 5 s"),
        (3599.4, "59 min 59 s"),
        (3599.6, "1 h 0 min"),
        (3725.0, "1 h 2 min"),
        (90000.0, "25 h 0 min"),
    ],
)
def test_times_have_the_unit_that_people_use(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_one_of_a_thing_has_no_plural() -> None:
    assert (count(1, "file"), count(2, "file"), count(0, "file")) == ("1 file", "2 files", "0 files")
