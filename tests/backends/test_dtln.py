"""The DTLN backends in either runtime: agreement with recorded answers, styles of pairs, files that are refused."""

from __future__ import annotations

import contextlib
import copy
import itertools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from pairs import make_pair
from recorded import signal_to_difference_db
from require import require

from denoise_wrapper import ConfigError, Denoiser, FileError, ModelError
from denoise_wrapper.backends import load_backend
from denoise_wrapper.backends.dtln import RUNTIMES, DTLNBackend
from denoise_wrapper.backends.onnx import FRAMES_AT_ONCE
from denoise_wrapper.models.onnx import check_onnx

onnx = require("onnx", "pip install 'denoise-wrapper[training]'")
TensorProto, helper = onnx.TensorProto, onnx.helper

Array = NDArray[Any]
PAIR = make_pair()
PAIR_32K = make_pair(1024)


@pytest.fixture(scope="module")
def published(shared: Path) -> Path:
    return shared / "reference" / "dtln"


@pytest.fixture(scope="module")
def noise() -> Array:
    """(3, 300 hops) at 16 kHz."""
    return (0.1 * np.random.default_rng(1).standard_normal((3, 300 * 128))).astype(np.float32)


def recording(folder: Path, clip: str) -> tuple[Array, Array]:
    """A noisy clip, and what the published loop made of it: 384 samples late."""
    noisy, rate = soundfile.read(folder / f"{clip}.flac", dtype="float32")
    wanted, _ = soundfile.read(folder / f"{clip}.onnx.flac", dtype="float32")
    assert rate == 16000
    return noisy, wanted


# ---- agreement with the published loop ----


@pytest.mark.parametrize("clip", ["street", "snr0"])
@pytest.mark.parametrize("pair", [("model_1", "model_2"), ("lhwcv_p1", "lhwcv_p2")], ids=["published", "split"])
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_published_pair_answers_as_its_own_loop_did(
    published: Path, clip: str, pair: tuple[str, str], runtime: str
) -> None:
    noisy, wanted = recording(published, clip)
    denoiser = Denoiser(DTLNBackend([published / f"{name}.onnx" for name in pair], runtime=runtime))
    cleaned = denoiser.filter(noisy)
    late = denoiser.backend.delay
    agreement_db = signal_to_difference_db(wanted[late:], cleaned[: len(cleaned) - late])
    print(f"{pair[0]} {clip}: {agreement_db:.1f} dB")
    assert agreement_db >= 100


