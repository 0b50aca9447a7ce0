"""The contract of every backend, run on each, and on fakes that have other rates, hops and delays."""

from __future__ import annotations

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from every_backend import ALL, called, opened
from numpy.typing import NDArray

from denoise_wrapper import AudioError, Denoiser, Stream
from denoise_wrapper.backends.base import Backend

RATES = (8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000, 96000)
TYPES = (np.int16, np.int32, np.float32, np.float64)

Array = NDArray[Any]


@pytest.fixture(params=ALL, ids=called)
def backend(request: pytest.FixtureRequest) -> Backend:
    return opened(request)


def speechlike(rate: int, frames: int) -> Array:
    """Vowels of a gliding pitch, 80 to 160 Hz, with pauses, in noise: float32 (frames,); like speech to a network."""
    rng = np.random.default_rng(3)
    t = np.arange(frames) / rate
    phase = 2 * np.pi * np.cumsum(120 + 40 * np.sin(2 * np.pi * 0.7 * t)) / rate
    tone = sum(np.cos(k * phase) / k * np.exp(-(((k * 140 - 600) / 900) ** 2)) for k in range(1, 25))
    speech = 0.25 * tone * (np.sin(2 * np.pi * 2.3 * t) > -0.3)
    return (speech + 0.02 * rng.standard_normal(frames)).astype(np.float32)


@pytest.fixture(scope="module")
def voiced() -> Array:
    """3.0 s at 48 kHz."""
    return speechlike(48000, 144137)


def run(stream: Stream, signal: Array, chunk: int | np.random.Generator) -> Array:
    """All that a stream makes of a signal in chunks of a size, or of random ones, with what flush brings."""
    made, start = [], 0
    while start < len(signal):
        size = chunk if isinstance(chunk, int) else int(chunk.integers(1, 6000))
        piece = signal[start : start + size]
        cleaned = stream.process(piece)
        assert cleaned.shape == piece.shape
        assert cleaned.dtype == piece.dtype
        made.append(cleaned)
        start += size
    return np.concatenate([*made, stream.flush()])


def as_type(signal: Array, dtype: Any) -> Array:
    if np.dtype(dtype).kind == "f":
        return signal.astype(dtype)
    limits = np.iinfo(dtype)
    return np.clip(np.rint(signal.astype(np.float64) * -float(limits.min)), limits.min, limits.max).astype(dtype)


