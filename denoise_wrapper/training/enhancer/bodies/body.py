"""The interface of all bodies."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from denoise_wrapper.training.enhancer.budget import Cost


class Body(nn.Module, ABC):
    """A network over frames of bands, causal in time.

    Cut a signal in time anywhere, hand the state on, and the values are those of the whole, in evaluation mode: batch
    norms use the statistics of a whole batch while they train.
    """

    def __init__(self, features: int, bands: int, width: int) -> None:
        super().__init__()
        self.features, self.bands, self.width = features, bands, width

    @abstractmethod
    def forward(self, x: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """The channels of the next frames, and the next state.

        x: float32 (clips, features, frames, bands), frames >= 1. Returns (clips, width, frames, bands).
        """

    @abstractmethod
    def state_shapes(self) -> list[tuple[int, ...]]:
        """The shapes of the state's tensors for one clip."""

    @abstractmethod
    def cost(self) -> Cost:
        """Cost of one frame: products, norms folded into them and additions left out."""

    def new_state(self, clips: int, device: torch.device) -> list[Tensor]:
        """The state before the first frame: zeros, the clips along the first axis."""
        return [torch.zeros(clips, *shape, device=device) for shape in self.state_shapes()]
