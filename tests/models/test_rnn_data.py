"""rnn_data.c of RNNoise 0.1: read as its own tools write it, written so that librnnoise compiles it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from classic_models import random_model

from denoise_wrapper import FileError, ModelError
from denoise_wrapper.backends.convert import encode_model, fingerprint, read_any_model, read_model, write_model
from denoise_wrapper.cli import main as cli
from denoise_wrapper.models import rnn_data
from denoise_wrapper.models.classic import ClassicModel

# The declarations of librnnoise 0.1 that an rnn_data.c builds on.
RNN_H = """
#ifndef RNN_H
#define RNN_H
typedef struct RNNModel RNNModel;
typedef signed char rnn_weight;
enum { ACTIVATION_TANH, ACTIVATION_SIGMOID, ACTIVATION_RELU };
typedef struct { const rnn_weight *bias, *input_weights; int nb_inputs, nb_neurons, activation; } DenseLayer;
typedef struct {
    const rnn_weight *bias, *input_weights, *recurrent_weights;
    int nb_inputs, nb_neurons, activation;
} GRULayer;
#endif
"""
# Prints the text form of the model that librnnoise would find.
PROGRAM = """
#include <stdio.h>
#include "rnn_data.h"
extern const struct RNNModel rnnoise_model_orig;
static void print(const rnn_weight *values, int n) {
    for (int i = 0; i < n; i++) printf(i ? " %d" : "%d", values[i]);
    printf("\\n");
}
static void dense(const DenseLayer *l, int size) {
    printf("%d %d %d\\n", l->nb_inputs, size, l->activation);
    print(l->input_weights, l->nb_inputs * l->nb_neurons);
    print(l->bias, l->nb_neurons);
}
static void gru(const GRULayer *l, int size) {
    printf("%d %d %d\\n", l->nb_inputs, size, l->activation);
    print(l->input_weights, 3 * l->nb_inputs * l->nb_neurons);
    print(l->recurrent_weights, 3 * l->nb_neurons * l->nb_neurons);
    print(l->bias, 3 * l->nb_neurons);
}
int main(void) {
    const struct RNNModel *m = &rnnoise_model_orig;
    struct RNNState state = {m, 0, 0, 0};
    printf("rnnoise-nu model file version 1\\n");
    dense(state.model->input_dense, m->input_dense_size);
    gru(m->vad_gru, m->vad_gru_size);
    gru(m->noise_gru, m->noise_gru_size);
    gru(m->denoise_gru, m->denoise_gru_size);
    dense(m->denoise_output, m->denoise_output_size);
    dense(m->vad_output, m->vad_output_size);
    return 0;
}
"""


def as_their_tools_write(model: ClassicModel, form: str) -> str:
    """form: "0.1" without a list of layers, "0.1.1" with one, "python3" with sizes such as 24.0."""
    lines = ["/*This file is generated*/", "#ifdef HAVE_CONFIG_H", '#include "config.h"', "#endif", '#include "rnn.h"']
    static = "static const" if form == "0.1.1" else "const"
    for layer in model.layers:
        names = [layer.name + "_weights", *([layer.name + "_recurrent_weights"] if layer.recurrent is not None else [])]
        for name, array in zip([*names, layer.name + "_bias"], layer.arrays, strict=True):
            values = [str(value) for value in array.ravel()]
            rows = [", ".join(values[at : at + 8]) for at in range(0, len(values), 8)]
            lines += [f"static const rnn_weight {name}[{len(values)}] = {{\n   " + ",\n   ".join(rows), "};", ""]
        units = f"{layer.units}.0" if form == "python3" and layer.recurrent is not None else str(layer.units)
        kind = "DenseLayer" if layer.recurrent is None else "GRULayer"
        members = [layer.name + "_bias", *names, str(layer.inputs), units, f"ACTIVATION_{layer.activation.upper()}"]
        lines += [f"{static} {kind} {layer.name} = {{\n   " + ",\n   ".join(members), "};", ""]
    if form != "0.1":
        lines.append("const struct RNNModel rnnoise_model_orig = {")
        lines += [f"    {layer.units},\n    &{layer.name},\n" for layer in model.layers]
        lines.append("};")
    return "\n".join(lines)


@pytest.mark.parametrize("form", ["0.1", "0.1.1", "python3"])
def test_the_file_of_their_tools_is_read_everywhere(
    tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    model = random_model()
    path = tmp_path / "rnn_data.c"
    path.write_text(as_their_tools_write(model, form))
    wanted = fingerprint(model)
    assert fingerprint(read_any_model(path)) == wanted
    assert cli.main(["models", "info", str(path)]) == 0
    assert wanted in capsys.readouterr().out
    assert cli.main(["convert", str(path), "-o", str(tmp_path / "a.rnnn")]) == 0
    assert fingerprint(read_model(tmp_path / "a.rnnn")) == wanted


@pytest.mark.parametrize("sizes", [(24, 24, 48, 96), (40, 30, 20, 128)])
def test_what_is_written_compiles_in_their_tree_to_the_same_weights(
    tmp_path: Path, needs: Callable[[str], str], sizes: tuple[int, ...]
) -> None:
    model = random_model(*sizes)
    written = write_model(model, tmp_path / "rnn_data.c")
    assert written == [tmp_path / "rnn_data.h", tmp_path / "rnn_data.c"]
    (tmp_path / "rnn.h").write_text(RNN_H)
    (tmp_path / "print.c").write_text(PROGRAM)
    flags = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    subprocess.run([needs("gcc"), *flags, "rnn_data.c", "print.c", "-o", "print"], cwd=tmp_path, check=True)
    printed = subprocess.run([tmp_path / "print"], capture_output=True, check=True).stdout
    assert printed == rnn_data.to_text((tmp_path / "rnn_data.c").read_bytes())
    assert fingerprint(read_model(printed)) == fingerprint(model)


def test_a_file_of_another_name_includes_its_own_header(tmp_path: Path) -> None:
    write_model(random_model(), tmp_path / "mine.c")
    assert '#include "mine.h"' in (tmp_path / "mine.c").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.c", "mine.h"]


@pytest.mark.parametrize("there", ["mine.c", "mine.h"])
def test_neither_file_is_replaced_unasked(tmp_path: Path, there: str) -> None:
    (tmp_path / there).write_text("mine")
    with pytest.raises(FileError, match=f"{there} exists"):
        write_model(random_model(), tmp_path / "mine.c")
    assert [path.name for path in tmp_path.iterdir()] == [there]
    write_model(random_model(), tmp_path / "mine.c", overwrite=True)


def test_a_name_in_the_metadata_cannot_end_the_comment(tmp_path: Path) -> None:
    model = ClassicModel(random_model().layers, {"name": "a */ int x; /*", "licence": "MIT"})
    source = encode_model(model, ".c").decode()
    assert "licence: MIT" in source
    assert source.index("*/") > source.index("licence: MIT")
    assert fingerprint(read_model(source.encode())) == fingerprint(model)


def test_layers_beyond_librnnoise_s_arrays_are_refused() -> None:
    with pytest.raises(ModelError, match="denoise_gru: 129 units, but librnnoise runs 128"):
        encode_model(random_model(24, 24, 48, 129), ".c")


CHANGES = {
    "a number too large": (("= {", "= {128, "), "no integer from -128 to 127"),
    "a word among the numbers": (("= {\n   ", "= {\n   x, "), "no integer"),
    "a value too many": (("= {\n   ", "= {\n   1, "), "says it has"),
    "an unknown activation": (("ACTIVATION_TANH", "ACTIVATION_SWISH"), "is none of ACTIVATION_TANH"),
    "a layer of another kind": (("const GRULayer vad_gru", "const LSTMLayer vad_gru"), "is no array of rnn_weight"),
    "an array that is elsewhere": (
        ("static const rnn_weight vad_gru_bias", "static const rnn_weight v"),
        "is not there",
    ),
    "a comment without an end": (("#include", "/* #include"), "comment"),
    "a function": (("const struct", "int main(void) {}\nconst struct"), "is no array of rnn_weight"),
    "twice the same": (("static const rnn_weight vad_gru_bias", "static const rnn_weight vad_gru_weights"), "twice"),
    "sizes that do not fit": (("42,\n   24,", "42,\n   25,"), "are wanted"),
    "a layer less in the list": (("    1,\n    &vad_output,\n", ""), "names 5 layers"),
}


@pytest.mark.parametrize(("change", "words"), CHANGES.values(), ids=CHANGES)
def test_damage_is_named(change: tuple[str, str], words: str) -> None:
    source = as_their_tools_write(random_model(), "0.1.1")
    damaged = source.replace(*change, 1)
    assert damaged != source
    with pytest.raises(ModelError, match=words):
        read_model(damaged.encode())


@pytest.mark.parametrize("filling", ["/*", "const rnn_weight a[1]={1};", "const rnn_weight a[1]={1} ", "{", " ", "1,"])
def test_a_hostile_file_is_refused_soon(filling: str) -> None:
    data = ("const rnn_weight w[2] = {1, 2};\n" + filling * ((4 << 20) // len(filling))).encode()
    with pytest.raises(ModelError):
        read_model(data)
    with pytest.raises(ModelError, match="8 MB at most"):
        read_model(b"const rnn_weight w[2] = {1, 2};" + b" " * (9 << 20))


def test_arrays_are_taken_by_the_layer_s_own_names() -> None:
    model = random_model()
    text = (
        as_their_tools_write(model, "0.1.1")
        .replace("vad_gru_bias", "b7")
        .replace("&vad_gru", "&v")
        .replace("GRULayer vad_gru", "GRULayer v")
    )
    np.testing.assert_array_equal(read_model(text.encode()).layers[1].bias, model.layers[1].bias)