def lag(late: Array, early: Array) -> float:
    """Samples by which one signal is later than another, by cross-correlation, to a fraction of a sample.

    Of the differences from sample to sample: the lowest tones, whose correlation is broad and which a high-pass turns
    in phase, would hide where the peak is.
    """
    late, early = np.diff(late), np.diff(early)
    size = 2 * max(len(late), len(early))
    spectrum = np.fft.rfft(late.astype(np.float64), size) * np.conj(np.fft.rfft(early.astype(np.float64), size))
    correlation = np.fft.irfft(spectrum, size)
    peak = int(correlation.argmax())
    before, at, after = correlation[peak - 1], correlation[peak], correlation[(peak + 1) % size]
    fraction = 0.5 * (before - after) / (before - 2 * at + after)
    return (peak + size // 2) % size - size // 2 + float(fraction)


@pytest.mark.parametrize("chunk", [1, 17, 480, 481, 4801, "random"])
def test_output_does_not_depend_on_chunk_size(backend: Backend, voiced: Array, chunk: int | str) -> None:
    signal = voiced[:12345] if chunk == 1 else voiced
    sizes = np.random.default_rng(1) if isinstance(chunk, str) else chunk
    np.testing.assert_array_equal(run(Stream(backend), signal, sizes), run(Stream(backend), signal, len(signal)))


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("chunk", [479, "random"])
def test_output_does_not_depend_on_chunk_size_at_any_rate(
    backend: Backend, voiced: Array, rate: int, chunk: int | str
) -> None:
    signal = np.stack([voiced, -0.5 * voiced[::-1]], axis=1)[: 3 * rate]
    sizes = np.random.default_rng(2) if isinstance(chunk, str) else chunk
    np.testing.assert_array_equal(
        run(Stream(backend, rate, 2), signal, sizes), run(Stream(backend, rate, 2), signal, len(signal))
    )


def test_single_samples_never_make_the_queue_run_dry_at_any_rate(backend: Backend, voiced: Array) -> None:
    for rate in RATES:
        signal = voiced[:3000]
        np.testing.assert_array_equal(run(Stream(backend, rate), signal, 1), run(Stream(backend, rate), signal, 3000))


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("frames", [0, 1, 479, 480, 144137])
def test_length_out_is_length_in(backend: Backend, voiced: Array, rate: int, frames: int) -> None:
    assert Denoiser(backend).filter(voiced[:frames], rate).shape == (frames,)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", [(0,), (1,), (0, 2), (1, 2), (1000, 1), (1000, 2), (1000, 5)])
def test_type_and_layout_are_kept(backend: Backend, dtype: Any, shape: tuple[int, ...]) -> None:
    cleaned = Denoiser(backend).filter(np.zeros(shape, dtype), 48000)
    assert (cleaned.shape, cleaned.dtype) == (shape, np.dtype(dtype))


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("atten_lim_db", [None, 0.0])
def test_output_is_in_time_with_the_input(backend: Backend, rate: int, atten_lim_db: float | None) -> None:
    signal = speechlike(rate, 2 * rate)
    late = lag(Denoiser(backend, atten_lim_db=atten_lim_db).filter(signal, rate), signal)
    assert abs(late) <= (1.0 if rate == backend.sample_rate else 1e-4 * rate)


def test_a_stream_is_late_by_its_latency(backend: Backend, voiced: Array) -> None:
    for rate in (16000, 44100, 48000):
        stream = Stream(backend, rate)
        streamed = run(stream, voiced, 1000)
        np.testing.assert_array_equal(streamed[stream.latency :], Denoiser(backend).filter(voiced, rate))
        assert not streamed[: stream.latency].any()
        assert stream.latency_seconds == stream.latency / rate


def test_latency_at_the_own_rate_is_delay_and_hop(backend: Backend) -> None:
    assert Stream(backend).latency == backend.delay + backend.hop - 1


def test_interleaved_streams_equal_each_alone(backend: Backend, voiced: Array) -> None:
    signals = voiced, voiced[::-1].copy()
    streams = [Stream(backend, 44100) for _ in signals]
    made: list[list[Array]] = [[], []]
    for start in range(0, len(voiced), 1001):
        for index, stream in enumerate(streams):
            made[index].append(stream.process(signals[index][start : start + 1001]))
    for index, stream in enumerate(streams):
        together = np.concatenate([*made[index], stream.flush()])
        np.testing.assert_array_equal(together, run(Stream(backend, 44100), signals[index], 1001))


@pytest.mark.parametrize("rate", [44100, 48000])
def test_a_reset_stream_equals_a_fresh_one(backend: Backend, voiced: Array, rate: int) -> None:
    stream = Stream(backend, rate)
    stream.process(voiced[::-1])
    stream.reset()
    np.testing.assert_array_equal(run(stream, voiced, 777), run(Stream(backend, rate), voiced, 777))


@pytest.mark.parametrize("rate", [44100, 48000])
def test_a_flushed_stream_equals_a_fresh_one(backend: Backend, voiced: Array, rate: int) -> None:
    stream = Stream(backend, rate)
    np.testing.assert_array_equal(run(stream, voiced, 777), run(stream, voiced, 777))


@pytest.mark.parametrize("rate", [11025, 44100, 48000])
@pytest.mark.parametrize("make", [copy.deepcopy, lambda stream: pickle.loads(pickle.dumps(stream))])
def test_a_pickled_or_copied_stream_goes_on_bit_for_bit(backend: Backend, voiced: Array, rate: int, make: Any) -> None:
    stream = Stream(backend, rate, 2)
    signal = np.stack([voiced, voiced[::-1]], axis=1)
    stream.process(signal[:100_001])
    twin = make(stream)
    np.testing.assert_array_equal(run(twin, signal[100_001:], 999), run(stream, signal[100_001:], 999))


def test_filter_starts_from_fresh_state(backend: Backend, voiced: Array) -> None:
    denoiser = Denoiser(backend)
    first = denoiser.filter(voiced, 48000)
    denoiser.filter(voiced[::-1], 44100)
    np.testing.assert_array_equal(denoiser.filter(voiced, 48000), first)


def test_channels_are_cleaned_apart(backend: Backend, voiced: Array) -> None:
    channels = [voiced, voiced[::-1], 0 * voiced]
    together = Denoiser(backend).filter(np.stack(channels, axis=1), 44100)
    for index, channel in enumerate(channels):
        np.testing.assert_array_equal(together[:, index], Denoiser(backend).filter(channel, 44100))


@pytest.mark.parametrize("dtype", [np.int16, np.int32])
@pytest.mark.parametrize("rate", [44100, 48000])
def test_integers_at_full_scale_never_wrap(backend: Backend, voiced: Array, dtype: Any, rate: int) -> None:
    loud = np.sign(voiced) * np.where(np.arange(len(voiced)) % 2000 < 1000, 1, 0.5)
    chunk_in = as_type(loud, dtype)
    full = -float(np.iinfo(dtype).min)
    floats = Denoiser(backend).filter((chunk_in / full).astype(np.float32), rate)
    cleaned = Denoiser(backend).filter(chunk_in, rate)
    wanted = np.clip(floats, -1, 1 - 1 / full)
    assert np.abs(cleaned / full - wanted).max() <= max(1 / full, 2e-7)


@pytest.mark.parametrize("dtype", TYPES)
def test_every_type_means_the_same_signal(backend: Backend, voiced: Array, dtype: Any) -> None:
    chunk_in = as_type(as_type(voiced, np.int16) / np.float64(32768), dtype)
    scale = 1.0 if np.dtype(dtype).kind == "f" else -float(np.iinfo(dtype).min)
    wanted = Denoiser(backend).filter((chunk_in / scale).astype(np.float32), 48000)
    assert np.abs(Denoiser(backend).filter(chunk_in, 48000) / scale - wanted).max() <= 1 / 65536 + 1e-6


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
@pytest.mark.parametrize("rate", [44100, 48000])
def test_a_bad_sample_is_refused_and_changes_nothing_after_it(
    backend: Backend, voiced: Array, rate: int, bad: float
) -> None:
    stream, untouched = Stream(backend, rate), Stream(backend, rate)
    np.testing.assert_array_equal(stream.process(voiced[:5000]), untouched.process(voiced[:5000]))
    broken = voiced[5000:9000].copy()
    broken[123] = bad
    with pytest.raises(AudioError, match="frame 5123"):
        stream.process(broken)
    np.testing.assert_array_equal(run(stream, voiced[5000:], 999), run(untouched, voiced[5000:], 999))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_bad_sample_replaced_is_a_zero(backend: Backend, voiced: Array, bad: float) -> None:
    broken, mended = voiced.copy(), voiced.copy()
    broken[20_000:20_003], mended[20_000:20_003] = bad, 0
    denoiser = Denoiser(backend, non_finite="zero")
    np.testing.assert_array_equal(denoiser.filter(broken, 44100), denoiser.filter(mended, 44100))


@pytest.mark.parametrize("rate", [16000, 44100, 48000])
def test_no_output_is_ever_bad(backend: Backend, rate: int) -> None:
    rng = np.random.default_rng(9)
    for scale in (0.0, 1e-30, 1e-8, 1.0, 1e3, 1e5):
        cleaned = Denoiser(backend).filter((scale * rng.choice([-1, 1], 20_000)).astype(np.float32), rate)
        assert np.isfinite(cleaned).all()


@pytest.mark.parametrize("rate", [44100, 48000])
def test_no_mix_is_the_dry_signal(backend: Backend, voiced: Array, rate: int) -> None:
    np.testing.assert_array_equal(Denoiser(backend, mix=0).filter(voiced, rate), voiced)


def test_half_mix_is_half_of_each(backend: Backend, voiced: Array) -> None:
    half = Denoiser(backend, mix=0.5).filter(voiced, 44100)
    np.testing.assert_allclose(half, 0.5 * (voiced + Denoiser(backend).filter(voiced, 44100)), atol=1e-6)


def test_no_attenuation_passes_everything(backend: Backend, voiced: Array) -> None:
    passed = Denoiser(backend, atten_lim_db=0).filter(voiced, backend.sample_rate)
    error = np.sqrt(np.mean((passed - voiced) ** 2) / np.mean(voiced**2))
    assert error < 0.05  # a backend may filter what is below hearing


def test_limited_attenuation_leaves_more_of_the_noise(backend: Backend) -> None:
    noise = (0.01 * np.random.default_rng(4).standard_normal(96000)).astype(np.float32)
    left = [np.std(Denoiser(backend, atten_lim_db=limit).filter(noise, 48000)[48000:]) for limit in (None, 6, 3, 0)]
    assert left[0] <= left[1] < left[2] < left[3]


def test_threads_share_a_backend(backend: Backend, voiced: Array) -> None:
    denoiser = Denoiser(backend)
    signals = [np.roll(voiced, 1000 * index) for index in range(8)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda signal: denoiser.filter(signal, 44100), signals))
    for signal, cleaned in zip(signals, together, strict=True):
        np.testing.assert_array_equal(denoiser.filter(signal, 44100), cleaned)


