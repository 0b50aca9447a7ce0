"""Every instruction set gives what plain C gives, each the same bits every time; forced by argument or environment."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from blobs import random_blob
from numpy.typing import NDArray
from recorded import ISAS, make_backend, signal_to_difference_db
from speech import speechlike

from denoise_wrapper import Denoiser
from denoise_wrapper.backends.native import FRAME, known_instruction_sets
from denoise_wrapper.backends.rnnoise import RNNoiseBackend, instruction_sets
from denoise_wrapper.errors import ConfigError
from denoise_wrapper.models.shipped import MODELS

Float32 = NDArray[np.float32]

LEAST_DB = 60.0
OTHERS = [isa for isa in ISAS if isa != "scalar"]
NETWORKS = {
    "default": None,
    "classic": MODELS / "rnnoise-classic.dnnw",
    "random v0.2, int8": random_blob(64, 96, quantised=True),
    "random v0.2, sparse int8": random_blob(32, 64, sparse=True, quantised=True),
    "random v0.2, float": random_blob(36, 48),
}


def cleaned(network: str, isa: str, audio: Float32) -> Float32:
    """audio (n * 480,) from fresh state; the test is skipped where the processor lacks the set."""
    return make_backend(NETWORKS[network], isa).new_state(1).process(audio[None])[0][0]


def white_noise(frames: int) -> Float32:
    return (0.1 * np.random.default_rng(1).standard_normal(frames * FRAME)).astype(np.float32)


@pytest.mark.parametrize("isa", OTHERS)
@pytest.mark.parametrize("network", NETWORKS)
def test_made_signals_are_cleaned_as_by_plain_c(network: str, isa: str) -> None:
    for audio in (speechlike(400), white_noise(400)):
        apart_db = signal_to_difference_db(cleaned(network, "scalar", audio), cleaned(network, isa, audio))
        print(f"{network}, {isa}: {apart_db:.1f} dB")
        assert apart_db >= LEAST_DB


@pytest.mark.parametrize("isa", OTHERS)
@pytest.mark.parametrize("network", NETWORKS)
def test_recordings_are_cleaned_as_by_plain_c(shared: Path, network: str, isa: str) -> None:
    """Speech in noise, every third clip of the development set; those of 16 kHz by way of the resampler."""
    files = sorted((shared / "dev" / "noisy").glob("*.flac"))[::3]
    assert files
    plain, other = (Denoiser(make_backend(NETWORKS[network], which)) for which in ("scalar", isa))
    answers = []
    for file in files:
        noisy, rate = soundfile.read(file, dtype="float32")
        noisy = noisy[: 5 * rate]
        answers.append(signal_to_difference_db(plain.filter(noisy, rate), other.filter(noisy, rate)))
    print(f"{network}, {isa}: {min(answers):.1f} dB at least, median {np.median(answers):.1f} dB")
    assert min(answers) >= LEAST_DB


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("network", NETWORKS)
def test_each_gives_the_same_bits_every_time(network: str, isa: str) -> None:
    audio = speechlike(100)
    first = cleaned(network, isa, audio)
    for _ in range(3):
        assert np.array_equal(cleaned(network, isa, audio), first)


def test_the_fastest_is_chosen_and_plain_c_always_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DENOISE_WRAPPER_ISA", raising=False)
    assert RNNoiseBackend().isa == instruction_sets()[0]
    assert instruction_sets()[-1] == known_instruction_sets()[-1] == "scalar"


@pytest.mark.parametrize("isa", ISAS)
def test_the_environment_forces_a_set(monkeypatch: pytest.MonkeyPatch, isa: str) -> None:
    if isa not in instruction_sets():
        pytest.skip(f"this processor has no {isa}")
    monkeypatch.setenv("DENOISE_WRAPPER_ISA", isa)
    backend = RNNoiseBackend()
    assert backend.isa == isa
    by_name = RNNoiseBackend(isa=isa)
    audio = speechlike(20)[None]
    assert np.array_equal(backend.new_state(1).process(audio)[0], by_name.new_state(1).process(audio)[0])


def test_the_argument_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DENOISE_WRAPPER_ISA", "no such set")
    assert RNNoiseBackend(isa="scalar").isa == "scalar"


@pytest.mark.parametrize("wrong", ["mmx", "AVX2", "avx2 scalar", " "])
def test_an_unknown_name_is_told_the_known_ones(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    with pytest.raises(ConfigError) as by_argument:
        RNNoiseBackend(isa=wrong)
    monkeypatch.setenv("DENOISE_WRAPPER_ISA", wrong)
    with pytest.raises(ConfigError) as by_environment:
        RNNoiseBackend()
    for raised in (by_argument, by_environment):
        assert repr(wrong) in str(raised.value)
        assert all(name in str(raised.value) for name in known_instruction_sets())
