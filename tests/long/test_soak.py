"""Minutes of what tests/long/soak.py does for a day: audio of every kind through one stream."""

from __future__ import annotations

import numpy as np
import pytest
import soak
from every_backend import SHIPPED
from fakes import FakeBackend
from require import require

from denoise_wrapper import Stream
from denoise_wrapper.backends import load_backend


@pytest.mark.parametrize("rate", [None, 44100])
@pytest.mark.parametrize("name", SHIPPED)
def test_minutes_of_everything_leave_no_trace(name: str, rate: int | None) -> None:
    backend = load_backend(name)
    result = soak.soak(Stream(backend, rate), Stream(backend, rate), hours=2, minute_s=1)
    wrong = soak.faults(result, most_wander_db=3.0)  # hours so short are what a network remembers
    assert not wrong, wrong


def test_a_fault_is_seen() -> None:
    stream = Stream(FakeBackend("one", memory=0.9))
    result = soak.soak(stream, Stream(FakeBackend("other", gain=0.5)), hours=2, minute_s=1)
    assert soak.faults(result) == ["a stream that was reset is not like a fresh one"]
    result.memory, result.power, result.all_finite, result.mode_kept = [0, 1 << 30], [1.0, 1.0, 2.0], False, False
    assert len(soak.faults(result)) == 5


def test_the_mode_of_floats_is_seen_to_change() -> None:
    """Needs a mode that can be changed from here: glibc on x86-64."""
    ctypes = require("ctypes")
    before = soak.float_mode()
    if before == int(before & 1):
        pytest.skip("nothing tells the mode here")
    library, environment = ctypes.CDLL("libm.so.6"), ctypes.create_string_buffer(64)
    library.fegetenv(environment)
    saved = environment.raw
    mode = int.from_bytes(saved[28:32], "little") | 1 << 15  # results too small become zero
    library.fesetenv(ctypes.create_string_buffer(saved[:28] + mode.to_bytes(4, "little") + saved[32:], 64))
    try:
        flushed = soak.float_mode()
        backend = load_backend("rnnoise")
        made = Stream(backend).process(np.full(48000, 1e-40, np.float32))
        after = soak.float_mode()
    finally:
        library.fesetenv(ctypes.create_string_buffer(saved, 64))
    assert flushed != before
    assert flushed == after
    assert np.isfinite(made).all()
    assert soak.float_mode() == before
