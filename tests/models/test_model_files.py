"""Model files: what is written reads back the same, others can read it, and damage is named."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from blobs import record
from classic_models import random_model
from hypothesis import given, settings
from hypothesis import strategies as st
from require import require

from denoise_wrapper.backends.convert import encode_model, fingerprint, read_any_model, read_model, write_model
from denoise_wrapper.backends.rnnoise import RNNoiseBackend
from denoise_wrapper.errors import FileError, ModelError
from denoise_wrapper.models import classic
from denoise_wrapper.models.classic import ClassicModel, Layer

SUFFIXES = [".rnnn", ".rnn", ".dnnw", ".dnnw.c", ".c"]
KERAS = ["weights_5h_b_500k.hdf5", "weights_5h_ru_500k.hdf5"]
TEXTS = ["bd.rnnn", "cb.rnnn", "lq.rnnn", "mp.rnnn", "sh.rnnn"]


def assert_same_layers(one: ClassicModel, other: ClassicModel) -> None:
    for a, b in zip(one.layers, other.layers, strict=True):
        assert (a.name, a.activation, a.inputs, a.units) == (b.name, b.activation, b.inputs, b.units)
        for x, y in zip(a.arrays, b.arrays, strict=True):
            np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("sizes", [(24, 24, 48, 96), (1, 1, 1, 1), (16, 20, 7, 128), (33, 40, 9, 63)])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_written_reads_back_the_same(tmp_path: Path, suffix: str, sizes: tuple[int, ...]) -> None:
    if suffix == ".rnn" and max(sizes) > 127:
        pytest.skip("a size of 128 has no place in this form")
    model = random_model(*sizes)
    write_model(model, tmp_path / f"model{suffix}")
    back = read_model(tmp_path / f"model{suffix}")
    assert_same_layers(model, back)
    assert back.metadata == (model.metadata if suffix in (".dnnw", ".dnnw.c") else {})
    if suffix != ".c":  # whose comment says what the metadata did
        assert encode_model(back, suffix) == (tmp_path / f"model{suffix}").read_bytes()


def test_a_model_goes_through_all_forms_unchanged(tmp_path: Path) -> None:
    model = before = random_model()
    for suffix in [*SUFFIXES, *reversed(SUFFIXES)]:
        before = read_model(encode_model(before, suffix))
    assert_same_layers(model, before)


@pytest.mark.parametrize("name", TEXTS)
def test_a_published_text_file_is_written_back_to_the_letter(shared: Path, name: str) -> None:
    path = shared / "reference/rnnoise" / name
    assert encode_model(read_model(path), ".rnnn") == path.read_bytes()


def test_a_published_binary_file_is_written_back_to_the_byte(shared: Path) -> None:
    path = shared / "reference/rnnoise/default.rnn"
    model = read_model(path)
    assert [layer.activation for layer in model.layers[1:4]] == ["relu", "relu", "relu"]
    assert encode_model(model, ".rnn") == path.read_bytes()


@pytest.mark.parametrize("name", KERAS)
def test_a_keras_file_is_read_as_its_weights_times_256(shared: Path, name: str) -> None:
    h5py = require("h5py")
    path = shared / "reference/rnnoise" / name
    model = read_model(path)
    assert [layer.activation for layer in model.layers] == ["tanh", "tanh", "relu", "tanh", "sigmoid", "sigmoid"]
    with h5py.File(path) as file:
        for layer in model.layers:
            group = file[f"model_weights/{layer.name}/{layer.name}"]
            names = (
                ["kernel:0", "recurrent_kernel:0", "bias:0"] if layer.recurrent is not None else ["kernel:0", "bias:0"]
            )
            for array, tensor in zip(layer.arrays, names, strict=True):
                wanted = np.minimum(group[tensor][()], 127 / 256)  # weights were trained up to 0.499
                np.testing.assert_allclose(array / 256.0, wanted, atol=0.5001 / 256)


def test_text_has_one_array_a_line_and_no_blank_at_its_end() -> None:
    lines = encode_model(random_model(), ".rnnn").decode("ascii").split("\n")
    assert lines[0] == "rnnoise-nu model file version 1"
    assert lines[-1] == ""
    assert len(lines) == 23
    assert all(line == line.strip() for line in lines)
    assert [len(line.split()) for line in lines[1:7]] == [3, 42 * 24, 24, 3, 24 * 72, 24 * 72]


@pytest.mark.parametrize("sizes", [(24, 24, 48, 96), (30, 10, 20, 128)])
def test_ffmpeg_runs_the_text_form(tmp_path: Path, needs: Callable[[str], str], sizes: tuple[int, ...]) -> None:
    ffmpeg = needs("ffmpeg")
    write_model(random_model(*sizes), tmp_path / "model.rnnn")
    command = [ffmpeg, "-v", "error", "-f", "lavfi", "-i", "anoisesrc=d=1:r=48000:a=0.1"]
    command += ["-af", "arnndn=m=model.rnnn", "-f", "s16le", "-"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert len(done.stdout) >= 2 * 48000
    assert done.stderr == b""


def test_c_source_is_deterministic_and_its_comment_cannot_be_broken_out_of() -> None:
    source = encode_model(random_model(), ".dnnw.c")
    assert source == encode_model(random_model(), ".dnnw.c")
    comment, _, code = source.decode("utf-8").partition('#include "rnn_data.h"')
    assert "licence: CC0-1.0" in comment
    assert comment.count("*/") == 2  # its own end, and that of the line for clang-format
    assert "/*" not in code


def test_c_source_compiles(tmp_path: Path) -> None:
    if not (compiler := shutil.which("gcc") or shutil.which("cc")):
        pytest.skip("no C compiler")
    write_model(random_model(), tmp_path / "mine.dnnw.c")
    (tmp_path / "rnn_data.h").write_text(
        "#include <stddef.h>\nextern const unsigned char dn_builtin_data[];\nextern const size_t dn_builtin_size;\n"
    )
    command = [compiler, "-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-c", "mine.dnnw.c"]
    subprocess.run(command, cwd=tmp_path, check=True)


def test_the_model_compiled_in_can_be_read_and_written() -> None:
    model = read_any_model(None)
    assert model.metadata["name"] == "rnnoise"
    assert fingerprint(read_any_model(encode_model(model, ".dnnw"))) == fingerprint(model)
    assert fingerprint(read_any_model(encode_model(model, ".dnnw.c"))) == fingerprint(model)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_truncation_is_refused(suffix: str) -> None:
    data = encode_model(random_model(8, 6, 7, 9), suffix)
    whole = data.rstrip() if suffix in (".rnnn", ".c", ".dnnw.c") else data
    rng = np.random.default_rng(2)
    for length in [0, 1, 2, 3, 40, 64, 100, len(whole) - 3, *rng.integers(0, len(whole) - 3, 40)]:
        with pytest.raises(ModelError):
            read_model(whole[: int(length)])


@pytest.mark.parametrize("suffix", [".rnnn", ".rnn"])
def test_data_left_over_is_refused(suffix: str) -> None:
    with pytest.raises(ModelError):
        read_model(encode_model(random_model(8, 6, 7, 9), suffix) + b"5 \n5")


def text_with(line: int, change: Callable[[str], str]) -> bytes:
    lines = encode_model(random_model(), ".rnnn").decode("ascii").split("\n")
    lines[line] = change(lines[line])
    return "\n".join(lines).encode("ascii")


@pytest.mark.parametrize(
    ("line", "change", "words"),
    [
        (1, lambda text: "41 24 0", "input_dense has 41 inputs"),
        (4, lambda text: "25 24 0", "vad_gru has 25 inputs"),
        (8, lambda text: "90 129 2", "noise_gru"),
        (8, lambda text: "91 48 2", "noise_gru"),
        (12, lambda text: "113 96 0", "denoise_gru has 113 inputs"),
        (16, lambda text: "96 23 1", "denoise_output"),
        (19, lambda text: "24 2 1", "vad_output"),
        (9, lambda text: text + " 128", "noise_gru"),
        (9, lambda text: "128" + text[text.index(" ") :], "noise_gru"),
        (9, lambda text: "-129" + text[text.index(" ") :], "noise_gru"),
        (10, lambda text: text.replace(" ", " x ", 1), "noise_gru"),
        (10, lambda text: "99999999999999999999" + text[text.index(" ") :], "noise_gru"),
        (21, lambda text: "", "vad_output"),
    ],
)
def test_damage_to_a_text_file_is_placed_in_its_layer(line: int, change: Callable[[str], str], words: str) -> None:
    with pytest.raises(ModelError, match=words):
        read_model(text_with(line, change))


@pytest.mark.parametrize("data", [b"", b"\0", b"hello\n", b"\xff" * 1000, b"rnnoise-nu model file version 2\n"])
def test_what_is_no_model_is_refused(data: bytes) -> None:
    with pytest.raises(ModelError):
        read_model(data)


def test_a_large_file_is_refused_before_it_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "large.dnnw"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # a hole: no room on the disk is needed
    with pytest.raises(ModelError, match="more than 64 MB"):
        read_model(path)


def test_metadata_nested_without_end_is_a_model_error() -> None:
    nested = record("metadata", np.frombuffer(b'{"a":' + 100_000 * b"[", np.int8))
    with pytest.raises(ModelError, match="metadata"):
        read_model(classic.to_records(ClassicModel(random_model().layers)) + nested)


def test_a_size_of_thousands_of_digits_in_c_source_is_a_model_error() -> None:
    with pytest.raises(ModelError, match="says it has 9999"):
        read_model(b"const unsigned char dn_builtin_data[" + 9999 * b"9" + b"] = {1,2};")


@pytest.mark.parametrize("origin", [9000 * "long ", "dn_builtin_data[1] = {1};", "half \ud800 a pair"])
@pytest.mark.parametrize("suffix", [".dnnw.c", ".dnnw"])
def test_whatever_the_metadata_says_reads_back(suffix: str, origin: str) -> None:
    model = ClassicModel(random_model().layers, {"origin": origin})
    assert read_model(encode_model(model, suffix)).metadata == {"origin": origin}


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(SUFFIXES), st.integers(0, 2**32), st.integers(1, 8))
def test_mutated_files_are_refused_or_run(suffix: str, seed: int, changes: int) -> None:
    rng = np.random.default_rng(seed)
    data = bytearray(encode_model(random_model(4, 3, 2, 5), suffix))
    for _ in range(changes):
        data[rng.integers(len(data))] = rng.integers(256)
    try:
        backend = RNNoiseBackend(bytes(data))
        _ = backend.layers
    except ModelError:
        return
    cleaned, voice = backend.new_state(1).process(rng.uniform(-1, 1, (1, 960)).astype(np.float32))
    assert np.isfinite(cleaned).all()
    assert ((voice >= 0) & (voice <= 1)).all()


def test_sizes_that_a_form_cannot_hold_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"denoise_gru: 128 units.*127.*\.dnnw"):
        write_model(random_model(denoise=128), tmp_path / "model.rnn")
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_never_overwritten_unasked(tmp_path: Path) -> None:
    path = tmp_path / "model.rnnn"
    write_model(random_model(), path)
    with pytest.raises(FileError, match="exists"):
        write_model(random_model(seed=2), path)
    assert_same_layers(read_model(path), random_model())
    write_model(random_model(seed=2), path, overwrite=True)
    assert_same_layers(read_model(path), random_model(seed=2))
    assert [file.name for file in tmp_path.iterdir()] == ["model.rnnn"]


@pytest.mark.parametrize("name", ["model.txt", "model", "absent/model.rnnn"])
def test_a_target_that_cannot_be_written_is_a_file_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileError):
        write_model(random_model(), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["absent.rnnn", "."])
def test_a_model_that_cannot_be_read_is_a_file_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileError):
        read_model(tmp_path / name)


def test_layers_that_do_not_fit_together_are_refused_with_their_name() -> None:
    model = random_model()
    layers = list(model.layers)
    gru = layers[1]
    layers[1] = Layer(gru.name, gru.activation, gru.weights[:, :-1], gru.recurrent, gru.bias)
    with pytest.raises(ModelError, match="vad_gru"):
        ClassicModel(tuple(layers))
    layers[1] = Layer(gru.name, gru.activation, gru.weights.astype(np.float32), gru.recurrent, gru.bias)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=r"vad_gru.*int8"):
        ClassicModel(tuple(layers))
    with pytest.raises(ModelError, match="input_dense"):
        ClassicModel(model.layers[1:])


def keras_file(change: Callable[[dict[str, Any], dict[str, Any]], None] = lambda configs, arrays: None) -> bytes:
    """An HDF5 file as Keras writes it, of a small random network; change may spoil its settings and arrays."""
    h5py = require("h5py")
    model = random_model(5, 4, 3, 6)
    configs: dict[str, Any] = {}
    arrays: dict[str, Any] = {}
    for layer in model.layers:
        configs[layer.name] = {"name": layer.name, "activation": layer.activation}
        if layer.recurrent is not None:
            configs[layer.name] |= {"recurrent_activation": "sigmoid", "reset_after": False}
        tensors = ["kernel", "recurrent_kernel", "bias"] if layer.recurrent is not None else ["kernel", "bias"]
        for tensor, array in zip(tensors, layer.arrays, strict=True):
            arrays[f"{layer.name}/{layer.name}/{tensor}:0"] = array.astype(np.float32) / 256
    change(configs, arrays)
    layers = [{"class_name": "Any", "config": config} for config in configs.values()]
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        if configs:
            file.attrs["model_config"] = json.dumps({"config": {"layers": layers}})
        for path, array in arrays.items():
            file[f"model_weights/{path}".rstrip("/")] = array
    return buffer.getvalue()


def test_a_keras_file_of_any_sizes_is_read() -> None:
    assert_same_layers(read_model(keras_file()), random_model(5, 4, 3, 6))


def test_keras_layers_are_found_behind_a_prefix() -> None:
    def rename(configs: dict[str, Any], arrays: dict[str, Any]) -> None:
        for name in list(configs):
            configs[name]["name"] = f"rnn_{name}"
        for path in list(arrays):
            arrays[f"rnn_{path}"] = arrays.pop(path)

    assert_same_layers(read_model(keras_file(rename)), random_model(5, 4, 3, 6))


def test_keras_weights_past_the_range_are_clipped_not_wrapped() -> None:
    def enlarge(configs: dict[str, Any], arrays: dict[str, Any]) -> None:
        arrays["input_dense/input_dense/bias:0"] = np.array([9, -9, 0.4999, -0.5, 0], np.float32)

    assert read_model(keras_file(enlarge)).layers[0].bias.tolist() == [127, -128, 127, -128, 0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c, a: c.clear(), "model_config"),
        (lambda c, a: c["vad_gru"].update(name=3), "model_config.*name 3"),
        (lambda c, a: (a.clear(), a.update({"": np.zeros(3, "f4")})), "array, not a group"),
        (lambda c, a: c.pop("noise_gru"), "noise_gru"),
        (lambda c, a: a.pop("noise_gru/noise_gru/bias:0"), "noise_gru: no bias"),
        (lambda c, a: c["vad_gru"].update(reset_after=True), "vad_gru.*reset_after"),
        (lambda c, a: c["vad_gru"].update(recurrent_activation="hard_sigmoid"), "vad_gru.*hard_sigmoid"),
        (lambda c, a: c["denoise_gru"].update(activation="elu"), "denoise_gru.*elu"),
        (lambda c, a: a.update({"vad_output/vad_output/kernel:0": np.zeros((4, 2), "f4")}), "vad_output"),
        (lambda c, a: a.update({"vad_output/vad_output/kernel:0": np.zeros(4, "f4")}), "vad_output"),
        (lambda c, a: a.update({"vad_output/vad_output/kernel:0": np.zeros((5, 1), "f4")}), "vad_output"),
        (
            lambda c, a: a.update({"vad_output/vad_output/kernel:0": np.full((4, 1), np.nan, "f4")}),
            "vad_output.*finite",
        ),
    ],
)
def test_a_keras_file_that_does_not_fit_is_refused_with_its_layer(change: Any, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        read_model(keras_file(change))


def test_a_damaged_keras_file_is_a_model_error() -> None:
    data = keras_file()
    for length in (9, 100, 800, len(data) // 2):
        with pytest.raises(ModelError):
            read_model(data[:length])
    rng = np.random.default_rng(5)
    for _ in range(100):
        spoilt = bytearray(data)
        for place in rng.integers(8, min(len(data), 6000), 4):
            spoilt[place] = rng.integers(256)
        with contextlib.suppress(ModelError):  # nothing else may come out, and a lucky one may be read
            read_model(bytes(spoilt))
