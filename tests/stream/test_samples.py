"""The quick way of a live chunk gives what the plain way gives, bit for bit."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from fakes import FAKES, FakeBackend
from numpy.typing import NDArray

from denoise_wrapper import AudioError, Stream
from denoise_wrapper.audio import from_float, to_float
from denoise_wrapper.stream.samples import Fifo, Inlet, type_number
from denoise_wrapper.stream.settings import Settings

Array = NDArray[Any]
TYPES = (np.int16, np.int32, np.float32, np.float64)
CHANNELS = (1, 2, 3)


def samples(dtype: Any, frames: int = 961, channels: int = 1, most: float = 1.0) -> Array:
    rng = np.random.default_rng(channels)
    if np.dtype(dtype).kind == "f":
        return (most * rng.uniform(-1, 1, (frames, channels))).astype(dtype)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, (frames, channels), dtype, endpoint=True)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("channels", CHANNELS)
def test_samples_are_taken_as_numpy_scales_them(dtype: Any, channels: int) -> None:
    chunk = samples(dtype, channels=channels)
    number = type_number(chunk, channels)
    assert number is not None
    block = Inlet(channels).take(chunk, number)
    assert block is not None
    np.testing.assert_array_equal(block, to_float(chunk).T)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("channels", CHANNELS)
def test_a_queue_gives_samples_as_numpy_rounds_and_clips_them(dtype: Any, channels: int) -> None:
    like = samples(dtype, channels=channels)
    number = type_number(like, channels)
    assert number is not None
    edges = [0.5, 1.5, 2.5, -0.5, -1.5, 32766.5, 32767.4, 32767.5, 32768, -32768, -32768.5, -40000, 1e9, -1e30, 1e30]
    rows = samples(np.float32, channels=channels, most=1.5).T.copy()
    rows[:, : len(edges)] = np.array(edges, np.float32) / np.float32(32768)
    rows[:, len(edges) : 2 * len(edges)] = np.array(edges, np.float32) / np.float32(2**31)
    made = Fifo(channels, 0).swap(rows, number, like)
    with np.errstate(over="ignore"):
        wanted = from_float(rows.T.copy(), np.dtype(dtype))
    assert made.dtype == wanted.dtype
    np.testing.assert_array_equal(made, wanted)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1.1e5, -1.1e5])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("place", [0, 100, 959])
def test_a_bad_sample_is_found_wherever_it_is(bad: float, dtype: Any, place: int) -> None:
    for channels in CHANNELS:
        chunk = samples(dtype, 960, channels)
        chunk[place, channels - 1] = bad
        assert Inlet(channels).take(chunk, type_number(chunk, channels) or 0) is None


@pytest.mark.parametrize(
    "chunk",
    [
        b"12", [0.0], None, np.zeros(4, np.uint8), np.zeros(4, np.float16), np.zeros(4, ">f4"),
        np.zeros(8, np.int16)[::2], np.zeros((2, 4), np.int16), np.zeros((4, 1, 1), np.int16), np.zeros((), np.int16),
        np.frombuffer(bytes(9), np.int16, 4, 1),
    ],
)  # fmt: skip
def test_what_does_not_lie_as_in_c_has_no_quick_way(chunk: Any) -> None:
    assert type_number(chunk, 1) is None


@pytest.mark.parametrize("backend", FAKES, ids=lambda backend: backend.name)
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("channels", CHANNELS)
def test_a_stream_in_whole_hops_is_the_stream_in_pieces(backend: FakeBackend, dtype: Any, channels: int) -> None:
    """Whole hops take the quick way as soon as nothing is cut off, and pieces of hops never do."""
    signal = samples(dtype, 40 * backend.hop, channels, 0.3)
    whole, pieces = Stream(backend, channels=channels), Stream(backend, channels=channels)
    at = 0
    for hops in (1, 5, 1, 1, 2, 7, 1, 3, 1, 8, 10):
        chunk = signal[at * backend.hop : (at + hops) * backend.hop]
        made = whole.process(chunk)
        voice = whole.vad
        assert made.dtype == chunk.dtype
        cut = [chunk[:1], chunk[1 : backend.hop - 1], chunk[backend.hop - 1 :]]
        np.testing.assert_array_equal(np.concatenate([pieces.process(piece) for piece in cut]), made)
        np.testing.assert_array_equal(pieces.vad[-1:], voice[-1:])
        at += hops
        if at == 9:
            whole = pickle.loads(pickle.dumps(whole))
        if at == 17:
            whole = copy.deepcopy(whole)
    np.testing.assert_array_equal(pieces.flush(), whole.flush())


@pytest.mark.parametrize("settings", [Settings(mix=0.5), Settings(vad_threshold=0.5), Settings(atten_lim_db=6)])
def test_settings_hold_on_the_quick_way_too(settings: Settings) -> None:
    signal = samples(np.float32, 9600, most=0.2)[:, 0]
    whole, pieces = (Stream(FAKES[0], settings=settings) for _ in range(2))
    made = np.concatenate([whole.process(signal[at : at + 480]) for at in range(0, 9600, 480)])
    wanted = np.concatenate([pieces.process(signal[at : at + 320]) for at in range(0, 9600, 320)])
    np.testing.assert_array_equal(made, wanted)


def test_a_bad_chunk_on_the_quick_way_is_told_with_its_place_or_mended() -> None:
    chunk = samples(np.float32, 480, 2)
    stream, mending = Stream(FAKES[0], channels=2), Stream(FAKES[0], channels=2, settings=Settings(non_finite="zero"))
    for each in (stream, mending):
        for _ in range(5):
            each.process(chunk)
    twins = copy.deepcopy(stream), copy.deepcopy(mending)
    broken, mended = chunk.copy(), chunk.copy()
    broken[7, 1], mended[7, 1] = np.nan, 0
    with pytest.raises(AudioError, match="frame 2407, channel 1"):
        stream.process(broken)
    np.testing.assert_array_equal(stream.process(chunk), twins[0].process(chunk))
    np.testing.assert_array_equal(mending.process(broken), twins[1].process(mended))