@pytest.mark.parametrize("rate", [8000, 44100, 48000])
def test_a_published_pair_cleans_at_any_rate(published: Path, rate: int) -> None:
    noisy, wanted = recording(published, "street")
    upsampled = Denoiser(load_backend("dtln-16k", published), atten_lim_db=0).filter(noisy)
    np.testing.assert_array_equal(upsampled, noisy)
    frames = np.arange(len(noisy) * rate // 16000) * (16000 / rate)
    at_rate = np.interp(frames, np.arange(len(noisy)), noisy).astype(np.float32)
    cleaned = Denoiser("dtln-16k", model=published).filter(at_rate, rate)
    assert len(cleaned) == len(at_rate)
    back = np.interp(np.arange(len(noisy)) * (rate / 16000), np.arange(len(cleaned)), cleaned)
    error_db = signal_to_difference_db(wanted[384:], back[: len(wanted) - 384])
    assert error_db > (3 if rate == 8000 else 10)  # linear interpolation, twice, is no more than about right


# ---- styles of pairs ----


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_pair_that_takes_one_hop_answers_as_the_one_that_takes_many(noise: Array, runtime: str) -> None:
    free, fixed = DTLNBackend(PAIR, runtime=runtime), DTLNBackend(make_pair(free=False), runtime=runtime)
    many, _ = free.new_state(3).process(noise)
    one, _ = fixed.new_state(3).process(noise)
    np.testing.assert_array_equal(one, many)


def turned_around(data: bytes) -> bytes:
    """Swap the axes of channels and hops in a model's signal and answer."""
    model = onnx.load_from_string(data)
    for port, inside in ((model.graph.input[0], "signal_by_time"), (model.graph.output[0], "answer_by_time")):
        hops, channels, _ = port.type.tensor_type.shape.dim
        hops.dim_param, channels.dim_param = channels.dim_param, hops.dim_param
        for node in model.graph.node:
            node.input[:] = [inside if name == port.name else name for name in node.input]
            node.output[:] = [inside if name == port.name else name for name in node.output]
    signal, answer = model.graph.input[0].name, model.graph.output[0].name
    model.graph.node.insert(0, helper.make_node("Transpose", [signal], ["signal_by_time"], perm=[1, 0, 2]))
    model.graph.node.append(helper.make_node("Transpose", ["answer_by_time"], [answer], perm=[1, 0, 2]))
    content: bytes = model.SerializeToString()
    return content


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_pair_with_channels_before_hops_answers_as_the_one_with_hops_first(noise: Array, runtime: str) -> None:
    usual = DTLNBackend(PAIR, runtime=runtime)
    other = DTLNBackend((turned_around(PAIR[0]), turned_around(PAIR[1])), runtime=runtime)
    for hops in (1, 7):
        block = np.ascontiguousarray(noise[:, : hops * 128])
        np.testing.assert_array_equal(other.new_state(3).process(block)[0], usual.new_state(3).process(block)[0])


@pytest.mark.parametrize("name", ["dtln-16k", "dtln-32k"])
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_long_block_is_run_in_parts_and_answers_the_same(name: str, runtime: str) -> None:
    backend = DTLNBackend(PAIR if name == "dtln-16k" else PAIR_32K, name, runtime=runtime)
    block = np.random.default_rng(2).standard_normal((2, (FRAMES_AT_ONCE + 7) * backend.hop)).astype(np.float32)
    whole, _ = backend.new_state(2).process(block)
    state = backend.new_state(2)
    cuts = np.array([0, 1, 3, 4, 100, 101, FRAMES_AT_ONCE + 7]) * backend.hop
    parts = [state.process(np.ascontiguousarray(block[:, a:b]))[0] for a, b in itertools.pairwise(cuts)]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)


def test_either_order_of_the_files_is_right(noise: Array) -> None:
    straight, turned = DTLNBackend(PAIR), DTLNBackend(PAIR[::-1])
    assert straight.data == turned.data == PAIR
    np.testing.assert_array_equal(straight.new_state(3).process(noise)[0], turned.new_state(3).process(noise)[0])


def test_files_and_bytes_and_folders_are_the_same_model(tmp_path: Path) -> None:
    paths = [tmp_path / "mine_1.onnx", tmp_path / "mine_2.onnx"]
    for path, data in zip(paths, PAIR, strict=True):
        path.write_bytes(data)
    for model in (paths, tuple(map(str, paths)), tmp_path, str(tmp_path)):
        assert DTLNBackend(model).data == PAIR
    (tmp_path / "odd.onnx").write_bytes(PAIR[0])
    assert DTLNBackend(tmp_path).data == PAIR
    for stage, data in enumerate(PAIR_32K, 1):
        (tmp_path / f"dtln-32k_{stage}.onnx").write_bytes(data)
    assert DTLNBackend(tmp_path, "dtln-32k").data == PAIR_32K
    with pytest.raises(ModelError, match=r"holds 5 \.onnx files"):
        DTLNBackend(tmp_path, "dtln-16k")


def test_what_the_files_say_about_themselves_is_told() -> None:
    notes = {"sample_rate": "16000", "block": "512", "hop": "128", "licence": "MIT", "pair": "ab"}
    assert DTLNBackend(make_pair(notes=notes)).metadata == notes
    assert DTLNBackend(PAIR).metadata == {}


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_copied_state_goes_on_by_itself(noise: Array, runtime: str) -> None:
    state = DTLNBackend(PAIR, runtime=runtime).new_state(3)
    for hops in (1, 1, 5, 1):  # after single hops arrays are bound to the models
        state.process(np.ascontiguousarray(noise[:, : hops * 128]))
    twin = copy.deepcopy(state)
    one = noise[:, :128].copy()
    wanted = state.process(one)[0], state.process(one)[0]
    np.testing.assert_array_equal(twin.process(one)[0], wanted[0])
    np.testing.assert_array_equal(twin.process(one)[0], wanted[1])


