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
ITEMS_MAX = 10_000  # groups and arrays in a file; a Keras model has some dozens
ARRAYS_MAX = 64 << 20  # bytes of all arrays
CONFIG_MAX = 1 << 20  # characters of model_config; the classic network's has 5000
ATTRIBUTE_MAX = 256 << 20  # bytes that an attribute could grow to


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
            settings = _layer_settings(file, len(data))
            arrays = layer_arrays(layer_group(file, h5py), h5py)
    except ModelError:
        raise
    except (OSError, RuntimeError, LookupError, ValueError, OverflowError, TypeError, AttributeError) as error:
        raise ModelError(f"the HDF5 file is damaged: {error}") from error
    return ClassicModel(tuple(_layer(shape, settings, arrays) for shape in SHAPES))


def _layer_settings(file: Any, size: int) -> dict[str, dict[str, Any]]:
    """Layer name -> its Keras settings (activation, reset_after ...). size: of the file, in bytes."""
    text = read_attribute(file, "model_config", size)
    if text is None:
        raise ModelError(
            "the HDF5 file has no model_config, so the activations of its layers are unknown; "
            "save the whole model (model.save), not only its weights"
        )
    if isinstance(text, str | bytes) and len(text) > CONFIG_MAX:
        raise ModelError(f"the HDF5 file's model_config is longer than {CONFIG_MAX} characters; no model needs that")
    try:
        layers = json.loads(text)["config"]["layers"]
        settings = {layer["config"]["name"]: layer["config"] for layer in layers}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelError(f"the HDF5 file's model_config is no Keras model: {error!r}") from error
    for name in settings:
        if not isinstance(name, str):
            raise ModelError(f"the HDF5 file's model_config is no Keras model: it has a layer of the name {name!r}")
    return settings


def read_attribute(item: Any, name: str, size: int) -> Any:
    """An attribute of an item of an HDF5 file, None if it has none of that name. size: of the file, in bytes.

    Raises ModelError for one that could take more than ATTRIBUTE_MAX: texts of any length may lie in the file once and
    be in an attribute many times.
    """
    if name not in item.attrs:
        return None
    count = int(np.prod(item.attrs.get_id(name).shape or (), dtype=np.float64))
    if count * size > ATTRIBUTE_MAX:
        raise ModelError(f"{name} of the HDF5 file has {count} values, and may not have so many")
    return item.attrs[name]


def layer_group(file: Any, h5py: Any) -> Any:
    """The group of an HDF5 file in which the layers lie: model_weights, if there is one, or the file."""
    link = file.get("model_weights", getlink=True)
    if link is None:
        return file
    if not isinstance(link, h5py.HardLink):
        raise ModelError("model_weights of the HDF5 file lies in another file or place; save the model anew")
    if not isinstance(file["model_weights"], h5py.Group):
        raise ModelError("model_weights of the HDF5 file is an array, not a group of layers")
    return file["model_weights"]


def layer_arrays(group: Any, h5py: Any) -> dict[str, dict[str, NDArray[Any]]]:
    """Layer name -> kernel, recurrent_kernel, bias ..., wherever below the group they lie: the arrays of numbers.

    Raises ModelError for arrays that are not in the file as they are: compressed, in other files, not there at all; and
    for more of them than any model has.
    """
    layers: dict[str, dict[str, NDArray[Any]]] = {}
    items = read = 0

    def visit(path: str, item: Any) -> None:
        nonlocal items, read
        items += 1
        if items > ITEMS_MAX:
            raise ModelError(f"the HDF5 file has more than {ITEMS_MAX} groups and arrays; no model has so many")
        if isinstance(item, h5py.Dataset) and item.dtype.kind in "fiu":
            read += _stored_bytes(path, item)
            if read > ARRAYS_MAX:
                raise ModelError(f"the HDF5 file has arrays of more than {ARRAYS_MAX >> 20} MB; no model is so large")
            layers.setdefault(path.split("/")[0], {})[path.split("/")[-1].split(":")[0]] = np.asarray(item)

    group.visititems(visit)
    return layers


def _stored_bytes(path: str, item: Any) -> int:
    """The bytes of an array that is in the file as it is."""
    if item.id.get_create_plist().get_nfilters():
        raise ModelError(f"{path} of the HDF5 file is compressed, as Keras does not do; save it without compression")
    if item.is_virtual or item.external:
        raise ModelError(f"{path} of the HDF5 file lies in another file; save the model whole")
    if item.id.get_storage_size() < item.nbytes:
        raise ModelError(f"{path} of the HDF5 file is {item.nbytes} bytes, and is not in it")
    return int(item.nbytes)


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
