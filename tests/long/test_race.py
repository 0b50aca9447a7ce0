"""Some thousand calls of what tests/long/race.py does a million times."""

from __future__ import annotations

import pytest
import race

from denoise_wrapper.stream import stream as stream_module
from denoise_wrapper.stream import together

pytestmark = pytest.mark.fault


def test_two_threads_on_one_stream_get_right_samples_or_an_error() -> None:
    said: list[str] = []
    assert race.run(18_000, said.append) == []
    assert " 0 refused" not in said[0]


def test_what_two_threads_would_do_to_a_stream_without_turns_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (stream_module, together):
        monkeypatch.setattr(module, "alone", lambda turns, act, *args, **names: act(*args, **names))
    assert race.run(9_000, lambda line: None) != []