# ---- strength, and what a DTLN does not tell ----


@pytest.mark.parametrize("limit_db", [0, 6, 20])
def test_the_limit_is_the_share_of_the_original(noise: Array, limit_db: float) -> None:
    signal = noise[0]
    cleaned = Denoiser("dtln-16k", model=PAIR).filter(signal)
    limited = Denoiser("dtln-16k", model=PAIR, atten_lim_db=limit_db).filter(signal)
    share = 10 ** (-limit_db / 20)
    np.testing.assert_allclose(limited, share * signal + (1 - share) * cleaned, atol=1e-7)
    if limit_db == 0:
        np.testing.assert_array_equal(limited, signal)


def test_speech_is_told_by_another_backend(noise: Array) -> None:
    with pytest.raises(ConfigError, match="gives no probability of speech; rnnoise and rnnoise-classic do"):
        Denoiser("dtln-16k", model=PAIR).speech_probability(noise[0], 16000)
    with pytest.raises(ConfigError, match=r"gives no probability of speech; .*use rnnoise"):
        Denoiser("dtln-16k", model=PAIR, vad_threshold=0.5)


@pytest.mark.parametrize("turn", [("rnnoise", "dtln"), ("dtln", "rnnoise"), ("dtln", "dtln-32k")])
def test_a_stream_switches_between_families(turn: tuple[str, str]) -> None:
    backends = {
        "rnnoise": load_backend("rnnoise"),
        "dtln": DTLNBackend(PAIR),
        "dtln-32k": DTLNBackend(PAIR_32K, "dtln-32k"),
    }
    before, after = (backends[name] for name in turn)
    signal = (0.1 * np.random.default_rng(5).standard_normal((48000, 2))).astype(np.float32)
    latency = max(Denoiser(backend).latency(48000) for backend in (before, after))
    stream = Denoiser(before).stream(48000, 2, latency=latency)
    made = [stream.process(signal[:20000])]
    stream.switch(after)
    made.append(stream.process(signal[20000:]))
    result = np.concatenate(made)
    wanted = Denoiser(before).stream(48000, 2, latency=latency).process(signal)
    np.testing.assert_array_equal(result[:20000], wanted[:20000])
    alone = Denoiser(after).filter(signal, 48000)[: len(signal) - latency]
    settled = slice(latency + 40000, None)
    if turn[1] == "rnnoise":  # which takes its time to know noise, and then leaves little of it
        assert np.std(result[settled]) < 0.1 * np.std(result[latency:20000])
    else:  # whose memory of the beginning has faded
        assert signal_to_difference_db(alone[40000:], result[settled]) > 40


# ---- files that are refused ----


def changed(data: bytes, change: Callable[[Any], object]) -> bytes:
    model = onnx.load_from_string(data)
    change(model)
    content: bytes = model.SerializeToString()
    return content


def outside(model: Any) -> None:
    weights = next(tensor for tensor in model.graph.initializer if tensor.name == "dense")
    onnx.external_data_helper.set_external_data(weights, location="../../secret")
    weights.ClearField("raw_data")


def outside_in_an_attribute(model: Any) -> None:
    tensor = helper.make_tensor("hidden", TensorProto.FLOAT, [1], [0.0])
    onnx.external_data_helper.set_external_data(tensor, location="secret") if tensor.HasField("raw_data") else None
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    model.graph.node.append(helper.make_node("Constant", [], ["unused"], value=tensor))


def own_operator(model: Any) -> None:
    model.opset_import.append(helper.make_opsetid("org.example", 1))
    model.graph.node.append(helper.make_node("Anything", ["state"], ["unused"], domain="org.example"))


def branch(model: Any) -> None:
    inner = helper.make_graph([helper.make_node("Constant", [], ["x"], value_float=0.0)], "inner", [], [])
    model.graph.node.append(helper.make_node("If", ["state"], ["unused"], then_branch=inner, else_branch=inner))


