"""Chunks go through the engine's rows in and out as NumPy would scale, round and clip them, whatever way they lie."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fakes import FAKES, FakeBackend
from numpy.typing import NDArray

from denoise_wrapper import AudioError, Stream
from denoise_wrapper.audio import LOUDEST, NUMBERS, from_float, to_float
from denoise_wrapper.stream.lane import Lane, Lanes
from denoise_wrapper.stream.samples import plain
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


class Through(FakeBackend):
    """A backend that changes nothing, sample by sample."""

    def new_state(self, channels: int) -> Any:
        return self

    def process(self, block: Array, min_gain: float) -> tuple[Array, Array]:
        return block, np.zeros(block.shape, np.float32)


def passed(chunk: Array, dtype: Any) -> Array:
    """A chunk through a lane without latency, to another type."""
    backend = Through(hop=1, delay=0)
    lanes = Lanes([Lane(backend, backend.sample_rate, chunk.shape[1], Settings(), 0)], None, "raise")
    out = np.empty(chunk.shape, dtype)
    work = lanes.take(chunk, NUMBERS[chunk.dtype])
    lanes.give([lane.process(block, 0.0) for lane, block in work if block is not None], out, NUMBERS[out.dtype])
    return out


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("channels", CHANNELS)
def test_samples_are_scaled_as_numpy_scales_them(dtype: Any, channels: int) -> None:
    chunk = samples(dtype, channels=channels)
    np.testing.assert_array_equal(passed(chunk, np.float32), to_float(chunk))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("channels", CHANNELS)
def test_samples_are_rounded_and_clipped_as_numpy_does_it(dtype: Any, channels: int) -> None:
    edges = [0.5, 1.5, 2.5, -0.5, -1.5, 32766.5, 32767.4, 32767.5, 32768, -32768, -32768.5, -40000, 1e9, -1e9]
    frames = samples(np.float32, channels=channels, most=1.5)
    frames[: len(edges)] = np.array(edges, np.float32)[:, None] / np.float32(32768)
    frames[len(edges) : 2 * len(edges)] = np.array(edges, np.float32)[:, None] / np.float32(2**31)
    made = passed(frames, dtype)
    wanted = from_float(frames.copy(), np.dtype(dtype))
    assert made.dtype == wanted.dtype
    np.testing.assert_array_equal(made, wanted)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1.1 * LOUDEST, -1.1 * LOUDEST])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("place", [0, 100, 959])
def test_a_bad_sample_is_seen_wherever_it_is(bad: float, dtype: Any, place: int) -> None:
    for channels in CHANNELS:
        chunk = samples(dtype, 960, channels)
        chunk[place, channels - 1] = bad
        with pytest.raises(AudioError, match=f"frame {place}"):
            passed(chunk, np.float32)


def unaligned(chunk: Array) -> Array:
    """Copy samples to an odd address."""
    raw = np.zeros(chunk.nbytes + 1, np.uint8)
    raw[1:] = np.frombuffer(chunk.tobytes(), np.uint8)
    return np.ndarray(chunk.shape, chunk.dtype, raw, offset=1)


LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "strided": lambda chunk: np.repeat(chunk, 2, axis=0)[::2],
    "backward": lambda chunk: chunk[::-1].copy()[::-1],
    "by channel": np.asfortranarray,
    "other byte order": lambda chunk: chunk.astype(chunk.dtype.newbyteorder()),
    "unaligned": unaligned,
    "subclass": lambda chunk: chunk.view(np.memmap),
    "read-only": lambda chunk: np.frombuffer(chunk.tobytes(), chunk.dtype).reshape(chunk.shape),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("channels", CHANNELS)
def test_any_layout_is_brought_to_a_plain_one_and_comes_back_in_its_type(
    layout: str, dtype: Any, channels: int
) -> None:
    chunk = samples(dtype, channels=channels, most=0.3)
    odd = LAYOUTS[layout](chunk)
    straight, number = plain(odd, channels)
    assert (type(straight), NUMBERS[straight.dtype]) == (np.ndarray, number)
    np.testing.assert_array_equal(straight, chunk)
    made = Stream(FAKES[0], channels=channels).process(odd)
    assert (made.dtype, made.shape) == (odd.dtype, odd.shape)
    np.testing.assert_array_equal(made, Stream(FAKES[0], channels=channels).process(chunk))


def test_a_plain_chunk_is_not_copied() -> None:
    for chunk in (np.zeros(7, np.int16), np.zeros((7, 1), np.float64), np.zeros((0, 1), np.int32)):
        assert plain(chunk, 1)[0] is chunk


@pytest.mark.parametrize("backend", FAKES, ids=lambda backend: backend.name)
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("channels", CHANNELS)
def test_a_stream_in_whole_hops_is_the_stream_in_pieces(backend: FakeBackend, dtype: Any, channels: int) -> None:
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
def test_settings_hold_however_the_signal_is_cut(settings: Settings) -> None:
    signal = samples(np.float32, 9600, most=0.2)[:, 0]
    whole, pieces = (Stream(FAKES[0], settings=settings) for _ in range(2))
    made = np.concatenate([whole.process(signal[at : at + 480]) for at in range(0, 9600, 480)])
    wanted = np.concatenate([pieces.process(signal[at : at + 320]) for at in range(0, 9600, 320)])
    np.testing.assert_array_equal(made, wanted)


def test_a_bad_chunk_is_reported_with_its_place_or_mended() -> None:
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


@pytest.mark.parametrize("dtype", ["int16", "float32", "float64"])
def test_a_long_chunk_goes_through_in_pieces_and_nobody_notices(dtype: str) -> None:
    signal = samples(dtype, 150_001, 2, 0.3)
    whole, pieces = Stream(FAKES[2], 44100, 2), Stream(FAKES[2], 44100, 2)
    made, voices = whole.process(signal), []
    for start in range(0, len(signal), 999):
        np.testing.assert_array_equal(pieces.process(signal[start : start + 999]), made[start : start + 999])
        voices.append(pieces.vad)
    np.testing.assert_array_equal(whole.vad, np.concatenate(voices))
    if dtype.startswith("float"):
        broken, twin = signal.copy(), copy.deepcopy(whole)
        broken[149_000, 1] = np.inf
        with pytest.raises(AudioError, match=f"frame {150_001 + 149_000}, channel 1"):
            whole.process(broken)
        np.testing.assert_array_equal(whole.process(signal), twin.process(signal))
