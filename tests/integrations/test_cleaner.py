"""One track for all frameworks: in time with what came, whatever is changed on the way."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from agents import clip, ratio_db

from denoise_wrapper import Denoiser
from denoise_wrapper.errors import ConfigError
from denoise_wrapper.integrations.cleaner import Cleaner
from denoise_wrapper.stream.resample import resample

RATE = 48000
NOISY = clip(2.0)


def run(cleaner: Cleaner, samples: Any, size: int = 480, rate: int = RATE) -> tuple[Any, int]:
    """All of a clip, the rest too, and how late it is."""
    made = [cleaner.process(samples[start : start + size], rate) for start in range(0, len(samples), size)]
    latency = cleaner.latency
    return np.concatenate([*made, cleaner.flush().reshape(-1, *samples.shape[1:])]), latency


@pytest.mark.parametrize("size", [1000, 480, 441, 128])
def test_a_track_is_what_filter_gives(size: int) -> None:
    made, latency = run(Cleaner(), NOISY, size)
    assert latency == Denoiser().latency(RATE)
    np.testing.assert_array_equal(made[latency:], Denoiser().filter(NOISY, RATE))


@pytest.mark.parametrize("dtype", ["int16", "int32", "float32", "float64"])
def test_a_bypass_is_the_same_samples_as_late(dtype: str) -> None:
    noisy = NOISY.astype(dtype) / (1 if dtype.startswith("int") else 32768)
    noisy = noisy.astype(dtype)
    made, latency = run(Cleaner(enabled=False), noisy)
    assert latency == Denoiser().latency(RATE)
    np.testing.assert_array_equal(made[latency:], noisy)


def test_bypass_comes_and_goes_without_a_click() -> None:
    """A tone, which all pass with a limit of 0 dB: what is heard stays a tone."""
    tone = (8000 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)).astype(np.int16)
    cleaner = Cleaner(Denoiser(atten_lim_db=0.0))
    made = []
    for number, start in enumerate(range(0, RATE, 480)):
        cleaner.enabled = number % 20 < 10
        made.append(cleaner.process(tone[start : start + 480], RATE))
    heard = np.concatenate(made)[cleaner.latency + 480 :].astype(float)
    assert np.abs(np.diff(heard)).max() < 1.1 * np.abs(np.diff(tone.astype(float))).max()


def test_a_change_of_form_loses_nothing_and_gets_no_sooner() -> None:
    """The same tone at other rates and numbers of channels, one after the other."""
    forms = [(48000, 1), (16000, 1), (44100, 2), (24000, 1), (48000, 1)]
    cleaner, heard, late_s = Cleaner(Denoiser(atten_lim_db=0.0)), [], []
    for number, (rate, channels) in enumerate(forms):
        time = number * 0.5 + np.arange(rate // 2) / rate
        tone = np.repeat((8000 * np.sin(2 * np.pi * 440 * time)).astype(np.int16)[:, None], channels, axis=1)
        made = [cleaner.process(tone[at : at + rate // 50], rate) for at in range(0, len(tone), rate // 50)]
        late_s.append(cleaner.latency / rate)
        each = np.concatenate(made).astype(np.float32)[:, :1]
        heard.append(each if rate == RATE else resample(np.ascontiguousarray(each), rate, RATE))
        assert all(block.shape[1] == channels for block in made)
    assert late_s == sorted(late_s)
    signal = np.concatenate(heard)[:, 0]
    levels = np.sqrt(np.mean(signal[: len(signal) // 480 * 480].reshape(-1, 480) ** 2, axis=1))[4:]
    gap_s = late_s[-1] - late_s[0]  # where a later form waits for more
    assert np.sum(levels < 4000) * 0.01 < gap_s + 0.03


def test_settings_change_while_a_track_goes_on() -> None:
    cleaner = Cleaner(latency_s=0.1)
    cleaner.process(NOISY[:480], RATE)
    assert cleaner.latency == round(0.1 * RATE)
    cleaner.update({"backend": "dtln-16k", "preset": "broadcast"})
    assert cleaner.backend == "dtln-16k"
    made, latency = run(cleaner, NOISY)
    assert latency == round(0.1 * RATE)
    assert len(made) == len(NOISY) + latency
    wanted, before = (Denoiser(name, preset="broadcast").filter(NOISY, RATE)[RATE:] for name in ("dtln-16k", "rnnoise"))
    heard = made[latency + RATE :]
    assert ratio_db(wanted, heard) > ratio_db(wanted, before) + 10  # a network that began later, but that one
    made, latency = run(cleaner, NOISY)  # another track, with the settings that were asked for
    np.testing.assert_array_equal(made[latency:], Denoiser("dtln-16k", preset="broadcast").filter(NOISY, RATE))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"loudness": 3}, "loudness"),
        ({"preset": "loud"}, "preset"),
        ({"atten_lim_db": -1, "enabled": False}, "atten_lim_db"),
        ({"backend": "dtln-16k", "enabled": False}, "latency"),
    ],
)
def test_what_cannot_be_is_said_and_nothing_is_changed(settings: dict[str, Any], said: str) -> None:
    cleaner = Cleaner()
    cleaner.process(NOISY[:160], 16000 if said != "latency" else RATE)
    with pytest.raises(ConfigError, match=said):
        cleaner.update(settings)
    assert cleaner.backend == "rnnoise"
    assert cleaner.enabled


def test_settings_that_no_stream_can_have_are_refused_at_once() -> None:
    with pytest.raises(ConfigError, match="drop"):
        Cleaner(Denoiser(vad_threshold=0.5, vad_gate="drop"))
    with pytest.raises(ConfigError, match="latency_s"):
        Cleaner(latency_s=-1.0)


def test_a_pickle_is_a_fresh_one_with_the_same_settings() -> None:
    cleaner = Cleaner(Denoiser("rnnoise-classic", preset="voice"), latency_s=0.05)
    cleaner.process(NOISY[:4800], RATE)
    other = pickle.loads(pickle.dumps(cleaner))
    made, latency = run(other, NOISY)
    assert latency == round(0.05 * RATE)
    np.testing.assert_array_equal(made[latency:], Denoiser("rnnoise-classic", preset="voice").filter(NOISY, RATE))


def test_the_probability_of_speech_is_there_while_a_track_goes_on() -> None:
    told: list[float | None] = []
    cleaner = Cleaner()
    assert cleaner.probability is None
    for start in range(0, len(NOISY), 480):
        cleaner.process(NOISY[start : start + 480], RATE)
        told.append(cleaner.probability)
    assert max(each for each in told if each is not None) > 0.9
    assert min(each for each in told[10:] if each is not None) < 0.3
    other = Cleaner("dtln-16k")
    other.process(NOISY, RATE)
    assert other.probability is None