def own_operator_in_a_graph(model: Any) -> None:
    """In a graph within a node that is no branch, for which alone the file would be refused."""
    inner = helper.make_graph([helper.make_node("Anything", [], ["x"], domain="org.example")], "inner", [], [])
    model.graph.node.append(helper.make_node("Identity", ["state"], ["unused"], inner=inner))


def hidden_outside() -> Any:
    tensor = helper.make_tensor("hidden", TensorProto.FLOAT, [1], [0.0])
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    place = tensor.external_data.add()
    place.key, place.value = "location", "secret"
    return tensor


def outside_in_a_graph(model: Any) -> None:
    inner = helper.make_graph([helper.make_node("Constant", [], ["x"], value=hidden_outside())], "inner", [], [])
    model.graph.node.append(helper.make_node("Identity", ["state"], ["unused"], inner=inner))


def outside_in_a_function(model: Any) -> None:
    constant = helper.make_node("Constant", [], ["y"], value=hidden_outside())
    opsets = [helper.make_opsetid("", 17)]
    model.functions.append(helper.make_function("ai.onnx.local", "Anything", [], ["y"], [constant], opsets))


def own_operator_in_a_function(model: Any) -> None:
    node = helper.make_node("Anything", [], ["y"], domain="org.example")
    opsets = [helper.make_opsetid("", 17)]
    model.functions.append(helper.make_function("ai.onnx.local", "Anything", [], ["y"], [node], opsets))


def outside_in_a_sparse_weight(model: Any) -> None:
    sparse = onnx.SparseTensorProto(dims=[4])
    sparse.values.CopyFrom(hidden_outside())
    model.graph.sparse_initializer.append(sparse)


def outside_in_training(model: Any) -> None:
    model.training_info.add().algorithm.initializer.append(hidden_outside())


def giant_weight(model: Any) -> None:
    weight = model.graph.initializer.add()
    weight.name, weight.data_type = "giant", TensorProto.FLOAT
    weight.dims.extend([1 << 40, 1 << 40])


def giant_sparse_weight(model: Any) -> None:
    sparse = onnx.SparseTensorProto(dims=[1 << 20, 1 << 20])
    sparse.values.CopyFrom(helper.make_tensor("few", TensorProto.FLOAT, [1], [0.0]))
    model.graph.sparse_initializer.append(sparse)


def negative_weight(model: Any) -> None:
    weight = model.graph.initializer.add()
    weight.name, weight.data_type = "negative", TensorProto.FLOAT
    weight.dims.extend([-1, 5])


def giant_state(model: Any) -> None:
    """Make a model of a giant state that goes through untouched, so that no weight of that size is needed."""
    last = next(node for node in model.graph.node if "state_out" in node.output)
    last.output[0] = "forgotten"
    model.graph.node.append(helper.make_node("Identity", ["state"], ["state_out"]))
    for port in (model.graph.input[1], model.graph.output[1]):
        port.type.tensor_type.shape.dim[2].dim_value = 1 << 40
    for node in model.graph.node:
        node.input[:] = ["zeros" if name == "state" and node.op_type != "Identity" else name for name in node.input]
    zeros = helper.make_tensor("zeros", TensorProto.FLOAT, [4, 1, 16], [0.0] * 64)
    model.graph.initializer.append(zeros)


def endless_loop(model: Any) -> None:
    ports = [helper.make_tensor_value_info(name, kind, []) for name, kind in (("i", 7), ("go", 9), ("x", 1))]
    out = [helper.make_tensor_value_info(name, kind, []) for name, kind in (("go_on", 9), ("y", 1))]
    nodes = [helper.make_node("Identity", ["go"], ["go_on"]), helper.make_node("Identity", ["x"], ["y"])]
    body = helper.make_graph(nodes, "body", ports, out)
    last = next(node for node in model.graph.node if "state_out" in node.output)
    last.output[0] = "before"
    model.graph.node.append(helper.make_node("Loop", ["", "", "before"], ["state_out"], body=body))


