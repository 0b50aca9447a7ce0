"""Audio in memory: what is taken, what is refused and with which advice, and that scale goes by type."""

from __future__ import annotations

import array
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from denoise_wrapper.audio import check_layout, check_rate, from_float, to_float, unpack
from denoise_wrapper.errors import AudioError


@pytest.mark.parametrize("rate", [1000, 8000, 44100.0, np.int32(48000), np.float64(16000), 768000])
def test_a_rate_is_a_whole_number_of_hz(rate: Any) -> None:
    assert check_rate(rate) == int(rate)
    assert type(check_rate(rate)) is int


@pytest.mark.parametrize("rate", [0, -48000, 1, 10**9, 44100.5, np.nan, np.inf, "48000", None, True, 1j, [48000]])
def test_any_other_rate_is_refused_by_its_value(rate: Any) -> None:
    with pytest.raises(AudioError, match=r"1000 to 768000, not "):
        check_rate(rate)


@pytest.mark.parametrize("shape", [(0,), (5,), (0, 2), (0, 6), (1, 1), (1, 2), (2, 2), (6, 6), (1000, 2), (9, 8)])
def test_frames_by_channels_is_taken(shape: tuple[int, ...]) -> None:
    assert check_layout(np.zeros(shape)) == (shape[1] if len(shape) == 2 else 1)


@pytest.mark.parametrize("shape", [(1, 3), (1, 48000), (2, 3), (2, 48000), (6, 48000)])
def test_channels_by_frames_is_refused_with_the_fix_named(shape: tuple[int, ...]) -> None:
    with pytest.raises(AudioError, match=r"audio\.T"):
        check_layout(np.zeros(shape))


def test_a_named_number_of_channels_settles_the_layout() -> None:
    assert check_layout(np.zeros((1, 6)), 6) == 6
    with pytest.raises(AudioError, match=r"audio\.T"):
        check_layout(np.zeros((2, 480)), 2)
    with pytest.raises(AudioError, match=r"shape \(frames, 2\), not \(480,\)"):
        check_layout(np.zeros(480), 2)


@pytest.mark.parametrize("shape", [(), (2, 3, 4), (5, 0)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(AudioError):
        check_layout(np.zeros(shape))


@pytest.mark.parametrize(
    ("dtype", "advice"),
    [
        ("float16", "astype"),
        ("longdouble", "float64"),
        ("uint8", "128"),
        ("int8", "256"),
        ("uint16", "32768"),
        ("int64", "scale"),
        ("complex64", "real"),
        ("complex128", "real"),
        ("bool", "no audio"),
        ("U5", "convert"),
        ("object", "convert"),
        ("datetime64[s]", "convert"),
    ],
)
def test_other_types_are_refused_with_advice(dtype: str, advice: str) -> None:
    with pytest.raises(AudioError, match=advice):
        unpack(np.zeros(10, dtype), 48000, None, None)


@pytest.mark.parametrize("audio", [None, 3.0, "noisy.wav", [0.0, 0.1], array.array("f", [0.0]).tolist(), object()])
def test_what_is_no_audio_is_refused_by_its_type(audio: Any) -> None:
    with pytest.raises(AudioError, match=type(audio).__name__):
        unpack(audio, 48000, None, None)


def test_bytes_must_say_what_they_hold() -> None:
    with pytest.raises(AudioError, match="give sample_rate, channels, dtype too"):
        unpack(b"1234", None, None, None)
    with pytest.raises(AudioError, match="give dtype too"):
        unpack(b"1234", 48000, 1, None)


@pytest.mark.parametrize(("size", "channels", "dtype"), [(3, 1, "int16"), (6, 2, "int16"), (6, 1, "float32")])
def test_bytes_of_odd_length_are_refused(size: int, channels: int, dtype: str) -> None:
    with pytest.raises(AudioError, match=f"{size} bytes are not a whole number of frames"):
        unpack(bytes(size), 48000, channels, dtype)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_of_each_kind_are_read(kind: Any) -> None:
    samples = np.arange(12, dtype=np.int16).reshape(6, 2)
    clip = unpack(kind(samples.tobytes()), 48000, 2, "int16")
    np.testing.assert_array_equal(clip.samples, samples)
    packed = clip.repack(clip.samples)
    assert packed == samples.tobytes()
    assert type(packed) is (bytearray if kind is bytearray else bytes)


def test_a_wrong_dtype_for_an_array_is_refused() -> None:
    with pytest.raises(AudioError, match="leave dtype out"):
        unpack(np.zeros(10, np.float32), 48000, None, "int16")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 2e6, -1e300])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_first_bad_sample_is_named(bad: float, dtype: Any) -> None:
    samples = np.zeros((100, 2), dtype)
    with np.errstate(over="ignore"):
        samples[[40, 70], [1, 0]] = bad
    with pytest.raises(AudioError, match=r"2 of 200 samples .* frame 1040, channel 1"):
        to_float(samples, position=1000)
    assert not to_float(samples, "zero").any()


def test_loud_but_honest_samples_pass() -> None:
    samples = np.full(100_000, 32768, np.float32)  # whoever forgot to scale is not refused
    np.testing.assert_array_equal(to_float(samples)[:, 0], samples)


@pytest.mark.parametrize(("dtype", "full"), [(np.int16, 2.0**15), (np.int32, 2.0**31)])
def test_integers_have_their_full_scale(dtype: Any, full: float) -> None:
    limits = np.iinfo(dtype)
    floats = to_float(np.array([limits.min, 0, limits.max // 2 + 1], dtype))
    np.testing.assert_array_equal(floats[:, 0], np.array([-1, 0, 0.5], np.float32))
    clipped = from_float(np.array([[-1.5], [-1], [0.5], [1], [7]], np.float32), np.dtype(dtype), 1)
    np.testing.assert_allclose(clipped, [limits.min, limits.min, full / 2, limits.max, limits.max], atol=full * 2**-23)


@given(st.lists(st.integers(-32768, 32767), max_size=50))
def test_int16_comes_back_as_it_was(values: list[int]) -> None:
    samples = np.array(values, np.int16)
    np.testing.assert_array_equal(from_float(to_float(samples), np.dtype(np.int16), 1), samples)


@given(st.lists(st.floats(-4, 4, width=32), max_size=50))
def test_int16_is_rounded_to_the_nearest_within_full_scale(values: list[float]) -> None:
    frames = np.array(values, np.float32).reshape(-1, 1)
    wanted = np.clip(np.rint(frames.astype(np.float64) * 32768), -32768, 32767)
    np.testing.assert_array_equal(from_float(frames, np.dtype(np.int16)), wanted)


def test_floats_are_not_clipped() -> None:
    np.testing.assert_array_equal(from_float(np.array([[1.5], [-2]], np.float32), np.dtype(np.float64), 1), [1.5, -2])
