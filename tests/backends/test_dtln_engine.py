"""The DTLN in the engine: against float64, ONNX Runtime, other instruction sets, other cuts and other neighbours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from pairs import make_pair
from recorded import ISAS, signal_to_difference_db
from reference_dtln import run_reference
from speech import speechlike

from denoise_wrapper.backends.dtln import PRECISIONS, DTLNBackend
from denoise_wrapper.backends.rnnoise import instruction_sets

Array = NDArray[Any]
NAMES = ("dtln-16k", "dtln-32k")
ODD_SIZES = ((64, 5), (128, 16), (2048, 24))  # samples of a block, units


def noisy_speech(backend: DTLNBackend, hops: int, seed: int = 1) -> Array:
    """float32 (hops * hop,): vowels in noise, of a spectrum that hangs on the rate."""
    samples = hops * backend.hop
    speech = np.resize(speechlike(samples // 480 + 1), samples)
    noise = np.random.default_rng(seed).standard_normal(samples)
    return (speech + 0.02 * noise).astype(np.float32)


def run(backend: DTLNBackend, signal: Array, cuts: tuple[int, ...] = (), min_gain: float = 0.0) -> Array:
    """What is made of (channels, n * hop), cut behind these hops."""
    state = backend.new_state(len(signal))
    parts = np.split(signal, [cut * backend.hop for cut in cuts], axis=1)
    return np.concatenate([state.process(np.ascontiguousarray(part), min_gain)[0] for part in parts], axis=1)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("isa", ISAS)
def test_floats_give_what_the_formulas_give(name: str, isa: str) -> None:
    if isa not in instruction_sets():
        pytest.skip(f"this processor has no {isa}")
    backend = DTLNBackend(name=name, precision="float", isa=isa)
    signal = noisy_speech(backend, 120)
    apart_db = signal_to_difference_db(run_reference(backend.data, signal), run(backend, signal[None])[0])
    print(f"{name}, {isa}: {apart_db:.1f} dB")
    assert (
        apart_db >= 65
    )  # bins without sound hold what their transform in 32 bits was rounded by, and logarithms see it


@pytest.mark.parametrize("name", NAMES)
def test_floats_give_what_onnx_runtime_gives_on_recordings(shared: Path, name: str) -> None:
    engine, other = DTLNBackend(name=name, precision="float"), DTLNBackend(name=name, runtime="onnxruntime")
    files = sorted((shared / "dev" / "noisy").glob("*.flac"))[::4]
    assert files
    answers = []
    for file in files:
        noisy, rate = soundfile.read(file, dtype="float32")
        noisy = noisy[: 4 * rate]
        if rate != engine.sample_rate:  # a change of speed is no worse a test of likeness
            noisy = np.interp(
                np.arange(4 * engine.sample_rate) * rate / engine.sample_rate, np.arange(len(noisy)), noisy
            )
        noisy = noisy[: len(noisy) // engine.hop * engine.hop].astype(np.float32)[None]
        answers.append(signal_to_difference_db(run(other, noisy), run(engine, noisy)))
    print(f"{name}: {min(answers):.1f} dB at least, median {np.median(answers):.1f} dB")
    assert min(answers) >= 60


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", NAMES)
def test_no_bit_depends_on_the_cut_or_on_the_neighbours(name: str, precision: str) -> None:
    backend = DTLNBackend(name=name, precision=precision)
    channels = np.stack([noisy_speech(backend, 40, seed) for seed in range(11)])  # more than go together at once
    whole = run(backend, channels)
    np.testing.assert_array_equal(run(backend, channels, (1, 2, 5, 6, 17, 30)), whole)
    for index in (0, 3, 10):
        np.testing.assert_array_equal(run(backend, channels[index : index + 1], (7, 8, 9)), whole[index : index + 1])
    states = [backend.new_state(1) for _ in channels]
    blocks = [channels[index : index + 1] for index in range(len(channels))]
    together = backend.process_many(states, blocks)
    np.testing.assert_array_equal(np.concatenate([cleaned for cleaned, _ in together]), whole)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("isa", [isa for isa in ISAS if isa != "scalar"])
def test_every_instruction_set_gives_what_plain_c_gives(precision: str, isa: str) -> None:
    if isa not in instruction_sets():
        pytest.skip(f"this processor has no {isa}")
    plain, other = (DTLNBackend(precision=precision, isa=which) for which in ("scalar", isa))
    signal = noisy_speech(plain, 100)[None]
    apart_db = signal_to_difference_db(run(plain, signal), run(other, signal))
    print(f"{precision}, {isa}: {apart_db:.1f} dB")
    assert apart_db >= 80


@pytest.mark.parametrize(("block", "units"), ODD_SIZES)
def test_pairs_of_odd_sizes_give_what_onnx_runtime_gives(
    monkeypatch: pytest.MonkeyPatch, block: int, units: int
) -> None:
    from denoise_wrapper.backends import dtln

    monkeypatch.setitem(dtln.RATES, "odd", round(block / dtln.BLOCK_S))
    pair = make_pair(block, units)
    engine, other = (DTLNBackend(pair, "odd", runtime=runtime) for runtime in ("engine", "onnxruntime"))
    signal = np.stack([noisy_speech(engine, 60, seed) for seed in (1, 2, 3)])
    assert signal_to_difference_db(run(other, signal), run(engine, signal)) >= 80
    rounded = run(DTLNBackend(pair, "odd", precision="int8"), signal)
    assert signal_to_difference_db(run(engine, signal), rounded) >= 15


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_least_gain_is_the_share_of_the_late_original(precision: str) -> None:
    backend = DTLNBackend(precision=precision)
    signal = noisy_speech(backend, 30)[None]
    late = np.concatenate([np.zeros((1, backend.delay), np.float32), signal], axis=1)[:, : signal.shape[1]]
    np.testing.assert_array_equal(run(backend, signal, (3, 4, 20), min_gain=1.0), late)
    wanted = 0.75 * run(backend, signal).astype(float) + 0.25 * late
    np.testing.assert_allclose(run(backend, signal, (5,), min_gain=0.25), wanted, atol=1e-7)


def test_silence_clicks_and_the_loudest_samples_give_finite_samples() -> None:
    for precision in PRECISIONS:
        backend = DTLNBackend(precision=precision)
        signal = np.zeros((1, 40 * backend.hop), np.float32)
        signal[0, 2000] = 1.0
        signal[0, 3000:3500] = 1e6 * (-1.0) ** np.arange(500)
        signal[0, 4000:4200] = 1e-39
        assert np.isfinite(run(backend, signal)).all()


def test_a_saved_state_of_other_weights_is_refused() -> None:
    from denoise_wrapper import ModelError

    state, other = DTLNBackend(make_pair()).new_state(1), DTLNBackend(make_pair(seed=5)).new_state(1)
    with pytest.raises(ModelError, match="saved"):
        other.restore(state.saved())  # type: ignore[attr-defined]