def giant_result(model: Any) -> None:
    """Small in the file, and 64 TB when it is run."""
    shape = helper.make_tensor("sizes", TensorProto.INT64, [2], [1 << 22, 1 << 22])
    model.graph.initializer.append(shape)
    model.graph.node.append(helper.make_node("ConstantOfShape", ["sizes"], ["giant"]))
    model.graph.node.append(helper.make_node("ReduceSum", ["giant"], ["sum"], keepdims=0))
    last = next(node for node in model.graph.node if "state_out" in node.output)
    last.output[0] = "before"
    model.graph.node.append(helper.make_node("Add", ["before", "sum"], ["state_out"]))


def in_doubles(model: Any) -> None:
    for port in (*model.graph.input, *model.graph.output):
        port.type.tensor_type.elem_type = TensorProto.DOUBLE


def one_output(model: Any) -> None:
    del model.graph.output[1]


def not_numbers(model: Any) -> None:
    weights = next(tensor for tensor in model.graph.initializer if tensor.name == "bias")
    weights.CopyFrom(helper.make_tensor("bias", TensorProto.FLOAT, list(weights.dims), [np.nan] * weights.dims[0]))


def unknown_operator(model: Any) -> None:
    model.graph.node[0].op_type = "Nonesuch"


def wider_state_out(model: Any) -> None:
    """An answer of another shape than the file declares."""
    model.graph.output[1].type.tensor_type.shape.ClearField("dim")
    model.graph.node[-2].output[0] = "narrow"
    model.graph.node.append(helper.make_node("Concat", ["narrow", "narrow"], ["state_out"], axis=0))


def other_units_in_the_state(model: Any) -> None:
    model.graph.input[1].type.tensor_type.shape.dim[2].dim_value = 8


def note(**notes: str) -> Callable[[Any], object]:
    return lambda model: helper.set_model_props(model, notes)


