"""Runs that keep a share of the weights that they began with in what they validate and write."""

from __future__ import annotations

import copy
from typing import Any, TypeVar

from torch import Tensor, nn

from denoise_wrapper.training.config import RunConfig
from denoise_wrapper.training.run.optim import with_start
from denoise_wrapper.training.run.run import Run

C = TypeVar("C", bound=RunConfig)
N = TypeVar("N", bound=nn.Module)


class SharedRun(Run[C, N]):
    """A run whose checkpoints hold the weights that it began with, where [train] start_share has a use for them."""

    def take_up(self, weights: dict[str, Tensor]) -> None:
        """Begin with these weights."""
        self.network.load_state_dict(weights)
        self.averaged.network.load_state_dict(weights)
        if self.config.train.start_share:
            self.kept = {"begun": copy.deepcopy(weights)}

    def start(self, checkpoint: dict[str, Any] | None) -> None:
        super().start(checkpoint)
        if checkpoint is not None and "begun" in checkpoint:
            self.kept = {"begun": checkpoint["begun"]}

    def written(self) -> N:
        """The network that is validated and written: the averaged one, with its share of what the run began with."""
        if not self.kept:
            return self.averaged.network
        network = copy.deepcopy(self.averaged.network)
        network.load_state_dict(with_start(network.state_dict(), self.kept["begun"], self.config.train.start_share))
        return network
