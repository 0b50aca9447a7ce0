"""The engine answers as the formulas do, computed slowly and plainly in float64: reference_signal.py and the networks.

**The pitch.** It is a choice between candidates, and where two are as good as each other float32 may choose otherwise
than float64. It did so, on the signals here, in frames of silence alone, where what is left of the high-pass is all
there is to choose by and nothing follows from the choice. So that one such frame elsewhere (another compiler, another
processor) cannot hide what is wrong, or make wrong what is right, the reference goes by the engine's pitch frame after
frame, and finds its own beside it from the same past: both must be the same in 99 % of the frames that are not silent.

**Integers.** An int8 map takes its inputs in steps of 1/127. An input that lies on the edge between two steps may fall
to either side, 1/127 apart, and what a recurrent network makes of that is not told by any rounding error. Therefore:
with the weights as floats the whole must agree to 80 dB as any other network; with int8 weights one frame of the
network must, begun from the engine's own memory, with the steps computed, in 95 % of frames; and the whole, against
the formulas without steps, to 45 dB (48 to 59 dB are what 1/127 makes of the networks here).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import reference_classic
import reference_v02
import soundfile
from blobs import random_blob
from engine import Heard, run_engine
from numpy.typing import NDArray
from recorded import ISAS, WARM_UP, make_backend, signal_to_difference_db
from reference_signal import FRAME, Denoiser, Network

import denoise_wrapper
from denoise_wrapper.backends.convert import encode_model, read_any_model
from denoise_wrapper.models.classic import SHAPES, ClassicModel, Layer

Float64 = NDArray[np.float64]
SHIPPED = sorted((Path(denoise_wrapper.__file__).parent / "models").glob("rnnoise*.dnnw"))
IN_INTEGERS = [path for path in SHIPPED if b"_weights_int8\0" in path.read_bytes()]
PUBLISHED = ["bd.rnnn", "cb.rnnn", "lq.rnnn", "mp.rnnn", "sh.rnnn", "default.rnn", "random_v02.bin"]
FRAMES = 300


@cache
def speechlike() -> NDArray[np.float32]:
    """Vowels of a gliding pitch, loud and soft, with pauses, in noise, a click, hum, and a stretch of silence."""
    rng = np.random.default_rng(11)
    t = np.arange(FRAMES * FRAME) / 48000
    phase = 2 * np.pi * np.cumsum(150 + 70 * np.sin(2 * np.pi * 0.6 * t)) / 48000
    tone = sum(np.cos(k * phase) / k * np.exp(-(((k * 150 - 700) / 1200) ** 2)) for k in range(1, 30))
    loudness = 0.02 + 0.3 * np.sin(2 * np.pi * 0.4 * t) ** 2
    speech = loudness * tone * (np.sin(2 * np.pi * 2.1 * t) > -0.2)
    signal = speech + 0.015 * rng.standard_normal(len(t)) + 0.01 * np.sin(2 * np.pi * 50 * t)
    signal[100000] = 0.9
    return np.asarray(signal * (abs(t - 1.2) > 0.15) + 0.001, np.float32)


Followed = tuple[Float64, Float64, Float64]
_last: dict[object, Followed] = {}  # of the formulas: instruction sets that choose one pitch are compared with one run


def follow(model: bytes | Path, network: Network, audio: NDArray[np.float32], answer: Heard) -> Followed:
    """Run the formulas with the engine's pitch: audio, voice, and the distance of their own pitch from it.

    model: whose network it is. The last: (frames that are not silent, 2), of the periods in samples and of the gains.
    """
    key = model, audio.tobytes(), tuple(answer.pitch)
    if key not in _last:
        _last.clear()
        _last[key] = _follow(network, audio, answer)
    return _last[key]


def _follow(network: Network, audio: NDArray[np.float32], answer: Heard) -> Followed:
    reference, cleaned, voice, apart = Denoiser(network), [], [], []
    for frame, pitch in zip(np.split(audio.astype(np.float64), len(audio) // FRAME), answer.pitch, strict=True):
        out, probability = reference.frame(frame, pitch)
        cleaned.append(out)
        voice.append(probability)
        if reference.held.energy.sum() >= 0.04:
            apart.append(np.subtract(reference.own_pitch, pitch))
    return np.concatenate(cleaned), np.array(voice), np.abs(apart)


def assert_agrees(model: bytes | Path, isa: str, network: Network, audio: NDArray[np.float32]) -> None:
    answer = run_engine(make_backend(model, isa), audio)
    wanted, voice, apart = follow(model, network, audio, answer)
    same = apart[:, 0] == 0
    agreement_db = signal_to_difference_db(wanted, answer.cleaned)
    print(
        f"{agreement_db:.1f} dB; voice within {abs(answer.voice - voice).max():.1e}; pitch equal in {same.mean():.2%}"
    )
    assert len(same) > 0.8 * len(voice)
    assert same.mean() >= 0.99
    assert apart[same, 1].max() < 1e-3
    assert agreement_db >= 80
    np.testing.assert_allclose(answer.voice, voice, atol=5e-4)


@cache
def pitches() -> NDArray[np.float32]:
    """Harmonics of many pitches, each for 0.1 s, some with every other one weak, so that octaves are hard to tell."""
    rng = np.random.default_rng(12)
    t = np.arange(10 * FRAME) / 48000
    parts = []
    for _ in range(120):
        f0, tilt, odd = np.exp(rng.uniform(np.log(60), np.log(800))), rng.uniform(0.3, 1.5), rng.uniform(0, 1)
        strengths = [k**-tilt * (1 if k % 2 else odd) for k in range(1, int(6000 / f0) + 2)]
        tone = sum(a * np.cos(2 * np.pi * k * f0 * t + rng.uniform(0, 6)) for k, a in enumerate(strengths, 1))
        parts.append(0.2 * tone / np.std(tone) + rng.choice([0.005, 0.05, 0.1]) * rng.standard_normal(len(t)))
    return np.asarray(0.5 * np.concatenate(parts), np.float32)


@pytest.mark.parametrize("isa", ISAS)
def test_the_pitch_is_that_of_the_formulas(isa: str) -> None:
    model = random_classic((1, 1, 1, 1), ("tanh", "tanh", "tanh"))
    encoded = encode_model(model, ".dnnw")
    answer = run_engine(make_backend(encoded, isa), pitches())
    layers = [
        reference_classic.Layer(item.activation, item.weights, item.recurrent, item.bias) for item in model.layers
    ]
    _, _, apart = follow(encoded, reference_classic.Network(layers), pitches(), answer)
    same = apart[:, 0] == 0
    print(f"the same in {same.sum()} of {len(same)}, gains within {apart[same, 1].max():.1e}")
    assert len(same) == 1200
    assert np.sum(~same) <= 1  # see above; none on the machine that this was written on
    assert apart[same, 1].max() < 1e-3
    assert len({period for period, _ in answer.pitch}) > 150


def random_classic(sizes: tuple[int, int, int, int], activations: tuple[str, str, str]) -> ClassicModel:
    """Random weights of the variance that trained ones have; activations of the three GRUs."""
    rng = np.random.default_rng(sum(sizes))
    dense, vad, noise, denoise = sizes
    inputs = [42, dense, 42 + dense + vad, 42 + vad + noise, denoise, vad]
    layers = []
    for (name, is_gru), i, n, act in zip(
        SHAPES, inputs, [*sizes, 22, 1], ["tanh", *activations, "sigmoid", "sigmoid"], strict=True
    ):
        columns = 3 * n if is_gru else n

        def draw(rows: int, columns: int) -> NDArray[np.int8]:
            return np.clip(np.round(256 * rng.normal(0, 0.8 / np.sqrt(rows), (rows, columns))), -128, 127).astype(
                np.int8
            )

        layers.append(Layer(name, act, draw(i, columns), draw(n, columns) if is_gru else None, draw(16, columns)[0]))
    return ClassicModel(tuple(layers))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(
    ("sizes", "activations"),
    [
        ((24, 24, 48, 96), ("relu", "relu", "relu")),
        ((24, 24, 48, 96), ("tanh", "relu", "tanh")),
        ((1, 1, 1, 1), ("tanh", "tanh", "sigmoid")),
        ((33, 40, 9, 63), ("sigmoid", "tanh", "relu")),
        ((70, 33, 130, 201), ("tanh", "relu", "tanh")),
    ],
)
def test_a_classic_network_answers_as_its_formulas(
    sizes: tuple[int, int, int, int], activations: tuple[str, str, str], isa: str
) -> None:
    model = random_classic(sizes, activations)
    layers = [
        reference_classic.Layer(item.activation, item.weights, item.recurrent, item.bias) for item in model.layers
    ]
    assert_agrees(encode_model(model, ".dnnw"), isa, reference_classic.Network(layers), speechlike())


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize(("first", "units"), [(1, 8), (13, 24), (16, 24), (64, 96), (96, 128), (128, 384)])
def test_a_v02_network_answers_as_its_formulas(first: int, units: int, sparse: bool, isa: str) -> None:
    blob = random_blob(first, units, sparse and units > 8)
    assert_agrees(blob, isa, reference_v02.Network(blob), speechlike())


def in_floats(model: Path) -> tuple[bytes, Callable[[], Network]]:
    """A model as bytes for the engine, without integers but those that are exact, and its network by the formulas."""
    known = read_any_model(model)
    if known.family == "v0.2":
        blob = reference_v02.without_integers(model.read_bytes())
        return blob, lambda: reference_v02.Network(blob)
    text = encode_model(known, ".rnnn")
    return text, lambda: reference_classic.Network(reference_classic.read_text(text))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_model_answers_as_its_formulas(path: Path, isa: str) -> None:
    model, network = in_floats(path)
    assert_agrees(model, isa, network(), speechlike())


def recording(shared: Path, clip: str = "snr0") -> NDArray[np.float32]:
    audio, _ = soundfile.read(shared / f"reference/rnnoise/{clip}.flac", dtype="float32")
    return np.asarray(audio[: len(audio) // FRAME * FRAME], np.float32)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", [*PUBLISHED, *(path.name for path in SHIPPED)])
def test_a_recording_is_cleaned_as_by_the_formulas(shared: Path, name: str, isa: str) -> None:
    folder = shared / "reference/rnnoise" if name in PUBLISHED else SHIPPED[0].parent
    model, network = in_floats(folder / name)
    assert_agrees(model, isa, network(), recording(shared)[: FRAMES * FRAME])


@pytest.mark.parametrize(("name", "least_db"), [("default.rnn", 40), ("random_v02.bin", 45)])
def test_the_formulas_answer_as_the_original_library(shared: Path, name: str, least_db: float) -> None:
    folder, stem = shared / "reference/rnnoise", name.partition(".")[0]
    wanted, _ = soundfile.read(folder / f"snr0.{stem}.flac")
    wanted_voice = np.load(folder / f"snr0.{stem}.vad.npy")
    _, network = in_floats(folder / name)
    cleaned, voice = Denoiser(network()).process(recording(shared)[: len(wanted_voice) * FRAME].astype(np.float64))
    got = np.clip(cleaned, -1, 1)
    assert signal_to_difference_db(wanted[WARM_UP : len(got)], got[WARM_UP : len(wanted)]) >= least_db
    assert np.mean(np.abs(voice - wanted_voice) <= 0.01) >= 0.99


# ---- integers ----


def remember(network: reference_v02.Network, memory: NDArray[np.float32]) -> None:
    """Gives the network the memories of the engine's: (frames, floats)."""
    sizes = np.cumsum([2 * 65, 2 * network.first, *[network.units] * 4])
    floats = memory[:, : sizes[-1]].astype(np.float64)
    network.past1, network.past2, *network.seen = np.split(floats, sizes[:-1], axis=1)


