"""Streams: settings, gate, latency, switching, and how chunks that do not fit are refused."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from fakes import FakeBackend
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from denoise_wrapper import AudioError, ConfigError, DenoiseError, Denoiser, Stream
from denoise_wrapper.stream.lane import least_latency
from denoise_wrapper.stream.resample import resample
from denoise_wrapper.stream.settings import Settings

Array = NDArray[Any]

PLAIN = FakeBackend("plain", gain=1.0)
HALF = FakeBackend("half", hop=250, delay=77, sample_rate=32000, gain=0.5, has_vad=False)
QUIET = FakeBackend("quiet", hop=160, delay=0, gain=0.5)


def tone(frames: int, rate: int = 48000, hertz: float = 200.0) -> Array:
    """A steady tone, too faint for the test backends to take for speech."""
    return (0.05 * np.sin(2 * np.pi * hertz * np.arange(frames) / rate)).astype(np.float32)


# ---- chunks ----


@pytest.mark.parametrize(
    ("chunk", "advice"),
    [
        (np.zeros((2, 480), np.float32), r"audio\.T"),
        (np.zeros(480, np.float32), r"\(frames, 2\)"),
        (np.zeros((480, 3), np.float32), r"\(frames, 2\)"),
        (np.zeros((480, 2), np.float16), "astype"),
        (b"1234", "bytes"),
    ],
)
def test_a_chunk_that_does_not_fit_is_refused_and_changes_nothing(chunk: Any, advice: str) -> None:
    stream, untouched = Stream(PLAIN, channels=2), Stream(PLAIN, channels=2)
    with pytest.raises(AudioError, match=advice):
        stream.process(chunk)
    signal = np.stack([tone(5000), tone(5000)], axis=1)
    np.testing.assert_array_equal(stream.process(signal), untouched.process(signal))


def test_mono_comes_as_a_row_or_a_column() -> None:
    assert Stream(PLAIN).process(np.zeros((100, 1), np.int16)).shape == (100, 1)
    assert Stream(PLAIN).process(np.zeros(100, np.int16)).shape == (100,)
    with pytest.raises(AudioError, match=r"audio\.T"):
        Stream(PLAIN).process(np.zeros((1, 100), np.int16))


def test_flush_gives_the_type_of_the_last_chunk() -> None:
    stream = Stream(PLAIN)
    assert stream.flush().dtype == np.float32
    stream.process(np.zeros((10, 1), np.int16))
    rest = stream.flush()
    assert rest.dtype == np.int16
    assert rest.shape == (stream.latency, 1)


@pytest.mark.parametrize("channels", [0, -1, 1.5, None, 300, True])
def test_an_absurd_number_of_channels_is_refused(channels: Any) -> None:
    with pytest.raises(AudioError, match="channels is a whole number"):
        Stream(PLAIN, channels=channels)


# ---- settings ----


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("atten_lim_db", -1), ("atten_lim_db", np.nan), ("atten_lim_db", "12"),
        ("mix", -0.1), ("mix", 1.1), ("mix", True),
        ("vad_threshold", 1.5), ("vad_threshold", -1), ("vad_hold", -1), ("vad_hold", np.inf),
        ("vad_gate", "close"), ("non_finite", "ignore"),
    ],
)  # fmt: skip
def test_a_setting_out_of_range_is_refused_by_name_and_value(name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=name):
        Denoiser(PLAIN, **{name: value})


def test_least_gain_is_the_attenuation() -> None:
    assert Settings().min_gain == 0
    assert Settings(atten_lim_db=0).min_gain == 1
    assert Settings(atten_lim_db=20).min_gain == pytest.approx(0.1)
    assert Settings(atten_lim_db=np.inf).min_gain == 0


# ---- resampling and latency ----


@pytest.mark.parametrize("hertz_share", [0.01, 0.2, 0.44])
@pytest.mark.parametrize(
    ("before", "after"), [(44100, 48000), (48000, 11025), (8000, 48000), (48000, 16000), (44056, 48000), (1000, 768000)]
)
def test_a_tone_stays_the_same_tone_at_another_rate(before: int, after: int, hertz_share: float) -> None:
    hertz = hertz_share * min(before, after)
    made = resample(tone(before, before, hertz).reshape(-1, 1), before, after)[:, 0]
    assert len(made) == after
    middle = slice(after // 4, 3 * after // 4)
    np.testing.assert_allclose(made[middle], tone(after, after, hertz)[middle], atol=3e-6)


@given(st.integers(1000, 192_000), st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_a_stream_at_any_rate_never_runs_dry(rate: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    stream = Stream(HALF, rate)
    for _ in range(30):
        size = int(rng.integers(0, 1 + rate // 50))
        assert len(stream.process(np.zeros(size, np.float32))) == size


def test_more_latency_can_be_reserved() -> None:
    least = least_latency(PLAIN, 48000)
    stream = Stream(PLAIN, latency=least + 1000)
    signal = tone(5000)
    made = np.concatenate([stream.process(signal), stream.flush()])
    np.testing.assert_array_equal(made[: least + 1000], 0)
    np.testing.assert_array_equal(made[least + 1000 :], signal)


@pytest.mark.parametrize("latency", [0, 958, -1, 1.5, True, 10**9])
def test_a_latency_that_cannot_be_kept_is_refused(latency: Any) -> None:
    with pytest.raises(ConfigError, match="latency is 959 to "):
        Stream(PLAIN, latency=latency)


# ---- gate ----


def bursts() -> Array:
    """Silence, 0.5 s of loud noise from 1.0 s on, silence: 3 s at 48 kHz, with a faint tone in it."""
    signal = tone(144000)
    signal[48000:72000] += 0.5 * np.random.default_rng(6).standard_normal(24000).astype(np.float32)
    return signal


def test_the_gate_mutes_what_is_not_speech_after_a_hold() -> None:
    signal = bursts()
    muted = Denoiser(PLAIN, vad_threshold=0.6, vad_hold=0.1).filter(signal, 48000)
    np.testing.assert_array_equal(muted[48000:72000], signal[48000:72000])
    assert not muted[: 48000 - 480].any()
    assert not muted[72000 + 4800 + 960 :].any()
    assert muted[72000 : 72000 + 4000].any()


def test_the_gate_fades_over_one_hop() -> None:
    signal = bursts()
    muted = Denoiser(PLAIN, vad_threshold=0.6, vad_hold=0.0).filter(signal, 48000)
    opening = muted[48000 - 480 : 48000] / signal[48000 - 480 : 48000]
    np.testing.assert_allclose(opening[1:], np.arange(2, 481) / 480, rtol=1e-3)


def test_a_gate_of_zero_is_always_open() -> None:
    signal = bursts()
    np.testing.assert_array_equal(Denoiser(PLAIN, vad_threshold=0.0).filter(signal, 48000)[480:], signal[480:])


@pytest.mark.parametrize("rate", [16000, 44100, 48000])
def test_the_gate_does_not_depend_on_chunk_size(rate: int) -> None:
    signal = bursts()[24000:120000]
    config = Settings(vad_threshold=0.6, vad_hold=0.05)
    whole = Stream(PLAIN, rate, settings=config).process(signal)
    stream = Stream(PLAIN, rate, settings=config)
    pieces = [stream.process(signal[start : start + 333]) for start in range(0, len(signal), 333)]
    np.testing.assert_array_equal(np.concatenate(pieces), whole)


def test_one_gate_opens_all_channels() -> None:
    signal = bursts()
    muted = Denoiser(PLAIN, vad_threshold=0.6).filter(np.stack([signal, tone(144000)], axis=1), 48000)
    np.testing.assert_array_equal(muted[48000:72000, 1], tone(144000)[48000:72000])


def test_a_stream_cannot_drop_frames() -> None:
    with pytest.raises(ConfigError, match="mute"):
        Denoiser(PLAIN, vad_threshold=0.5, vad_gate="drop").stream()


def test_a_backend_that_tells_no_speech_has_no_gate() -> None:
    with pytest.raises(ConfigError, match="leave vad_threshold out"):
        Denoiser(HALF, vad_threshold=0.5)
    with pytest.raises(ConfigError, match="gives no probability"):
        Denoiser(HALF).speech_probability(np.zeros(100), 32000)


# ---- switching ----


def switched(chunk: int, rate: int = 48000, second: float | None = None) -> Array:
    """A tone through PLAIN, from 0.5 s on HALF, and from some second on QUIET; with the latency cut off."""
    signal = tone(3 * rate, rate)
    stream = Stream(PLAIN, rate, latency=max(least_latency(backend, rate) for backend in (PLAIN, HALF, QUIET)))
    marks = {rate // 2: HALF} | ({} if second is None else {int(second * rate): QUIET})
    made, start = [], 0
    while start < len(signal):
        if start in marks:
            stream.switch(marks[start])
        stop = min([start + chunk, len(signal), *(mark for mark in marks if mark > start)])
        made.append(stream.process(signal[start:stop]))
        start = stop
    return np.concatenate([*made, stream.flush()])[stream.latency :]


@pytest.mark.parametrize("rate", [44100, 48000])
def test_a_switch_is_without_click_or_jump_in_time(rate: int) -> None:
    made = switched(rate, rate)
    signal = tone(3 * rate, rate)
    onset = rate // 2 + round(0.2 * rate)  # in the signal's time: the new one is heard once it has warmed up
    fade = round(0.02 * rate)
    flat = slice(200, onset)
    np.testing.assert_allclose(made[flat], signal[flat], atol=2e-4)
    np.testing.assert_allclose(made[onset + fade : -200], 0.5 * signal[onset + fade : -200], atol=2e-4)
    gains = 1 - 0.5 * np.clip((np.arange(len(signal)) - onset + 1) / fade, 0, 1)
    np.testing.assert_allclose(made[200:-200], (gains * signal)[200:-200], atol=2e-4)


@pytest.mark.parametrize("second", [0.6, 0.72, 1.5])
@pytest.mark.parametrize("chunk", [1, 333, 480, 7777])
def test_switches_do_not_depend_on_chunk_size(chunk: int, second: float) -> None:
    rate = 16000 if chunk == 1 else 48000
    np.testing.assert_array_equal(switched(chunk, rate, second), switched(5 * rate, rate, second))


def test_a_switch_during_a_fade_has_no_click() -> None:
    late = max(least_latency(backend, 48000) for backend in (PLAIN, HALF, QUIET))
    fading = 0.5 + 0.2 + 0.01 + late / 48000
    made = switched(480, 48000, fading)
    step = np.abs(np.diff(made[480:-480])).max()
    assert step <= 1.1 * np.abs(np.diff(tone(144000))).max()
    np.testing.assert_allclose(made[-24000:-480], 0.5 * tone(144000)[-24000:-480], atol=2e-4)


@pytest.mark.parametrize("rate", [44100, 48000])
def test_a_switch_between_two_models_ends_as_the_second_alone(shared: Path, rate: int) -> None:
    folder = shared / "reference" / "rnnoise"
    samples, _ = soundfile.read(folder / "street.flac", dtype="float32")
    at = rate
    stream = Denoiser("rnnoise", model=folder / "sh.rnnn").stream(rate)
    made = [stream.process(samples[:at])]
    stream.switch("rnnoise", model=folder / "bd.rnnn")
    made.append(stream.process(samples[at:]))
    alone = [Denoiser("rnnoise", model=folder / f"{name}.rnnn").stream(rate) for name in ("sh", "bd")]
    first = alone[0].process(samples)
    second = alone[1].process(samples[at:])  # what the new model hears begins with the switch
    onset = stream.latency + round(0.2 * rate)
    faded = onset + round(0.02 * rate)
    switched = np.concatenate(made)
    np.testing.assert_array_equal(switched[: at + onset], first[: at + onset])
    np.testing.assert_array_equal(switched[at + faded :], second[faded:])
    weight = np.arange(1, faded - onset + 1) / (faded - onset)
    between = first[at + onset : at + faded] * (1 - weight) + second[onset:faded] * weight
    np.testing.assert_allclose(switched[at + onset : at + faded], between, atol=1e-6)


def test_a_switch_to_a_slower_backend_names_the_latency_needed() -> None:
    slow = FakeBackend("slow", hop=960, delay=960)
    stream = Stream(PLAIN)
    with pytest.raises(ConfigError, match=r"stream\(latency=1919\)"):
        stream.switch(slow)
    signal = tone(5000)
    np.testing.assert_array_equal(stream.process(signal), Stream(PLAIN).process(signal))
    Stream(PLAIN, latency=1919).switch(slow)


def test_a_switch_keeps_the_latency_and_survives_a_pickle() -> None:
    stream = Stream(PLAIN, latency=3000)
    stream.process(tone(10_000))
    stream.switch(QUIET)
    stream.process(tone(14_000))
    assert stream.latency == 3000
    twin = pickle.loads(pickle.dumps(stream))
    np.testing.assert_array_equal(twin.process(tone(48000)), stream.process(tone(48000)))
    assert stream.backend is QUIET
    stream.reset()
    np.testing.assert_array_equal(stream.process(tone(9000)), Stream(QUIET, latency=3000).process(tone(9000)))


def test_a_switch_by_an_unknown_name_is_refused() -> None:
    with pytest.raises(Exception, match="rnnoise"):
        Stream(PLAIN).switch("rnoise")


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_a_stream_survives_whatever_is_done_with_it(data: st.DataObject) -> None:
    """Any rate, channels and type; chunks, switches, copies and resets in any order."""
    rate = data.draw(st.sampled_from([8000, 11025, 16000, 44100, 48000, 47999]))
    channels = data.draw(st.integers(1, 3))
    dtype = data.draw(st.sampled_from(["int16", "int32", "float32", "float64"]))
    config = Settings(mix=data.draw(st.sampled_from([1.0, 0.3])), atten_lim_db=data.draw(st.sampled_from([None, 12.0])))
    backends = (PLAIN, HALF, QUIET)
    stream = Stream(PLAIN, rate, channels, config, max(least_latency(backend, rate) for backend in backends))
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    for action in data.draw(
        st.lists(st.sampled_from(["chunk", "chunk", "chunk", "switch", "copy", "reset"]), max_size=30)
    ):
        if action == "switch":
            stream.switch(data.draw(st.sampled_from(backends)))
        elif action == "copy":
            stream = copy.deepcopy(stream)
        elif action == "reset":
            stream.reset()
        else:
            chunk = rng.uniform(-1, 1, (data.draw(st.integers(0, 20_000)), channels))
            chunk = chunk.astype(dtype) if dtype.startswith("f") else (chunk * 1000).astype(dtype)
            made = stream.process(chunk)
            assert (made.shape, made.dtype) == (chunk.shape, chunk.dtype)
            assert np.isfinite(made).all()
    assert stream.flush().shape[0] == stream.latency


def test_settings_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().mix = 0.5  # type: ignore[misc]


def test_a_copied_stream_shares_nothing() -> None:
    stream, alone = Stream(PLAIN, 44100), Stream(PLAIN, 44100)
    signal = tone(20000, 44100)
    for each in (stream, alone):
        each.process(signal)
    copied = copy.copy(stream)
    copied.process(signal[:777])
    np.testing.assert_array_equal(stream.process(signal), alone.process(signal))


@pytest.mark.parametrize("rate", [16000, 44100])
def test_the_loudest_samples_that_are_taken_survive_resampling(rate: int) -> None:
    square = np.where(np.arange(rate) // 53 % 2, 1, -1).astype(np.float32) * np.float32(1e5)
    stream = Denoiser().stream(rate)
    stream.process(square)
    assert np.isfinite(stream.process(tone(rate, rate))).all()


def test_a_switch_does_not_close_the_gate() -> None:
    settings = Settings(vad_threshold=0.5, vad_hold=3.0)
    stream = Stream(PLAIN, settings=settings)
    stream.process(bursts()[:72000])
    stream.switch(QUIET)
    assert np.abs(stream.process(tone(72000))[48000:]).max() > 0


@pytest.mark.parametrize(
    "spoilt", [lambda block: block[:, :-1], lambda block: block[0], lambda block: np.repeat(block, 2, 0)]
)
def test_a_backend_that_answers_with_another_size_is_named(spoilt: Any) -> None:
    stream, signal = Stream(PLAIN), tone(5000)
    lane = stream._lanes.lanes[0]
    process = lane.process

    def spoil(block: Array, least: float) -> tuple[Array, Array]:
        return spoilt(block), np.zeros((1, 1), np.float32)

    lane.process = spoil  # type: ignore[assignment]
    with pytest.raises(DenoiseError, match="plain made"):
        stream.process(signal)
    lane.process = process
    assert len(stream.process(signal)) == 5000


def test_a_backend_may_answer_in_any_layout_and_float_type() -> None:
    signal = np.stack([bursts()[40000:60000]] * 2, axis=1)
    settings = Settings(vad_threshold=0.5)
    stream, untouched = Stream(PLAIN, channels=2, settings=settings), Stream(PLAIN, channels=2, settings=settings)
    lane = stream._lanes.lanes[0]
    process = lane.process

    def odd(block: Array, least: float) -> tuple[Array, Array]:
        cleaned, voice = process(block, least)
        return np.asfortranarray(cleaned.astype(np.float64)), np.asfortranarray(voice.astype(np.float64))

    lane.process = odd  # type: ignore[assignment]
    np.testing.assert_array_equal(stream.process(signal), untouched.process(signal))


def test_whole_hops_as_a_promise_make_a_stream_late_by_the_delay_alone() -> None:
    for backend in (PLAIN, HALF, QUIET):
        stream, signal = Stream(backend, step=backend.hop), tone(20 * backend.hop)
        assert stream.latency == backend.delay
        made = np.concatenate([stream.process(part) for part in np.split(signal, 10)] + [stream.flush()])
        whole = Stream(backend)
        wanted = np.concatenate([whole.process(signal), whole.flush()])[whole.latency :]
        np.testing.assert_array_equal(made[backend.delay :], wanted)
        with pytest.raises(AudioError, match=f"multiple of {backend.hop} frames, not of {backend.hop + 1}"):
            stream.process(tone(backend.hop + 1))
    for step in (0, -1, 1.5, True, None):
        with pytest.raises(ConfigError, match="step is a number of frames"):
            Stream(PLAIN, step=step)  # type: ignore[arg-type]
    assert Stream(PLAIN, step=160).latency == PLAIN.delay + PLAIN.hop - 160


def test_the_time_of_the_stages_is_added_up() -> None:
    seconds = {"denoising": 0.0, "resampling": 0.0}
    timed, plain = Stream(PLAIN, 44100, seconds=seconds), Stream(PLAIN, 44100)
    np.testing.assert_array_equal(timed.process(tone(9000)), plain.process(tone(9000)))
    first = dict(seconds)
    assert min(first.values()) > 0
    timed.flush()
    assert seconds["denoising"] > first["denoising"]
    assert seconds["resampling"] > first["resampling"]


def test_a_limit_is_changed_without_a_click_and_a_pickle_goes_on_in_the_midst() -> None:
    samples = 0.1 * np.random.default_rng(7).standard_normal(96000).astype(np.float32)
    stream = Denoiser("rnnoise").stream(48000)
    before = stream.process(samples[:48000])
    stream.limit(0.0)
    assert stream.settings.atten_lim_db == 0.0
    first = stream.process(samples[48000:50000])
    copied = pickle.loads(pickle.dumps(stream))  # while the old strength is still heard
    rest = stream.process(samples[50000:])
    np.testing.assert_array_equal(copied.process(samples[50000:]), rest)
    cleaned = np.concatenate([before, first, rest])
    late = cleaned[72000:] - samples[72000 - stream.latency : -stream.latency]
    assert np.sqrt(np.mean(late**2)) < 1e-2 * np.sqrt(np.mean(samples**2))  # a limit of 0 dB passes all
    assert np.sqrt(np.mean(before[24000:] ** 2)) < 0.3 * np.sqrt(np.mean(samples**2))
    assert np.abs(cleaned).max() < 1.1 * np.abs(samples).max()
    with pytest.raises(ConfigError):
        stream.limit(-1.0)