BAD_FIRST = {
    "no model": (lambda data: b"RIFF" + bytes(100), "no ONNX model"),
    "empty": (lambda data: b"", "no ONNX model"),
    "cut": (lambda data: data[: len(data) // 2], "only the beginning"),
    "outside": (lambda data: changed(data, outside), "in another file"),
    "outside, hidden": (lambda data: changed(data, outside_in_an_attribute), "in another file"),
    "own operator": (lambda data: changed(data, own_operator), "operators of its own .org.example."),
    "own operator, hidden": (lambda data: changed(data, own_operator_in_a_graph), "operators of its own"),
    "outside, in a graph": (lambda data: changed(data, outside_in_a_graph), "in another file"),
    "outside, in a function": (lambda data: changed(data, outside_in_a_function), "in another file"),
    "outside, sparse": (lambda data: changed(data, outside_in_a_sparse_weight), "in another file"),
    "outside, for training": (lambda data: changed(data, outside_in_training), "in another file"),
    "own operator, in a function": (lambda data: changed(data, own_operator_in_a_function), "operators of its own"),
    "giant weight": (lambda data: changed(data, giant_weight), "declares a tensor of .* does not hold"),
    "giant sparse weight": (lambda data: changed(data, giant_sparse_weight), "declares a tensor of .* does not hold"),
    "negative weight": (lambda data: changed(data, negative_weight), "declares a tensor of .* does not hold"),
    "giant state": (lambda data: changed(data, giant_state), "cannot be"),
    "giant result": (lambda data: changed(data, giant_result), "cannot be"),
    "endless loop": (lambda data: changed(data, endless_loop), "holds a loop or a branch .Loop."),
    "branch": (lambda data: changed(data, branch), "holds a loop or a branch .If."),
    "unknown operator": (lambda data: changed(data, unknown_operator), "Nonesuch"),
    "doubles": (lambda data: changed(data, in_doubles), "float32|cannot be loaded"),
    "one output": (lambda data: changed(data, one_output), "takes a signal and its states and gives both"),
    "NaN": (lambda data: changed(data, not_numbers), "weights are damaged"),
    "state of two": (lambda data: changed(data, wider_state_out), "state|cannot be loaded"),
    "state of another size": (lambda data: changed(data, other_units_in_the_state), "cannot be"),
    "other rate": (lambda data: changed(data, note(sample_rate="8000")), "sample_rate = 8000"),
    "other hop": (lambda data: changed(data, note(hop="256")), "hop = 256"),
    "other stage": (lambda data: changed(data, note(stage="2")), "stage = 2"),
    "other block": (lambda data: PAIR_32K[0], "do not belong together"),
    "second": (lambda data: PAIR[1], "both files are the second model of a pair; give the first"),
}


@pytest.mark.parametrize("what", BAD_FIRST)
def test_a_bad_first_model_is_refused(what: str, capfd: pytest.CaptureFixture[str]) -> None:
    make, message = BAD_FIRST[what]
    with pytest.raises(ModelError, match=message):
        DTLNBackend((make(PAIR[0]), PAIR[1]))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ((PAIR[0], PAIR[0]), "both files are the first model of a pair; give the second"),
        (PAIR_32K, "takes blocks of 1024 samples; at 16000 Hz they have 512"),
        (PAIR[0], "two files"),
        ((PAIR[0],), "two files.*not 1 of them"),
        ((*PAIR, PAIR[0]), "two files.*not 3 of them"),
        ((PAIR[0], 3), "a path or bytes, not int"),
        (7, "two files.*not int"),
        ((make_pair(notes={"pair": "a"})[0], make_pair(notes={"pair": "b"})[1]), "halves of different pairs"),
    ],
)
def test_what_is_no_pair_is_refused(model: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        Denoiser("dtln-16k", model=model)


def test_paths_that_hold_no_pair_are_refused(tmp_path: Path) -> None:
    (tmp_path / "one.onnx").write_bytes(PAIR[0])
    with pytest.raises(ModelError, match=r"two files.*not .*one\.onnx"):
        load_backend("dtln-16k", tmp_path / "one.onnx")
    with pytest.raises(ModelError, match=r"holds 1 \.onnx files"):
        load_backend("dtln-16k", tmp_path)
    with pytest.raises(FileError, match=r"there is no model file .*two\.onnx"):
        load_backend("dtln-16k", (tmp_path / "one.onnx", tmp_path / "two.onnx"))
    with pytest.raises(FileError, match="cannot read the model"):
        load_backend("dtln-16k", (tmp_path, tmp_path))


def test_names_and_threads_that_are_none_are_refused() -> None:
    with pytest.raises(ModelError, match="known are dtln-16k, dtln-32k"):
        DTLNBackend(PAIR, "dtln-8k")
    for threads in (0, 1.5, True):
        with pytest.raises(ConfigError, match="threads"):
            DTLNBackend(PAIR, threads=threads)  # type: ignore[arg-type]


def test_no_bytes_whatever_bring_the_reader_down() -> None:
    rng = np.random.default_rng(6)
    for data in PAIR:
        for _ in range(300):
            broken = bytearray(data[: rng.integers(1, len(data))] if rng.random() < 0.3 else data)
            for at in rng.integers(0, min(len(broken), 3000), 3):
                broken[at] = rng.integers(256)
            with contextlib.suppress(ModelError):
                check_onnx(bytes(broken))


def test_a_model_nested_without_end_is_refused() -> None:
    def field(number: int, content: bytes) -> bytes:
        size, head = len(content), bytes([number << 3 | 2])
        while size >= 0x80:
            head, size = head + bytes([size & 0x7F | 0x80]), size >> 7
        return head + bytes([size]) + content

    graph = b""
    for _ in range(2000):  # in an attribute of a node of a graph, and so on
        graph = field(1, field(5, field(6, graph)))
    with pytest.raises(ModelError, match="too deep"):
        check_onnx(b"\x08\x08" + field(7, graph))


# ---- the command line, and what is imported when ----


def test_a_pair_on_the_command_line(tmp_path: Path, noise: Array) -> None:
    from denoise_wrapper.cli.main import main

    paths = [str(tmp_path / name) for name in ("a.onnx", "b.onnx")]
    for path, data in zip(paths, PAIR, strict=True):
        Path(path).write_bytes(data)
    source, target = str(tmp_path / "noisy.wav"), tmp_path / "clean.wav"
    soundfile.write(source, noise[0], 16000, subtype="FLOAT")
    wanted = Denoiser("dtln-16k", model=PAIR).filter(noise[0])
    options = ["-q", "--overwrite", "-o", str(target), "-b", "dtln-16k"]
    for order in (
        ["filter", "--model", *paths, source, *options],
        ["filter", source, *options, "--model", *paths],
        ["filter", source, *options, "--model", paths[0], "--model", paths[1]],
        ["filter", source, *options, "--model", str(tmp_path)],
    ):
        assert main(order) == 0
        np.testing.assert_array_equal(soundfile.read(target, dtype="float32")[0], wanted)
        target.unlink()
    assert main(["filter", source, *options, "--model", paths[0]]) == 2


WITHOUT_ONNXRUNTIME = """
import sys; sys.modules['onnxruntime'] = None
import numpy
from denoise_wrapper import Denoiser, backend_names
for name in ('rnnoise', 'dtln-16k', 'dtln-32k'): Denoiser(name).filter(numpy.zeros(480), 48000)
print(*backend_names())
for model in ([sys.argv[1], sys.argv[2]], [sys.argv[3], sys.argv[2]]):
    try: print(Denoiser('dtln-16k', model=model).backend)
    except Exception as error: print(type(error).__name__, error)
from denoise_wrapper.backends.dtln import DTLNBackend
try: DTLNBackend(runtime='onnxruntime')
except Exception as error: print(type(error).__name__, error)
"""


def unusual(model: Any) -> None:
    """A first model that the engine does not know: its mask goes by way of one more node."""
    next(node for node in model.graph.node if "mask" in node.output).output[0] = "before"
    model.graph.node.append(helper.make_node("Relu", ["before"], ["mask"]))


def test_all_that_is_shipped_and_pairs_that_are_known_do_without_onnxruntime(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.onnx", "b.onnx", "odd.onnx")]
    for path, data in zip(paths, (*PAIR, changed(PAIR[0], unusual)), strict=True):
        path.write_bytes(data)
    command = [sys.executable, "-c", WITHOUT_ONNXRUNTIME, *map(str, paths)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    names, known, unknown, asked = done.stdout.splitlines()
    assert {"dtln-16k", "dtln-32k"} <= set(names.split())
    assert known == "<DTLNBackend 'dtln-16k' in engine>"
    assert unknown.startswith(f"ModelError the engine does not know {paths[2]} and {paths[1]}: its node ")
    assert "Relu" in unknown
    for line in (unknown, asked):
        assert line.endswith("needs onnxruntime: pip install 'denoise-wrapper[onnx]'")


def test_a_pair_that_the_engine_does_not_know_is_run_by_onnxruntime(noise: Array) -> None:
    odd = changed(PAIR[0], unusual), PAIR[1]
    backend = DTLNBackend(odd)
    assert backend.runtime == "onnxruntime"
    wanted = DTLNBackend(PAIR, runtime="onnxruntime").new_state(3).process(noise)[0]
    np.testing.assert_array_equal(backend.new_state(3).process(noise)[0], wanted)
    for asked in ({"runtime": "engine"}, {"precision": "int8"}, {"isa": "scalar"}):
        with pytest.raises(ModelError, match=r"the engine does not know .* Relu, .*runtime='onnxruntime' may run it"):
            DTLNBackend(odd, **asked)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"runtime": "ONNX"}, "runtime is engine or onnxruntime, not 'ONNX'"),
        ({"precision": "int4"}, "precision is float or int8, not 'int4'"),
        ({"runtime": "engine", "threads": 2}, "in one thread, not 2"),
        ({"precision": "int8", "threads": 2}, "precision and isa are the engine's"),
        ({"isa": "scalar", "runtime": "onnxruntime"}, "precision and isa are the engine's"),
    ],
)
def test_choices_that_do_not_go_together_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        DTLNBackend(PAIR, **options)