def assert_integers_agree(blob: bytes, isa: str, audio: NDArray[np.float32]) -> None:
    """Each frame from the engine's memory: with the steps; and the whole: without them."""
    answer = run_engine(make_backend(blob, isa), audio)
    network = reference_v02.Network(blob, rounded=True)
    begins = 2 * (65 + network.first)
    ends = begins + 4 * network.units
    before, after = answer.memory[:-1], answer.memory[1:]
    was_run = (before[:, :ends] != after[:, :ends]).any(axis=1)  # it is not in silence
    before, after = before[was_run], after[was_run]
    remember(network, before)
    _, wanted_voice = network.run(after[:, 65:130].astype(np.float64))  # the newest features are remembered, too
    seen = np.concatenate(network.seen, axis=1)
    agreement_db = [signal_to_difference_db(*pair) for pair in zip(seen, after[:, begins:ends], strict=True)]
    voice_apart = abs(wanted_voice - answer.voice[1:][was_run])
    cleaned, voices, _ = follow(blob, reference_v02.Network(blob), audio, answer)
    whole_db = signal_to_difference_db(cleaned, answer.cleaned)
    print(
        f"{np.median(agreement_db):.0f} dB, {np.mean(np.array(agreement_db) >= 80):.1%} above 80; "
        f"without steps {whole_db:.1f} dB, voice within {abs(voices - answer.voice).max():.1e}"
    )
    assert len(agreement_db) > 0.8 * len(answer.voice)
    assert np.mean(np.array(agreement_db) >= 80) >= 0.95
    assert np.mean(voice_apart < 1e-5) >= 0.95
    assert whole_db >= 45
    np.testing.assert_allclose(answer.voice, voices, atol=0.01)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize(("first", "units"), [(16, 24), (64, 96), (128, 384)])
