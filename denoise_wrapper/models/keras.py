"""RNNoise models as Keras saved them (HDF5): found layer by layer, quantised as the classic network wants it."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise_wrapper.errors import ModelError, needs_package
from denoise_wrapper.models.classic import SHAPES, ClassicModel, Int8, Layer, Shape, quantise

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"


def is_keras(data: bytes) -> bool:
    """True for the bytes of an HDF5 file."""
    return data.startswith(HDF5_MAGIC)


def read_keras(data: bytes) -> ClassicModel:
    """The classic model in an HDF5 file that Keras saved whole (`model.save`), given as its bytes.

    Raises ModelError if h5py is absent, the file is damaged, or a layer is absent, of a wrong shape or kind.
    """
    try:
        import h5py
    except ImportError as error:
        raise ModelError(needs_package("an HDF5 model needs", error, "keras")) from error
    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            settings = _layer_settings(file)
            arrays = _layer_arrays(file, h5py.Dataset)
    except ModelError:
        raise
    except (OSError, RuntimeError, LookupError, ValueError, OverflowError, TypeError, AttributeError) as error:
        raise ModelError(f"the HDF5 file is damaged: {error}") from error
    return ClassicModel(tuple(_layer(shape, settings, arrays) for shape in SHAPES))


def _layer_settings(file: Any) -> dict[str, dict[str, Any]]:
    """Layer name -> its Keras settings (activation, reset_after ...)."""
    text = file.attrs.get("model_config")
    if text is None:
        raise ModelError(
            "the HDF5 file has no model_config, so the activations of its layers are unknown; "
            "save the whole model (model.save), not only its weights"
        )
    try:
        layers = json.loads(text)["config"]["layers"]
        settings = {layer["config"]["name"]: layer["config"] for layer in layers}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelError(f"the HDF5 file's model_config is no Keras model: {error!r}") from error
    for name in settings:
        if not isinstance(name, str):
            raise ModelError(f"the HDF5 file's model_config is no Keras model: it has a layer of the name {name!r}")
    return settings


def _layer_arrays(file: Any, dataset_type: Any) -> dict[str, dict[str, NDArray[Any]]]:
    """Layer name -> kernel, recurrent_kernel, bias, wherever below model_weights they lie."""
    layers_read: dict[str, dict[str, NDArray[Any]]] = {}
    weights = file.get("model_weights", file)
    if isinstance(weights, dataset_type):
        raise ModelError("model_weights of the HDF5 file is an array, not a group of layers")

    def visit(path: str, item: Any) -> None:
        if isinstance(item, dataset_type) and item.size < 1 << 24:
            layers_read.setdefault(path.split("/")[0], {})[path.split("/")[-1].split(":")[0]] = np.asarray(item)

    weights.visititems(visit)
    return layers_read


def _layer(shape: Shape, settings: dict[str, dict[str, Any]], arrays: dict[str, dict[str, NDArray[Any]]]) -> Layer:
    """One layer of our order, from the Keras layer whose name is or ends in its name."""
    names = [name for name in settings if name == shape.name or name.endswith((f"_{shape.name}", f"/{shape.name}"))]
    if len(names) != 1:
        raise ModelError(
            f"{shape.name}: the Keras model has {len(names) or 'no'} layers of that name: {sorted(settings)}"
        )
    setting, tensors = settings[names[0]], arrays.get(names[0], {})
    if shape.is_gru and setting.get("reset_after"):
        raise ModelError(
            f"{shape.name}: a GRU with reset_after=True is another network; train it with reset_after=False"
        )
    if shape.is_gru and setting.get("recurrent_activation", "sigmoid") != "sigmoid":
        raise ModelError(f"{shape.name}: gates of {setting['recurrent_activation']!r}; only 'sigmoid' can be run")
    recurrent = _tensor(shape, tensors, "recurrent_kernel", 2) if shape.is_gru else None
    return Layer(
        name=shape.name,
        activation=str(setting.get("activation")),
        weights=_tensor(shape, tensors, "kernel", 2),
        recurrent=recurrent,
        bias=_tensor(shape, tensors, "bias", 1),
    )


def _tensor(shape: Shape, tensors: dict[str, NDArray[Any]], name: str, ndim: int) -> Int8:
    values = tensors.get(name)
    if values is None:
        raise ModelError(f"{shape.name}: no {name} among its weights ({', '.join(sorted(tensors)) or 'it has none'})")
    if values.ndim != ndim or values.dtype.kind != "f":
        raise ModelError(f"{shape.name}: {name} is {values.dtype} of shape {values.shape}; {ndim}-D floats are wanted")
    if not np.isfinite(values).all():
        raise ModelError(f"{shape.name}: {name} holds values that are not finite")
    return quantise(values)
