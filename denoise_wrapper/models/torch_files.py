"""Tensors of a checkpoint that torch saved, read without torch: a zip of a pickle and raw numbers.

Of the pickle nothing is run but dictionaries, lists and tensors; whatever else it names is refused.
"""

from __future__ import annotations

import io
import math
import pickle
import zipfile
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from denoise_wrapper.errors import ModelError

Array = NDArray[Any]
ZIP_MAGIC = b"PK\x03\x04"
MEMBERS_MAX = 20_000  # tensors and what is about them; UL-UNAS's checkpoint has 1,384
PICKLE_MAX = 4 << 20  # bytes; that of UL-UNAS has 166 kB
NAMES = ("model", "state_dict", "model_state_dict")  # of the weights in a dictionary that holds more
PREFIXES = ("_orig_mod.", "module.")  # of a network that was compiled, or trained by several processes

_TYPES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}


class _Storage(NamedTuple):
    """Numbers in a member of the zip."""

    type: str
    key: str


class _Tensor(NamedTuple):
    """A view of a storage: from where, its axes, and the numbers from one to the next along each."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Dictionary(dict[Any, Any]):
    """An ordered dictionary, whose attributes are of no use here."""

    def __setstate__(self, state: Any) -> None:
        pass


def is_torch_file(data: bytes) -> bool:
    """True for the bytes of a zip, which torch's checkpoints are."""
    return data.startswith(ZIP_MAGIC)


def read_torch_file(data: bytes) -> dict[str, Array]:
    """The weights in a checkpoint, by name, those for training left out.

    Raises ModelError for what is no checkpoint, one of another network's kind of file, or one that holds more than
    dictionaries of tensors.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return _read(archive)
    except ModelError:
        raise
    except Exception as error:  # whatever a damaged pickle or zip leads to
        raise ModelError(f"the checkpoint is damaged: {type(error).__name__}: {error}") from error


def _read(archive: zipfile.ZipFile) -> dict[str, Array]:
    members = {info.filename: info for info in archive.infolist()}
    if len(members) > MEMBERS_MAX:
        raise ModelError(f"the checkpoint has {len(members)} members, and there may be {MEMBERS_MAX}")
    pickles = [name for name in members if name.rpartition("/")[2] == "data.pkl"]
    if len(pickles) != 1:
        raise ModelError("the zip is no checkpoint of torch: it has no data.pkl, or more than one")
    root = pickles[0].removesuffix("data.pkl")
    content = _Unpickler(io.BytesIO(_member(archive, members[pickles[0]], PICKLE_MAX))).load()
    weights = _weights(content)
    return {name: _array(name, tensor, root, archive, members) for name, tensor in weights.items()}


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, most: int) -> bytes:
    if info.compress_type != zipfile.ZIP_STORED:
        raise ModelError(f"{info.filename} of the checkpoint is compressed, as torch does not do; save it with torch")
    if info.file_size > most:
        raise ModelError(f"{info.filename} of the checkpoint has {info.file_size} bytes, and there may be {most}")
    return archive.read(info)


class _Unpickler(pickle._Unpickler):  # type: ignore[misc,name-defined]
    """The unpickler in Python, whose memory grows with the pickle alone, and which knows five names."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return _Dictionary
        if (module, name) in (("torch._utils", "_rebuild_tensor_v2"), ("torch._utils", "_rebuild_parameter")):
            return _rebuild if name.endswith("v2") else _unwrap
        if module == "torch" and name in _TYPES:
            return name
        raise ModelError(f"the checkpoint holds {module}.{name}, which is not run; save its state_dict alone")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, storage_type, key, *_ = pid
        if kind != "storage" or storage_type not in _TYPES or not isinstance(key, str):
            raise ModelError("the checkpoint names numbers in a way that torch does not")
        return _Storage(storage_type, key)


def _rebuild(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> _Tensor:
    numbers = (offset, *shape, *strides)
    if not isinstance(storage, _Storage) or len(shape) != len(strides) or len(shape) > 8:
        raise ModelError("the checkpoint holds a tensor of no storage, or of unlike axes")
    if not all(type(number) is int and 0 <= number < 1 << 40 for number in numbers):
        raise ModelError("the checkpoint holds a tensor whose axes are no numbers")
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


def _unwrap(tensor: Any, *_: Any) -> Any:
    return tensor


def _weights(content: Any) -> Mapping[str, _Tensor]:
    if not isinstance(content, dict):
        raise ModelError(f"the checkpoint holds no dictionary of weights, but {type(content).__name__}")
    held = next((content[name] for name in NAMES if isinstance(content.get(name), dict)), content)
    weights = {}
    for name, tensor in held.items():
        if not isinstance(name, str) or not isinstance(tensor, _Tensor):
            raise ModelError(f"the checkpoint's weights have {name!r} among them, which is no tensor")
        for prefix in PREFIXES:
            name = name.removeprefix(prefix)
        weights[name] = tensor
    return weights


def _array(
    name: str, tensor: _Tensor, root: str, archive: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo]
) -> Array:
    info = members.get(f"{root}data/{tensor.storage.key}")
    if info is None:
        raise ModelError(f"{name}: the checkpoint does not hold its numbers")
    numbers = np.frombuffer(_member(archive, info, info.file_size), _TYPES[tensor.storage.type])
    last = tensor.offset + sum((n - 1) * stride for n, stride in zip(tensor.shape, tensor.strides, strict=True))
    count = math.prod(tensor.shape)
    if count == 0 or count > len(numbers) or last >= len(numbers):
        raise ModelError(f"{name}: a tensor of shape {tensor.shape} is not in its {len(numbers)} numbers")
    strides = [stride * numbers.itemsize for stride in tensor.strides]
    return np.lib.stride_tricks.as_strided(numbers[tensor.offset :], tensor.shape, strides, writeable=False).copy()
