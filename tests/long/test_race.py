"""Some thousand calls of what tests/long/race.py does a million times."""

from __future__ import annotations

import time
from typing import Any

import pytest
import race

from denoise_wrapper import Stream
from denoise_wrapper.stream import stream as stream_module

pytestmark = pytest.mark.fault


def test_two_threads_on_one_stream_get_right_samples_or_an_error() -> None:
    said: list[str] = []
    assert race.run(18_000, said.append) == []
    assert " 0 refused" not in said[0]


def test_what_two_threads_would_do_to_a_stream_without_turns_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """One whose lanes, which notice a second thread by themselves, are a delay of one chunk that notices nothing."""
    late: dict[int, Any] = {}

    def delay(stream: Stream, samples: Any, number: int, out: Any, out_number: int) -> None:
        before = late.get(id(stream), 0.0)
        time.sleep(1e-4)  # the other thread has its chance
        out[...], late[id(stream)] = before, samples.copy()

    monkeypatch.setattr(Stream, "_run", delay)
    assert [side.wrong for side in race.run_pair("process", "process", 100)] == [[], []]
    late.clear()
    monkeypatch.setattr(stream_module, "get_ident", lambda: 0)  # so each thread takes the turn of the other for its own
    assert any(side.wrong for side in race.run_pair("process", "process", 100))