def test_integer_weights_answer_as_what_they_stand_for(first: int, units: int, sparse: bool, isa: str) -> None:
    assert_integers_agree(random_blob(first, units, sparse, quantised=True), isa, speechlike())


@pytest.mark.parametrize("isa", ISAS)
def test_the_integer_without_an_opposite_is_an_integer_like_others(isa: str) -> None:
    blob = bytearray(random_blob(16, 24, quantised=True))
    for name in (b"conv2_weights_int8", b"gru2_recurrent_weights_int8"):
        payload = blob.index(name) + 44
        blob[payload : payload + 8] = 8 * b"\x80"  # -128, which no writer of ours writes
    assert_integers_agree(bytes(blob), isa, speechlike())


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("path", IN_INTEGERS, ids=lambda path: path.stem)
def test_integer_weights_of_a_shipped_model_answer_as_what_they_stand_for(path: Path, isa: str) -> None:
    assert_integers_agree(path.read_bytes(), isa, speechlike())


@pytest.mark.parametrize("isa", ISAS)
def test_integer_weights_clean_a_recording_as_what_they_stand_for(shared: Path, isa: str) -> None:
    blob = (shared / "reference/rnnoise/random_v02.bin").read_bytes()
    assert_integers_agree(blob, isa, recording(shared)[: FRAMES * FRAME])
