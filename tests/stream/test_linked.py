"""Channels that are linked: the stereo image does not move, for every backend, and a stream stays a stream."""

from __future__ import annotations

import copy
import itertools
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from every_backend import ALL, SHIPPED, called, opened
from numpy.typing import NDArray

from denoise_wrapper import ConfigError, Denoiser, Stream, process_many
from denoise_wrapper.backends import load_backend
from denoise_wrapper.backends.base import Backend
from denoise_wrapper.stream.resample import resample
from denoise_wrapper.stream.settings import Settings

Array = NDArray[Any]
NOISY = Path(__file__).parents[2] / "examples" / "noisy.wav"
COSTLY = "its streams take long to begin, and long to run: it is tried once in each way"
LINKED = Settings(channels="linked")


@pytest.fixture(params=ALL, ids=called)
def backend(request: pytest.FixtureRequest) -> Backend:
    return opened(request)


def mono(seconds: float, rate: int) -> Array:
    """The beginning of the noisy clip of the examples, float32 (frames,), at a rate in Hz."""
    samples, own = soundfile.read(NOISY, dtype="float32", always_2d=True)
    samples = samples[: int(seconds * own)]
    return (samples if rate == own else resample(samples, own, rate))[: int(seconds * rate), 0].copy()


def room(seconds: float, rate: int) -> Array:
    """A voice to the left, 0.3 ms sooner and 6 dB louder there, in noise that is another one on either side."""
    voice = mono(seconds, rate)
    noise = 0.03 * np.random.default_rng(5).standard_normal((len(voice), 2))
    left_first = np.stack([voice, 0.5 * np.roll(voice, round(3e-4 * rate))], axis=1)
    return np.asarray(left_first + noise, np.float32)


def cleaned(backend: Backend, audio: Array, settings: Settings = LINKED) -> Array:
    """What a stream makes of the audio, without its latency."""
    stream = Stream(backend, None, audio.shape[1], settings)
    return np.concatenate([stream.process(audio), stream.flush()])[stream.latency :]


def cells(audio: Array) -> tuple[Array, Array, Array]:
    """Power of the left and of the right channel, and their cross-spectrum, in cells of some 20 ms and 8 bins."""
    frames = np.lib.stride_tricks.sliding_window_view(audio, 1024, axis=0)[::512]
    left, right = np.moveaxis(np.fft.rfft(frames * np.hanning(1024))[..., :512], 1, 0)
    spectra = (abs(left) ** 2, abs(right) ** 2, left * right.conj())
    return tuple(each.reshape(len(frames), 64, 8).sum(axis=2) for each in spectra)  # type: ignore[return-value]


def moved(before: Array, after: Array) -> tuple[float, float]:
    """Level in dB and phase in degrees by which what is heard moved from one side to the other, on average."""
    left, right, cross = cells(before)
    new_left, new_right, new_cross = cells(after)
    weight = (new_left + new_right) / (new_left + new_right).sum()
    level = 10 * np.log10((new_left + 1e-12) / (new_right + 1e-12) / ((left + 1e-12) / (right + 1e-12)))
    phase = np.angle(new_cross * cross.conj(), deg=True)
    return float((weight * abs(level)).sum()), float((weight * abs(phase)).sum())


@pytest.mark.parametrize("name", SHIPPED)
def test_the_image_of_a_voice_in_noise_does_not_move(name: str) -> None:
    backend = load_backend(name)
    audio = room(1.5, backend.sample_rate)
    level, phase = moved(audio, cleaned(backend, audio))
    apart_level, apart_phase = moved(audio, cleaned(backend, audio, Settings()))
    assert level < 0.5
    assert phase < 3
    assert apart_level > 2 * level  # and so there is something to be held
    assert apart_phase > phase


@pytest.mark.parametrize("gain", [0.3, -1.0])
def test_one_source_keeps_its_gain_and_phase_on_every_channel(backend: Backend, gain: float) -> None:
    """Also in opposite phase, of which the channels' mean would leave nothing."""
    if backend.name == "deepfilternet3" and gain > 0:
        pytest.skip(COSTLY)
    voice = mono(0.6, backend.sample_rate)
    result = cleaned(backend, np.stack([voice, np.float32(gain) * voice], axis=1))
    np.testing.assert_allclose(result[:, 1], gain * result[:, 0], atol=2e-5 * (1e-3 + abs(result).max()))