def test_the_input_is_not_changed_and_may_be_read_only(backend: Backend, voiced: Array) -> None:
    chunk_in = voiced.copy()
    chunk_in.flags.writeable = False
    cleaned = Denoiser(backend).filter(chunk_in, 48000)
    np.testing.assert_array_equal(chunk_in, voiced)
    assert not np.shares_memory(chunk_in, cleaned)


def test_any_memory_layout_gives_the_same(backend: Backend, voiced: Array) -> None:
    pair = np.stack([voiced, voiced[::-1]], axis=1)
    wanted = Denoiser(backend).filter(pair, 48000)
    np.testing.assert_array_equal(Denoiser(backend).filter(np.asfortranarray(pair), 48000), wanted)
    np.testing.assert_array_equal(Denoiser(backend).filter(pair.astype(">f4"), 48000), wanted)
    np.testing.assert_array_equal(Denoiser(backend).filter(np.repeat(pair, 2, axis=0)[::2], 48000), wanted)


def test_probabilities_are_one_for_each_hop(backend: Backend, voiced: Array) -> None:
    stream = Stream(backend)
    count = 0
    for start in range(0, len(voiced), 1234):
        stream.process(voiced[start : start + 1234])
        assert stream.vad.dtype == np.float32
        assert ((stream.vad >= 0) & (stream.vad <= 1)).all()
        count += len(stream.vad)
        assert count == min(start + 1234, len(voiced)) // backend.hop


