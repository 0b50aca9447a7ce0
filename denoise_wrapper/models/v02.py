"""The v0.2 RNNoise network as Python sees it: a weights blob, and what is in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from denoise_wrapper.models.classic import metadata_record


@dataclass(frozen=True)
class Map:
    """A linear map of the network, y = W x + bias.

    name: conv1, conv2, gru1_input, gru1_recurrent ... gru3_recurrent, dense_out or vad_dense. inputs: those of a
    convolution are of three frames. outputs: those of a GRU's maps are of three gates. kind: float or int8. weights:
    how many of inputs * outputs the file has. diagonal: whether it has those of the three gates apart.
    """

    name: str
    inputs: int
    outputs: int
    kind: str
    weights: int
    diagonal: bool

    @property
    def size(self) -> int:
        """Numbers, diagonal and biases among them."""
        return self.weights + self.outputs * (2 if self.diagonal else 1)

    @property
    def density(self) -> float:
        """The share of inputs * outputs that there are weights of, 0 to 1."""
        return self.weights / (self.inputs * self.outputs)

    @property
    def description(self) -> str:
        """Kind, shape and density, in words."""
        words = [self.kind, f"{self.inputs} -> {self.outputs}"]
        if self.density < 1:
            words.append(f"{100 * self.density:.0f} % of the weights")
        if self.diagonal:
            words.append("diagonal apart")
        return ", ".join(words)


@dataclass(frozen=True, eq=False)
class V02Model:
    """A weights blob that the engine has loaded, its ten maps, and what is known about it (name, licence ...)."""

    data: bytes
    layers: tuple[Map, ...]
    metadata: dict[str, Any] = field(default_factory=dict)
    family: ClassVar[str] = "v0.2"


def with_metadata(blob: bytes, metadata: dict[str, Any]) -> bytes:
    """A weights blob that says what it is (name, licence, origin ...), for `RNNoiseBackend.metadata` to tell.

    blob: one that says nothing yet. The record is the last one, which RNNoise 0.2's own reader passes over.
    """
    return blob + metadata_record(metadata)