def test_channels_that_are_alike_come_out_as_the_backend_makes_them(backend: Backend) -> None:
    if backend.name == "deepfilternet3":
        pytest.skip(COSTLY)
    voice = mono(0.6, backend.sample_rate)
    alone = cleaned(backend, voice[:, None])
    result = cleaned(backend, np.stack([voice, voice], axis=1))
    np.testing.assert_allclose(result, np.hstack([alone, alone]), atol=1e-3 * abs(alone).max())


@pytest.mark.parametrize("rate", [44100, None])
def test_the_bits_do_not_depend_on_the_chunks(backend: Backend, rate: int | None) -> None:
    if backend.name == "deepfilternet3" and rate is not None:
        pytest.skip(COSTLY)
    audio = room(0.5, rate or backend.sample_rate)
    stream = Stream(backend, rate, 2, LINKED)
    wanted = np.concatenate([stream.process(audio), stream.flush()])
    random, ends = np.random.default_rng(7), [0]
    while ends[-1] < len(audio):
        ends.append(ends[-1] + int(random.integers(1, 4 * backend.hop)))
    parts = [stream.process(audio[start:end]) for start, end in itertools.pairwise(ends)]
    np.testing.assert_array_equal(np.concatenate([*parts, stream.flush()]), wanted)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_linked_stream_pickles_copies_and_goes_with_others(name: str) -> None:
    backend = load_backend(name)
    audio = room(0.3, backend.sample_rate)
    stream = Stream(backend, None, 2, LINKED)
    stream.process(audio)
    twins = [copy.deepcopy(stream), pickle.loads(pickle.dumps(stream)), stream]
    assert all(twin.backend is backend for twin in twins)
    results = [twins[0].process(audio), *process_many(twins[1:], [audio, audio])]
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


def test_a_linked_stream_switches_and_keeps_its_image() -> None:
    """From one backend to another and back, through both fades."""
    voice = mono(3.0, 48000)
    audio = np.stack([voice, -0.5 * voice], axis=1)
    stream = Stream(load_backend("rnnoise"), 48000, 2, LINKED, latency=4800)
    parts = []
    for start in range(0, len(audio), 24000):
        parts.append(stream.process(audio[start : start + 24000]))
        stream.switch("rnnoise-classic" if start < 48000 else "dtln-16k")
    result = np.concatenate([*parts, stream.flush()])
    assert stream.backend.name == "dtln-16k"
    np.testing.assert_allclose(result[:, 1], -0.5 * result[:, 0], atol=2e-5 * abs(result).max())


@pytest.mark.parametrize("name", SHIPPED)
def test_a_linked_stream_is_a_hop_later_and_one_of_mono_is_not(name: str) -> None:
    linked, plain = Denoiser(name, channels="linked"), Denoiser(name)
    hop = plain.backend.hop
    assert linked.latency(channels=2) == linked.stream(channels=2).latency == plain.latency() + hop
    assert linked.latency() == linked.stream().latency == plain.latency() == plain.latency(channels=2)
    voice = mono(0.3, plain.backend.sample_rate)
    rate = plain.backend.sample_rate
    np.testing.assert_array_equal(linked.filter(voice, rate), plain.filter(voice, rate))


def test_the_strength_and_the_gate_act_on_linked_channels() -> None:
    audio = room(1.0, 48000)
    held = Denoiser(channels="linked", atten_lim_db=0).filter(audio, 48000)
    np.testing.assert_allclose(held, audio, atol=1e-5)
    silent = Denoiser(channels="linked", vad_threshold=1.0, vad_hold=0.0).filter(audio, 48000)
    assert not silent.any()
    dropped = Denoiser(channels="linked", vad_threshold=0.5, vad_gate="drop").filter(audio, 48000)
    assert 0 < len(dropped) <= len(audio)


def test_only_the_two_ways_with_channels_are_taken() -> None:
    with pytest.raises(ConfigError, match="channels is 'separate' or 'linked', not 'joint'"):
        Denoiser(channels="joint")  # type: ignore[arg-type]
    assert repr(Denoiser(channels="linked")) == "Denoiser('rnnoise', channels='linked')"