def test_frames_equal_the_stream(backend: Backend, voiced: Array) -> None:
    hops = len(voiced) // backend.hop
    frames = as_type(voiced, np.int16)[: hops * backend.hop].reshape(hops, -1)
    denoiser = Denoiser(backend)
    made = np.concatenate([denoiser.filter_frame(frame)[1] for frame in frames])
    wanted = Denoiser(backend).filter(frames.reshape(-1), backend.sample_rate)
    np.testing.assert_array_equal(made[backend.delay :], wanted[: len(wanted) - backend.delay])


# ---- what the protocol of State says, without a stream around it ----


def test_a_state_does_not_mind_how_many_hops_come_at_once(backend: Backend, voiced: Array) -> None:
    hops = len(voiced) // backend.hop
    block = np.stack([voiced, voiced[::-1]])[:, : hops * backend.hop].copy()
    whole, voice = backend.new_state(2).process(block)
    state = backend.new_state(2)
    single = [state.process(block[:, at : at + backend.hop].copy()) for at in range(0, block.shape[1], backend.hop)]
    np.testing.assert_array_equal(np.concatenate([cleaned for cleaned, _ in single], axis=1), whole)
    np.testing.assert_array_equal(np.concatenate([speech for _, speech in single], axis=1), voice)
    assert voice.shape == (2, hops)


def test_a_state_gives_arrays_of_its_own(backend: Backend, voiced: Array) -> None:
    state = backend.new_state(1)
    block = voiced[: backend.hop].reshape(1, -1).copy()
    first, _ = state.process(block)
    kept = first.copy()
    second, _ = state.process(block)
    assert not np.shares_memory(first, block)
    assert not np.shares_memory(first, second)
    np.testing.assert_array_equal(first, kept)


def test_a_state_refuses_what_is_not_finite_and_stays_as_it_was(backend: Backend, voiced: Array) -> None:
    block = voiced[: 20 * backend.hop].reshape(1, -1)
    state, untouched = backend.new_state(1), backend.new_state(1)
    state.process(block.copy())
    untouched.process(block.copy())
    broken = block.copy()
    broken[0, 10 * backend.hop] = np.nan
    with pytest.raises(AudioError):
        state.process(broken)
    np.testing.assert_array_equal(state.process(block.copy())[0], untouched.process(block.copy())[0])


def test_a_state_copies_and_resets(backend: Backend, voiced: Array) -> None:
    block = voiced[: 30 * backend.hop].reshape(1, -1).copy()
    state = backend.new_state(1)
    fresh = state.process(block)[0]
    twins = [state, copy.deepcopy(state), pickle.loads(pickle.dumps(state))]
    first, *others = [twin.process(block)[0] for twin in twins]
    for other in others:
        np.testing.assert_array_equal(other, first)
    state.reset()
    np.testing.assert_array_equal(state.process(block)[0], fresh)


def test_a_backend_pickles(backend: Backend, voiced: Array) -> None:
    twin = pickle.loads(pickle.dumps(backend))
    assert (twin.name, twin.sample_rate, twin.hop, twin.delay) == (
        backend.name, backend.sample_rate, backend.hop, backend.delay,
    )  # fmt: skip
    np.testing.assert_array_equal(Denoiser(twin).filter(voiced, 48000), Denoiser(backend).filter(voiced, 48000))
