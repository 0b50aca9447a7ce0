"""The Denoiser: every kind of audio, frames left out, probabilities, and going over to another backend."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from fakes import FakeBackend
from numpy.typing import NDArray
from require import require

from denoise_wrapper import AudioError, ConfigError, Denoiser, ModelError

Array = NDArray[Any]

PLAIN = FakeBackend("plain", gain=1.0)
HALF = FakeBackend("half", gain=0.5)


def noise(frames: int, level: float = 0.02) -> Array:
    return (level * np.random.default_rng(8).standard_normal(frames)).astype(np.float32)


def test_rnnoise_takes_noise_out() -> None:
    signal = noise(96000)
    cleaned = Denoiser().filter(signal, 48000)
    assert np.std(cleaned[48000:]) < 0.7 * np.std(signal[48000:])


@pytest.mark.parametrize("dtype", ["int16", "int32", "float32", "float64"])
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_bytes_come_back_as_bytes(dtype: str, channels: int) -> None:
    samples = noise(3 * 4410).reshape(-1, 3)[:, :channels]
    audio = samples.astype(dtype) if dtype.startswith("f") else (samples * 20000).astype(dtype)
    cleaned = Denoiser(HALF).filter(audio.tobytes(), 44100, channels=channels, dtype=dtype)
    assert isinstance(cleaned, bytes)
    wanted = Denoiser(HALF).filter(audio, 44100)
    np.testing.assert_array_equal(np.frombuffer(cleaned, dtype).reshape(-1, channels), wanted)


@pytest.mark.parametrize("width", [1, 2, 4])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_segment_comes_back_as_a_segment(width: int, channels: int) -> None:
    pydub = require("pydub")
    samples = (noise(44100, 0.2) * 32767).astype(np.int16).tobytes()
    segment = pydub.AudioSegment(data=samples, sample_width=2, frame_rate=22050, channels=channels)
    segment = segment.set_sample_width(width)
    cleaned = Denoiser(PLAIN, atten_lim_db=0).filter(segment)
    assert isinstance(cleaned, pydub.AudioSegment)
    for name in ("sample_width", "frame_rate", "channels"):
        assert getattr(cleaned, name) == getattr(segment, name)
    assert len(cleaned.raw_data) == len(segment.raw_data)
    assert cleaned.rms == pytest.approx(segment.rms, rel=0.2)
    with pytest.raises(AudioError, match="the AudioSegment has sample_rate 22050, not 48000"):
        Denoiser(PLAIN).filter(segment, 48000)


def test_an_array_without_a_rate_has_that_of_the_backend() -> None:
    fake = FakeBackend(sample_rate=16000)
    with pytest.warns(UserWarning, match="sample_rate=16000"):
        cleaned = Denoiser(fake).filter(noise(9999))
    np.testing.assert_array_equal(cleaned, Denoiser(fake).filter(noise(9999), 16000))


def test_the_result_of_bytes_in_the_other_byte_order_is_native_and_the_same() -> None:
    samples = (noise(9999) * 20000).astype(np.int16)
    cleaned = Denoiser(HALF).filter(samples.astype(">i2"), 48000)
    np.testing.assert_array_equal(cleaned, Denoiser(HALF).filter(samples, 48000))


def test_a_bad_sample_late_in_a_clip_is_named_by_its_place_in_the_clip() -> None:
    signal = noise(200_000)
    signal[150_000] = np.nan
    with pytest.raises(AudioError, match="frame 150000;"):
        Denoiser(PLAIN).filter(signal, 48000)


def bursts() -> Array:
    """3 s at 48 kHz, loud (speech to the test backends) from 1.0 s to 1.5 s."""
    signal = noise(144000)
    signal[48000:72000] *= 20
    return signal


@pytest.mark.parametrize("rate", [16000, 44100, 48000])
def test_frames_without_speech_are_dropped(rate: int) -> None:
    signal = np.resize(bursts()[:: 48000 // rate] if 48000 % rate == 0 else bursts(), 3 * rate)
    dropping = Denoiser(PLAIN, vad_threshold=0.6, vad_gate="drop", vad_hold=0.0)
    kept = dropping.filter(signal, rate)
    loud = np.flatnonzero(np.abs(signal) > 0.2)
    span = int(loud[-1] - loud[0])
    assert span <= len(kept) <= span + 0.05 * rate
    if rate == 48000:
        where = int(np.flatnonzero(signal == kept[0])[0])
        np.testing.assert_array_equal(kept, signal[where : where + len(kept)])


def test_what_is_dropped_is_what_would_be_muted() -> None:
    signal = bursts()
    config: dict[str, Any] = {"vad_threshold": 0.6, "vad_hold": 0.05}
    muted = Denoiser(PLAIN, **config, vad_gate="mute").filter(signal, 48000)
    kept = Denoiser(PLAIN, **config, vad_gate="drop").filter(signal, 48000)
    whole = np.flatnonzero(muted == signal)
    assert abs(len(kept) - len(whole)) <= 2 * 480


def test_channels_are_dropped_together() -> None:
    signal = np.stack([bursts(), noise(144000)], axis=1)
    dropping = Denoiser(PLAIN, vad_threshold=0.6, vad_gate="drop", vad_hold=0.0)
    np.testing.assert_array_equal(dropping.filter(signal, 48000)[:, 0], dropping.filter(signal[:, 0], 48000))


def test_nothing_is_left_of_a_clip_without_speech() -> None:
    assert Denoiser(PLAIN, vad_threshold=0.9, vad_gate="drop").filter(noise(48000), 48000).shape == (0,)


@pytest.mark.parametrize("rate", [8000, 44100, 48000])
@pytest.mark.parametrize("frames", [0, 1, 479, 480, 100_000])
def test_probabilities_have_times(rate: int, frames: int) -> None:
    times, probabilities = Denoiser(PLAIN).speech_probability(noise(frames), rate)
    assert times.shape == probabilities.shape == (-(-frames * 48000 // (rate * 480)),)
    np.testing.assert_allclose(times, 0.01 * np.arange(len(times)))


def test_probabilities_follow_the_signal_and_its_channels() -> None:
    signal = np.stack([bursts(), noise(144000)], axis=1)
    times, probabilities = Denoiser(PLAIN).speech_probability(signal, 48000)
    assert probabilities.shape == (300, 2)
    np.testing.assert_array_equal(probabilities[:, 0] > 0.6, (times > 0.9999) & (times < 1.4999))
    assert probabilities[:, 1].max() < 0.6


def test_another_backend_is_used_from_the_next_call_on() -> None:
    denoiser = Denoiser(PLAIN)
    denoiser.filter_frame(noise(480))
    denoiser.backend = HALF  # type: ignore[assignment]
    assert denoiser.backend_name == "half"
    np.testing.assert_array_equal(denoiser.filter(noise(4800), 48000), Denoiser(HALF).filter(noise(4800), 48000))
    denoiser.backend = "rnnoise"  # type: ignore[assignment]
    assert denoiser.backend_name == "rnnoise"


@pytest.mark.parametrize("name", ["rnoise", "", "dtln"])
def test_an_unknown_backend_is_refused_with_those_known(name: str) -> None:
    with pytest.raises(ModelError, match="rnnoise"):
        Denoiser(name)


def test_what_is_no_backend_is_refused() -> None:
    with pytest.raises(ConfigError, match="a name or a Backend"):
        Denoiser(42)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="has its model already"):
        Denoiser(PLAIN, model="x.rnnn")


# ---- single frames ----


def test_a_frame_of_bytes_gives_bytes_and_of_an_array_an_array() -> None:
    frames = (noise(480 * 20, 0.2) * 32767).astype(np.int16).reshape(20, 480)
    by_bytes, by_array = Denoiser(), Denoiser()
    for frame in frames:
        voice, raw = by_bytes.filter_frame(frame.tobytes())
        same_voice, cleaned = by_array.filter_frame(frame)
        assert isinstance(raw, bytes)
        assert isinstance(voice, float)
        assert voice == same_voice
        np.testing.assert_array_equal(np.frombuffer(raw, np.int16), cleaned)


@pytest.mark.parametrize("frame", [b"", bytes(959), bytes(1920), np.zeros(479, np.int16), np.zeros((480, 2), np.int16)])
def test_a_frame_of_another_size_is_refused_and_changes_nothing(frame: Any) -> None:
    denoiser, untouched = Denoiser(), Denoiser()
    with pytest.raises(AudioError, match=r"480|960"):
        denoiser.filter_frame(frame)
    assert denoiser.filter_frame(bytes(960)) == untouched.filter_frame(bytes(960))


def test_reset_forgets_the_frames() -> None:
    denoiser = Denoiser(PLAIN)
    denoiser.filter_frame(noise(480))
    denoiser.reset()
    assert not denoiser.filter_frame(noise(480))[1].any()


def test_a_denoiser_pickles_in_the_middle_of_its_frames() -> None:
    denoiser = Denoiser(vad_threshold=0.1, mix=0.9)
    denoiser.filter_frame(noise(480))
    twin = pickle.loads(pickle.dumps(denoiser))
    for _ in range(5):
        np.testing.assert_array_equal(twin.filter_frame(noise(480))[1], denoiser.filter_frame(noise(480))[1])


@pytest.mark.parametrize("kind", [">i2", "<i2", ">f4", ">f8"])
def test_the_order_of_bytes_is_kept(kind: str) -> None:
    native = (1000 * np.sin(np.arange(4800) / 50)).astype(np.int16)
    wanted = native if kind[1] == "i" else (native / 32768).astype(kind[1:])
    denoiser = Denoiser(FakeBackend("plain", gain=1.0))
    assert denoiser.filter(wanted.astype(kind), 48000).dtype == np.dtype(kind)
    raw = denoiser.filter(wanted.astype(kind).tobytes(), 48000, channels=1, dtype=kind)
    np.testing.assert_allclose(np.frombuffer(raw, kind), wanted, atol=1e-6)


@pytest.mark.parametrize("shape", [(0,), (0, 1), (0, 2)])
@pytest.mark.parametrize("rate", [44100, 48000])
def test_a_clip_of_no_frames_keeps_its_shape(shape: tuple[int, ...], rate: int) -> None:
    assert Denoiser(FakeBackend("plain")).filter(np.zeros(shape, np.float32), rate).shape == shape


def test_any_memoryview_is_bytes() -> None:
    samples = np.arange(960, dtype=np.int16)
    denoiser = Denoiser(FakeBackend("plain", gain=1.0))
    every2nd = denoiser.filter(samples.data[::2], 48000, channels=1, dtype="int16")
    assert every2nd == samples[::2].tobytes()
    assert len(denoiser.filter_frame(samples[:480].data)[1]) == 960
