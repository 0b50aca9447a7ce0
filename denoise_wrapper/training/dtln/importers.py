"""Weights that people have, as our network: Keras' .h5, torch's .pth and .tar, ONNX pairs, our own checkpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from denoise_wrapper.errors import ConfigError, MissingFileError, ModelError, file_error, needs_package
from denoise_wrapper.models.keras import layer_arrays, layer_group, read_attribute
from denoise_wrapper.training.config import build
from denoise_wrapper.training.dtln.config import DTLNNetworkConfig, stored
from denoise_wrapper.training.dtln.model import DTLN
from denoise_wrapper.training.dtln.parts import Dense, Norm, Parts, Recurrent, assemble
from denoise_wrapper.training.run.card import sha256
from denoise_wrapper.training.run.checkpoint import load_tensors
from denoise_wrapper.training.run.lineage import run_checkpoint
from denoise_wrapper.training.run.optim import written_weights

Array = NDArray[Any]

HDF5_MAGIC, ZIP_MAGIC, PICKLE_MAGIC = b"\x89HDF\r\n\x1a\n", b"PK\x03\x04", b"\x80"
STATE_KEYS = ("network", "model", "state_dict", "model_state_dict")  # of a checkpoint, under which the weights lie
LSTM_NAMES = {f"{kind}_{side}_l0" for kind in ("weight", "bias") for side in ("ih", "hh")}  # of torch, one layer
DERIVED = ("block", "hop", "norm", "stage", "pair", "precision")  # of a pair's metadata: written anew at each export
RATES = {512: "16000", 1024: "32000"}  # of the published networks, by their blocks


def import_network(paths: Sequence[Path]) -> tuple[DTLN, dict[str, str]]:
    """The network in one or two files, and what is known of it.

    paths: a Keras .h5; a torch file of tensors (state dict or checkpoint); the folder of one of our runs, of which the
    best checkpoint is taken; or both models of an ONNX pair, or the folder that holds them. The form is told from the
    content, sizes from the weights.
    Returns the network and metadata for `export_pair`: name, origin, and licence and sample_rate where known.
    Raises FileError if a file cannot be read, ModelError if it is no DTLN; the message says what it is.
    """
    if len(paths) == 1 and paths[0].is_dir() and (pair := sorted(paths[0].glob("*.onnx"))):
        paths = pair
    files = [run_checkpoint(path) if path.is_dir() else path for path in paths]
    for path in files:
        if not path.is_file():
            raise MissingFileError(f"there is no file {path}")
    if len(files) == 2:
        network, known = from_pair(files)
    elif len(files) == 1:
        network, known = from_file(files[0])
    else:
        raise ModelError(f"a DTLN is one file of weights or two ONNX models, not {len(files)} files")
    origin = ", ".join(f"{path.name} (sha256 {sha256(path)})" for path in files)
    return network, {"name": files[0].stem, "origin": f"converted from {origin}", **known}


def rate(network: DTLN) -> dict[str, str]:
    return {"sample_rate": RATES[network.block]} if network.block in RATES else {}


def from_pair(paths: Sequence[Path]) -> tuple[DTLN, dict[str, str]]:
    """Our pair, or one of those that others published."""
    from denoise_wrapper.training.dtln.onnx_weights import check_alike, pair_parts, properties, read_models

    source = " and ".join(path.name for path in paths)
    models = read_models(paths)
    notes = properties(models[0])
    hop = int(notes["hop"]) if notes.get("hop", "").isdecimal() else None
    network = assemble(pair_parts(models), source, hop)
    check_alike(models, network, source)
    return network, rate(network) | {key: value for key, value in notes.items() if key not in DERIVED}


def from_file(path: Path) -> tuple[DTLN, dict[str, str]]:
    """A file of weights, by its first bytes."""
    try:
        with path.open("rb") as stream:
            magic = stream.read(8)
    except OSError as error:
        raise file_error(f"cannot read {path}: {error.strerror}", error) from error
    if magic == HDF5_MAGIC:
        network = assemble(keras_parts(path), path.name)
        return network, rate(network)
    if magic.startswith((ZIP_MAGIC, PICKLE_MAGIC)):
        return from_torch(path)
    if path.suffix.lower() == ".onnx":
        raise ModelError(f"{path} is one model of a pair; give both, as in NAME_1.onnx NAME_2.onnx")
    raise ModelError(f"{path} is neither HDF5 (Keras), a torch file nor an ONNX model, so no DTLN is in it")


def from_torch(path: Path) -> tuple[DTLN, dict[str, str]]:
    """A state dict, or a checkpoint with one in it."""
    try:
        content = load_tensors(path)
    except Exception as error:  # torch raises whatever its unpickler met
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(
            f"{path} cannot be read as tensors alone, and code in a file is not run ({reason}); save "
            "model.state_dict() with torch.save"
        ) from error
    content = as_dict(content)
    if "begun" in content:
        content = {**content, "network": written_weights(content)}
    weights = next((content[key] for key in STATE_KEYS if isinstance(content.get(key), dict)), content)
    tensors = {str(key): value for key, value in weights.items() if isinstance(value, Tensor)}
    if not tensors:
        raise ModelError(f"{path} holds no weights; a state dict is wanted, or a checkpoint that has one")
    config = as_dict(content.get("config"))
    table = "network" if "network" in config else "model"
    layers = as_dict(config.get(table))
    try:
        sizes = build(layers, DTLNNetworkConfig, f"{table}.") if layers else None
    except ConfigError as error:
        raise ModelError(f"the settings in {path} are not those of a DTLN: {error}") from error
    hop, dropout = (sizes.hop_length, sizes.dropout) if sizes else (None, 0.0)
    network = assemble(torch_parts(tensors), path.name, hop, dropout)
    known = {name: stored(config, name) for name in ("name", "licence", "sample_rate")}
    return network, rate(network) | {key: str(value) for key, value in known.items() if value is not None}


def as_dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def torch_parts(tensors: Mapping[str, Tensor]) -> Parts:
    """The layers of a state dict, of which the order of the keys is that of the modules."""
    modules: dict[str, dict[str, Array]] = {}
    for key, value in tensors.items():
        module, _, name = key.rpartition(".")
        modules.setdefault(module, {})[name] = value.float().numpy()
    parts = Parts()
    for module, arrays in modules.items():
        names, weight = set(arrays), arrays.get("weight", np.zeros(0))
        if {"weight_ih_l0", "weight_hh_l0"} <= names <= LSTM_NAMES:
            biases = [arrays[name] for name in ("bias_ih_l0", "bias_hh_l0") if name in arrays]
            add_lstm(parts, module, arrays["weight_ih_l0"], arrays["weight_hh_l0"], biases)
        elif names == {"gamma", "beta"}:
            parts.norms.append(Norm(arrays["gamma"].reshape(-1), arrays["beta"].reshape(-1)))
        elif names == {"weight", "bias"} and weight.ndim == 1:
            parts.norms.append(Norm(weight, arrays["bias"]))
        elif names == {"weight", "bias"} and weight.ndim == 2:
            parts.denses.append(Dense(weight, arrays["bias"]))
        elif names == {"weight"} and weight.ndim >= 2 and weight.size == np.prod(weight.shape[:2]):
            parts.maps.append(weight.reshape(weight.shape[:2]))
        else:
            parts.others.append(f"{module or 'no module'} with {', '.join(arrays)}")
    return parts


def add_lstm(parts: Parts, name: str, kernel: Array, recurrent: Array, biases: list[Array]) -> None:
    """An LSTM, unless its weights are for another number of gates. biases: those there are, which count together."""
    rows, units = recurrent.shape if recurrent.ndim == 2 else (0, 1)
    if rows == 4 * units and kernel.ndim == 2 and all(bias.shape == (rows,) for bias in biases):
        parts.lstms.append(Recurrent(kernel, recurrent, sum(biases, np.zeros(rows, np.float32))))
    else:
        kind = "a GRU" if rows == 3 * units else "weights of no LSTM"
        parts.others.append(f"{name} with {kind}, {recurrent.shape}")


def keras_parts(path: Path) -> Parts:
    """The layers of Keras' HDF5 file, weights alone or the whole model, in the model's order."""
    try:
        import h5py
    except ImportError as error:
        raise ModelError(needs_package("an HDF5 model needs", error, "keras")) from error
    try:
        with h5py.File(path, "r") as file:
            group = layer_group(file, h5py)
            layers = layer_arrays(group, h5py)
            names = read_attribute(group, "layer_names", path.stat().st_size)
            order = sorted(layers, key=by_number) if names is None else [text_of(name) for name in names]
    except ModelError as error:
        raise ModelError(f"{path} cannot be used: {error}") from error
    except (LookupError, OSError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        raise ModelError(f"{path} is damaged: {error}") from error
    parts = Parts()
    for name in order:
        if name in layers:
            add_keras_layer(parts, name, layers[name])
    return parts


def text_of(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def by_number(name: str) -> tuple[str, int]:
    """Orders lstm, lstm_1, lstm_2, lstm_10."""
    stem, _, number = name.rpartition("_")
    return (stem, int(number)) if number.isdecimal() and stem else (name, 0)


def add_keras_layer(parts: Parts, name: str, arrays: dict[str, Array]) -> None:
    """Kernels are (inputs, outputs) there, a convolution's (1, inputs, outputs); gates are i f c o."""
    names, kernel = set(arrays), arrays.get("kernel", np.zeros(0))
    if {"kernel", "recurrent_kernel"} <= names:
        biases = [arrays["bias"]] if "bias" in arrays else []
        add_lstm(parts, name, kernel.T, arrays["recurrent_kernel"].T, biases)
    elif names == {"gamma", "beta"}:
        parts.norms.append(Norm(arrays["gamma"].reshape(-1), arrays["beta"].reshape(-1)))
    elif names == {"kernel"} and kernel.ndim == 3 and len(kernel) == 1:
        parts.maps.append(kernel[0].T)
    elif names == {"kernel", "bias"} and kernel.ndim == 2:
        parts.denses.append(Dense(kernel.T, arrays["bias"]))
    else:
        parts.others.append(f"{name} with {', '.join(sorted(arrays))}")
