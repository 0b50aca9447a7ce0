"""The enhancer in the engine: it answers as its formulas and as torch do, and its files are read with care."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import reference_enhancer
from enhancer_files import (
    ALL_TAPS,
    ALONE_GUIDED,
    DEPTHWISE,
    FEW_HALVED,
    FEW_ROWS,
    FULL,
    GUIDED,
    MANY_HEADS,
    ROWS,
    SINGLE,
    SMALL,
    TAPPED,
    TINY,
    WIDE_HALVED,
    random_enhancer,
)
from guiding import process_guided
from numpy.typing import NDArray
from recorded import ISAS, signal_to_difference_db
from speech import speechlike

from denoise_wrapper import Denoiser, backend_names
from denoise_wrapper.backends import load_backend
from denoise_wrapper.backends.enhancer import EnhancerBackend
from denoise_wrapper.backends.native import FRAME
from denoise_wrapper.backends.rnnoise import RNNoiseBackend
from denoise_wrapper.cli import main as cli
from denoise_wrapper.compare.candidates import parse_candidate
from denoise_wrapper.errors import AudioError, ConfigError, ModelError
from denoise_wrapper.models.enhancer import Sizes, decode_enhancer, encode_enhancer
from denoise_wrapper.models.records import HEAD, record
from denoise_wrapper.models.shipped import MODELS

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
SIZES = {"full": FULL, "tiny": TINY, "small": SMALL, "single": SINGLE, "many heads": MANY_HEADS,
         "rows": ROWS, "few rows": FEW_ROWS, "taps": TAPPED, "all taps": ALL_TAPS,
         "depthwise": DEPTHWISE, "few halved": FEW_HALVED, "wide halved": WIDE_HALVED}  # fmt: skip


GUIDED_SIZES = {"guided": GUIDED, "guided without taps": ALONE_GUIDED, "guided, mixed": ALL_TAPS._replace(guided=True)}
ROUNDED = ("avx2", "avx512")  # sets that multiply rows in integers of 16 bits


def least_db(data: bytes, isa: str, by_floats: float) -> float:
    """How near the engine is to the formulas at least: the signal over the difference."""
    return 70 if isa in ROUNDED and decode_enhancer(data)[0].kind == "rows" else by_floats


def make_backend(data: bytes, isa: str) -> EnhancerBackend:
    """The backend; the test is skipped where the processor lacks the set."""
    try:
        return EnhancerBackend(data, isa=isa)
    except ConfigError as error:
        pytest.skip(str(error))


SHIPPED = MODELS / "enhancer.dnnw"


@cache
def voiced() -> Float32:
    """Speech of two levels in noise, and silence."""
    audio = speechlike(100).copy()
    audio[: 20 * FRAME] *= 0.1
    audio += 0.03 * np.random.default_rng(5).standard_normal(len(audio)).astype(np.float32)
    audio[60 * FRAME : 75 * FRAME] = 0
    return audio


@cache
def by_formulas(name: str) -> tuple[Float64, Float64]:
    """Answer of a random network, and its probabilities, computed slowly."""
    return reference_enhancer.Network(random_enhancer(SIZES[name])).process(voiced().astype(np.float64))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", SIZES)
def test_the_engine_answers_as_the_formulas(name: str, isa: str) -> None:
    cleaned, voice = make_backend(random_enhancer(SIZES[name]), isa).new_state(1).process(voiced()[None])
    wanted, wanted_voice = by_formulas(name)
    apart_db = signal_to_difference_db(wanted, cleaned[0])
    print(f"{name}, {isa}: {apart_db:.1f} dB, voice within {abs(voice[0] - wanted_voice).max():.1e}")
    assert apart_db >= least_db(random_enhancer(SIZES[name]), isa, 105)
    np.testing.assert_allclose(voice[0], wanted_voice, atol=2e-5)


@pytest.mark.parametrize("name", SIZES)
def test_random_networks_change_what_comes_in(name: str) -> None:
    wanted, voice = by_formulas(name)
    assert signal_to_difference_db(voiced()[:-FRAME], wanted[FRAME:]) < 10
    assert np.ptp(voice) > 1e-3


@pytest.mark.parametrize("name", ["tiny", "rows", "few halved"])
def test_every_weight_of_random_networks_matters(name: str) -> None:
    """So that agreement above means something: no map could be left out, or be a tenth smaller."""
    wanted, voice = by_formulas(name)
    audio = voiced()[: 15 * FRAME].astype(np.float64)
    for weights in reference_enhancer.Network(random_enhancer(SIZES[name])).w:
        other = reference_enhancer.Network(random_enhancer(SIZES[name]))
        other.w[weights] = other.w[weights] * 0.9
        changed, changed_voice = other.process(audio)
        apart_db = signal_to_difference_db(wanted[: len(audio)], changed)
        assert apart_db < 95 or abs(changed_voice - voice[:15]).max() > 1e-4, weights


@pytest.mark.skipif(not SHIPPED.is_file(), reason="this copy has no weights for it")
@pytest.mark.parametrize("isa", ISAS)
def test_the_shipped_model_answers_as_its_formulas(isa: str) -> None:
    data = SHIPPED.read_bytes()
    cleaned, voice = make_backend(data, isa).new_state(1).process(voiced()[None])
    wanted, wanted_voice = reference_enhancer.Network(data).process(voiced().astype(np.float64))
    assert signal_to_difference_db(wanted, cleaned[0]) >= least_db(data, isa, 110)
    np.testing.assert_allclose(voice[0], wanted_voice, atol=1e-3 if isa in ROUNDED else 1e-5)


@pytest.mark.parametrize("min_gain", [0.25, 1.0])
def test_a_limit_is_the_original_s_share(min_gain: float) -> None:
    data = random_enhancer(TINY)
    cleaned, _ = EnhancerBackend(data).new_state(1).process(voiced()[None], min_gain)
    wanted, _ = reference_enhancer.Network(data).process(voiced().astype(np.float64), min_gain)
    assert signal_to_difference_db(wanted, cleaned[0]) >= 100
    if min_gain == 1:
        assert signal_to_difference_db(voiced()[:-FRAME], cleaned[0, FRAME:]) >= 100


@cache
def guiding() -> Float32:
    """A signal that is like `voiced` and is another one."""
    return (0.7 * np.roll(voiced(), 3) + 0.2 * voiced()[::-1]).astype(np.float32)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("min_gain", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("name", GUIDED_SIZES)
def test_a_guided_network_answers_as_its_formulas(name: str, min_gain: float, isa: str) -> None:
    data, guide = random_enhancer(GUIDED_SIZES[name]), guiding()
    state = make_backend(data, isa).new_state(1)
    cleaned, voice = process_guided(state, voiced()[None], guide[None], min_gain)
    network = reference_enhancer.Network(data)
    wanted, wanted_voice = network.process(voiced().astype(np.float64), min_gain, guide.astype(np.float64))
    assert signal_to_difference_db(wanted, cleaned[0]) >= least_db(data, isa, 100)
    np.testing.assert_allclose(voice[0], wanted_voice, atol=2e-5)
    other, _ = reference_enhancer.Network(data).process(voiced().astype(np.float64), min_gain)
    assert signal_to_difference_db(other, wanted) < 30 or min_gain == 1


def test_each_weight_of_a_guided_network_matters() -> None:
    audio, guide = (part[: 15 * FRAME].astype(np.float64) for part in (voiced(), guiding()))
    data = random_enhancer(GUIDED)
    wanted, _ = reference_enhancer.Network(data).process(audio, guide=guide)
    for head in ("low_head", "upper_head"):
        for part in ("weights", "bias"):
            other = reference_enhancer.Network(data)
            last = other.w[f"{head}_{part}"].reshape(-1, 2 * GUIDED.taps + 1 if head == "low_head" else 3)[:, -1]
            last *= 0.5
            changed, _ = other.process(audio, guide=guide)
            assert signal_to_difference_db(wanted, changed) < 80, (head, part)


@pytest.mark.parametrize("name", GUIDED_SIZES)
def test_guided_channels_and_hops_may_be_cut_anyhow(name: str) -> None:
    backend = EnhancerBackend(random_enhancer(GUIDED_SIZES[name]))
    audio, guide = (np.stack([part, -0.1 * part[::-1], np.roll(part, 777)]) for part in (voiced(), guiding()))
    whole, voice = process_guided(backend.new_state(3), audio, guide, 0.1)
    states = [backend.new_state(1) for _ in audio]
    made = []
    for start in range(0, audio.shape[1], FRAME):
        cuts = [[np.ascontiguousarray(row[None, start : start + FRAME]) for row in part] for part in (audio, guide)]
        made.append([process_guided(state, own, other, 0.1) for state, own, other in zip(states, *cuts, strict=True)])
    for channel in range(3):
        np.testing.assert_array_equal(np.concatenate([each[channel][0][0] for each in made]), whole[channel])
        np.testing.assert_array_equal(np.concatenate([each[channel][1][0] for each in made]), voice[channel])


def test_a_signal_is_its_own_guide_where_there_is_none() -> None:
    backend = EnhancerBackend(random_enhancer(GUIDED))
    alone, _ = backend.new_state(1).process(voiced()[None])
    guided, _ = process_guided(backend.new_state(1), voiced()[None], voiced()[None], 0.0)
    np.testing.assert_array_equal(alone, guided)


def test_what_a_guide_has_beyond_the_limit_is_cut_off_and_a_bad_sample_of_it_refused() -> None:
    backend = EnhancerBackend(random_enhancer(GUIDED))
    block = np.ascontiguousarray(voiced()[None, : 2 * FRAME])
    one, other = (
        process_guided(backend.new_state(1), block, np.full_like(block, level), 0.0)[0] for level in (1e6, 1e30)
    )
    np.testing.assert_array_equal(one, other)
    state = backend.new_state(1)
    with pytest.raises(AudioError):
        process_guided(state, block, np.full_like(block, np.nan), 0.0)
    np.testing.assert_array_equal(state.process(block)[0], backend.new_state(1).process(block)[0])


@pytest.mark.parametrize("name", ["enhancer", "enhancer-tiny", "enhancer-live"])
def test_a_file_says_whether_it_is_guided(name: str) -> None:
    guided, alone = random_enhancer(GUIDED, notes={"guide": "rnnoise-classic"}), random_enhancer(TAPPED)
    assert load_backend(name, guided).delay == 480 + load_backend("rnnoise-classic").delay
    assert load_backend(name, alone).delay == 480


def test_silence_stays_silent() -> None:
    cleaned, _ = EnhancerBackend(random_enhancer()).new_state(1).process(np.zeros((1, 50 * FRAME), np.float32))
    assert not cleaned.any()


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", ["tiny", "rows", "depthwise"])
def test_channels_and_hops_may_be_cut_anyhow(name: str, isa: str) -> None:
    backend = make_backend(random_enhancer(SIZES[name]), isa)
    audio = np.stack([voiced(), -0.1 * voiced()[::-1], np.roll(voiced(), 777)])
    whole, voice = backend.new_state(3).process(audio)
    for channel, row in enumerate(audio):
        state = backend.new_state(1)
        hops = [state.process(np.ascontiguousarray(hop[None])) for hop in np.split(row, len(row) // FRAME)]
        np.testing.assert_array_equal(np.concatenate([out[0] for out, _ in hops]), whole[channel])
        np.testing.assert_array_equal(np.concatenate([probability[0] for _, probability in hops]), voice[channel])


# ---- as any backend; the contract suite has the rest ----


@pytest.mark.parametrize("name", ["tiny", "rows", "depthwise"])
def test_a_stream_goes_over_to_an_enhancer_and_back(name: str) -> None:
    model, signal = random_enhancer(SIZES[name], mild=True), np.tile(voiced(), 3)
    at, late = 24000, 2 * 24000
    stream = Denoiser("rnnoise").stream(48000)
    made = [stream.process(signal[:at])]
    stream.switch("enhancer", model=model)
    made.append(stream.process(signal[at : at + late]))
    stream.switch("rnnoise")
    made.append(stream.process(signal[at + late :]))
    alone = Denoiser("enhancer", model=model).stream(48000, latency=stream.latency).process(signal[at:])
    faded = stream.latency + 24000 // 2
    np.testing.assert_array_equal(made[1][faded:], alone[faded:late])
    last = Denoiser("rnnoise").stream(48000).process(signal[at + late :])
    np.testing.assert_array_equal(made[2][faded:], last[faded:])
    step = np.abs(np.diff(np.concatenate(made))).max()
    assert step <= 1.5 * max(np.abs(np.diff(part)).max() for part in (signal, alone, last))


@pytest.mark.parametrize("name", ["tiny", "rows", "depthwise"])
def test_speech_probabilities_are_those_of_the_network(name: str) -> None:
    denoiser = Denoiser("enhancer", model=random_enhancer(SIZES[name]))
    times, voice = denoiser.speech_probability(voiced(), 48000)
    _, wanted = by_formulas(name)
    assert len(times) == len(voice) == len(voiced()) // FRAME
    np.testing.assert_allclose(voice, wanted, atol=1e-5)


def test_limits_and_mixes_are_steps_between_the_original_and_what_is_cleaned() -> None:
    model = random_enhancer(SIZES["depthwise"], mild=True)
    cleaned = Denoiser("enhancer", model=model).filter(voiced(), 48000)
    half = Denoiser("enhancer", model=model, mix=0.5).filter(voiced(), 48000)
    np.testing.assert_allclose(half, 0.5 * (voiced() + cleaned), atol=1e-6)
    limited = Denoiser("enhancer", model=model, atten_lim_db=6).filter(voiced(), 48000)
    wanted = 10 ** (-6 / 20) * voiced() + (1 - 10 ** (-6 / 20)) * cleaned
    assert signal_to_difference_db(wanted, limited) >= 100


# ---- files ----


def test_a_file_of_one_s_own_is_loaded_by_name_path_and_bytes(tmp_path: Path) -> None:
    path = tmp_path / "mine.dnnw"
    path.write_bytes(random_enhancer(TINY))
    by_path, by_bytes = Denoiser("enhancer", model=path), Denoiser("enhancer", model=path.read_bytes())
    np.testing.assert_array_equal(by_path.filter(voiced(), 48000), by_bytes.filter(voiced(), 48000))
    backend = load_backend("enhancer", path)
    assert isinstance(backend, EnhancerBackend)
    assert (backend.delay, backend.hop, backend.sample_rate, backend.has_vad) == (480, 480, 48000, True)
    assert backend.sizes == TINY
    assert backend.metadata["name"] == "random"
    opened = parse_candidate(str(path)).open()
    np.testing.assert_array_equal(opened.filter(voiced(), 48000), by_path.filter(voiced(), 48000))


@pytest.mark.skipif(SHIPPED.is_file(), reason="this copy has weights for it")
def test_without_weights_the_name_wants_a_model() -> None:
    assert "enhancer" not in backend_names()
    with pytest.raises(ModelError, match="enhancer comes without weights in this copy of denoise_wrapper; give it a"):
        load_backend("enhancer")


def test_each_family_names_the_backend_of_the_other_s_files(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="given as bytes is an enhancer's; give it to the backend enhancer"):
        RNNoiseBackend(random_enhancer())
    with pytest.raises(ModelError, match="is an RNNoise network; give it to the backend rnnoise"):
        EnhancerBackend(MODELS / "rnnoise-classic.dnnw")


def test_models_info_tells_an_enhancer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.dnnw"
    path.write_bytes(random_enhancer())
    assert cli.main(["models", "info", str(path)]) == 0
    out = capsys.readouterr().out
    assert "mine.dnnw: enhancer network" in out
    assert "origin: seed 1" in out


def with_sizes(**changes: int) -> bytes:
    """A small file that says of itself what is not so."""
    data = random_enhancer(SMALL)
    at = data.index(b"enhancer_sizes") - 20 + HEAD.size
    values = np.frombuffer(data[at : at + 32], "<i4").copy()
    for name, value in changes.items():
        values[Sizes._fields.index(name)] = value
    return data[:at] + values.tobytes() + data[at + 32 :]


def test_taps_out_of_range_are_refused() -> None:
    data = random_enhancer(ALL_TAPS)
    at = data.index(b"enhancer_taps") - 20 + HEAD.size
    for taps in (0, -1, 9, 2**31 - 1):
        with pytest.raises(ModelError, match=f"enhancer_taps: {taps}; 1 to 8 are possible"):
            EnhancerBackend(data[:at] + np.array([taps], "<i4").tobytes() + data[at + 4 :])
    with pytest.raises(ModelError, match="low_head"):
        EnhancerBackend(data[:at] + np.array([7], "<i4").tobytes() + data[at + 4 :])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": 7}, "a body of kind 7"),
        ({"kind": -1}, "a body of kind -1"),
        ({"channels": 12}, "12 channels; multiples of 8 from 8 to 128"),
        ({"channels": 2**31 - 8}, "channels; multiples of 8"),
        ({"channels": -8}, "-8 channels"),
        ({"width": 0}, "0 channels of a band"),
        ({"width": 17}, "17 channels of a band"),
        ({"rows": 24}, "rows divide 128"),
        ({"rows": 64}, "64 rows"),
        ({"blocks": 0}, "0 blocks"),
        ({"blocks": 9}, "9 blocks"),
        ({"units": 4}, "4 units"),
        ({"heads": 3}, "heads channels"),
        ({"convolutions": 1}, "1 convolutions; 0 to 0"),
        ({"kind": 1, "convolutions": 5}, "5 convolutions; 0 to 4"),
        ({"kind": 1, "convolutions": -1}, "-1 convolutions"),
        ({"kind": 1, "heads": 3}, "3 heads of 8 channels"),
        ({"kind": 1}, "layer first: record first_weights has"),
        ({"kind": 2}, "0 convolutions; 1 to 4"),
        ({"kind": 2, "convolutions": 5}, "5 convolutions; 1 to 4"),
        ({"kind": 2, "convolutions": 1, "rows": 24}, "rows divide 128"),
        ({"kind": 2, "convolutions": 1}, "layer first: record first_weights has"),
        ({"kind": 2, "convolutions": 4, "channels": 128, "rows": 32, "units": 128}, "works with .* floats a hop"),
        ({"channels": 128, "rows": 32, "units": 128}, "works with .* floats a hop"),
        ({"channels": 16}, "layer first: record first_weights has"),
        ({"blocks": 3}, "layer block1_queries: there is no record"),
    ],
)
def test_sizes_that_cannot_be_are_refused(changes: dict[str, int], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        EnhancerBackend(with_sizes(**changes))


@pytest.mark.parametrize("name", SIZES)
def test_weights_of_16_bits_are_the_floats_that_they_stand_for(name: str) -> None:
    half = random_enhancer(SIZES[name], float16=True)
    assert len(half) < 0.8 * len(random_enhancer(SIZES[name]))  # a record has a head, and fills 64 bytes
    sizes, weights = decode_enhancer(half)
    assert all(values.dtype == np.float16 for values in weights.values())
    exact = encode_enhancer(sizes, {name: values.astype(np.float32) for name, values in weights.items()}, {})
    one, other = (EnhancerBackend(data).new_state(1).process(voiced()[None]) for data in (half, exact))
    np.testing.assert_array_equal(one[0], other[0])
    np.testing.assert_array_equal(one[1], other[1])


@pytest.mark.parametrize("bits", [0x7C00, 0xFC00, 0x7E00, 0x7BFF])
def test_weights_of_16_bits_that_are_too_large_are_refused(bits: int) -> None:
    data = bytearray(random_enhancer(SMALL, float16=True))
    at = data.index(b"block0_leave_weights") - 20 + HEAD.size + 2 * 5
    data[at : at + 2] = np.uint16(bits).tobytes()
    with pytest.raises(ModelError, match=r"layer block0_leave: value 5 of weights is .*; it is to be within \+-10000"):
        EnhancerBackend(bytes(data))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 10001.0])
def test_weights_that_could_drive_numbers_out_of_range_are_refused(bad: float) -> None:
    data = bytearray(random_enhancer(SMALL))
    at = data.index(b"block0_leave_weights") - 20 + HEAD.size + 4 * 5
    data[at : at + 4] = np.float32(bad).tobytes()
    with pytest.raises(ModelError, match=r"layer block0_leave: value 5 of weights is .*; it is to be within \+-10000"):
        EnhancerBackend(bytes(data))


@pytest.mark.parametrize("name", ["small", "few rows", "few halved"])
def test_the_greatest_weights_and_samples_give_finite_samples(name: str) -> None:
    data = bytearray(random_enhancer(SIZES[name]))
    rng = np.random.default_rng(3)
    place = 0
    while place < len(data):
        _, _, kind, size, room, _ = HEAD.unpack_from(data, place)
        if kind == 0:
            values = rng.choice([-1e4, 1e4], size // 4).astype("<f4")
            data[place + HEAD.size : place + HEAD.size + size] = values.tobytes()
        place += HEAD.size + room
    state = EnhancerBackend(bytes(data)).new_state(1)
    for level in (1e6, 1e-3, 0.0, 1e6):
        audio = (level * rng.choice([-1, 1], (1, 10 * FRAME))).astype(np.float32)
        cleaned, voice = state.process(audio)
        assert np.isfinite(cleaned).all()
        assert ((voice >= 0) & (voice <= 1)).all()
        state.restore(state.saved())


def test_a_file_cut_anywhere_is_refused() -> None:
    data = random_enhancer(SMALL)
    for end in [*range(4, 400, 7), *range(400, len(data), 997), len(data) - 1]:
        with pytest.raises(ModelError):
            EnhancerBackend(data[:end])


def test_states_of_other_weights_are_refused() -> None:
    saved = EnhancerBackend(random_enhancer(seed=2)).new_state(1).saved()
    with pytest.raises(ModelError, match="saved state"):
        EnhancerBackend(random_enhancer(seed=3)).new_state(1).restore(saved)


def test_records_of_unknown_names_are_passed_over() -> None:
    data = random_enhancer(SMALL)
    more = record("later", 0, bytes(40)) + data
    one, other = (EnhancerBackend(each).new_state(1).process(voiced()[None])[0] for each in (data, more))
    np.testing.assert_array_equal(one, other)
