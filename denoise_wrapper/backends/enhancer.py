"""The enhancer by the C engine in native/."""

from __future__ import annotations

import math
import os
from functools import cached_property

from denoise_wrapper._native import lib
from denoise_wrapper.backends.engine import (
    Buffer,
    EngineBackend,
    ModelSource,
    called,
    check_bytes,
    read_file,
    right_backend,
)
from denoise_wrapper.errors import FileError, ModelError
from denoise_wrapper.models.enhancer import Sizes, decode_enhancer, is_enhancer, weight_shapes
from denoise_wrapper.models.shipped import MODELS, read_model_bytes

HEAD_BYTES = 1 << 16  # in which a file tells what it is


class EnhancerBackend(EngineBackend):
    """An enhancer: full band, a mask for each bin; 48 kHz, 10 ms a hop, late by 480 samples.

    Immutable, shared by threads and streams. min_gain is the original's share of what comes out, bin by bin. A guided
    one is half of a `GuidedBackend`, whose states alone run it; `enhancer_backend` makes of a file what it is.

    model: path or bytes of a .dnnw that `train enhancer` or `convert` wrote; None for NAME.dnnw in models/.
    name: the backend's name. isa: as `RNNoiseBackend` has it.
    Pickles by name and hash of the model, and its bytes if it is not the shipped one. Raises FileError, ModelError or
    ConfigError.
    """

    kind = "enhancer"

    def __init__(self, model: ModelSource | None = None, name: str = "enhancer", isa: str | None = None) -> None:
        file = MODELS / f"{name}.dnnw" if model is None else model
        source = bytes(file) if isinstance(file, Buffer) else read_file(file, name)
        check_bytes(source, file)
        super().__init__(source, file, name, isa, shipped=model is None)

    def check_family(self, model: ModelSource | None) -> None:
        """Raise ModelError for another's model."""
        if lib.dn_model_family(self._model) != lib.DN_ENHANCER:
            raise ModelError(f"the model {called(model)} is {right_backend(self._model)}")

    @property
    def is_guided(self) -> bool:
        """True of a network that sees a guide's answer, too; without one the signal is its own guide."""
        return bool(lib.dn_model_is_guided(self._model))

    @cached_property
    def sizes(self) -> Sizes:
        """The sizes of the network."""
        return decode_enhancer(self.data)[0]

    @property
    def weights(self) -> int:
        """The number of weights, biases among them."""
        return sum(math.prod(shape) for shape in weight_shapes(self.sizes).values())


def holds_enhancer(path: str | os.PathLike[str]) -> bool:
    """True of a file that begins as an enhancer's does."""
    try:
        return is_enhancer(read_model_bytes(path, HEAD_BYTES))
    except FileError:
        return False
