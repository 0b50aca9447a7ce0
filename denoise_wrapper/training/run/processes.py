"""The processes of one training: one alone, or several under torchrun, each with its share of every batch."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import nn

from denoise_wrapper.errors import ConfigError


class Processes(NamedTuple):
    """Place of this process among those of the training."""

    rank: int = 0
    world: int = 1  # how many there are
    device: torch.device = torch.device("cpu")  # that this one computes on

    def rows(self, batch: int) -> range:
        """The rows of a batch that this process has. Raises ConfigError where they cannot be dealt out evenly."""
        if batch % self.world:
            raise ConfigError(
                f"a batch of {batch} clips cannot be dealt out to {self.world} processes; make it a multiple of them"
            )
        return range(self.rank, batch, self.world)

    def average_gradients(self, network: nn.Module) -> None:
        """Give each process the mean of all gradients."""
        if self.world == 1:
            return
        gradients = [part.grad for part in network.parameters() if part.grad is not None]
        joined = torch.cat([gradient.flatten() for gradient in gradients])
        torch.distributed.all_reduce(joined)
        joined /= self.world
        pieces = joined.split([gradient.numel() for gradient in gradients])
        for gradient, piece in zip(gradients, pieces, strict=True):
            gradient.copy_(piece.view_as(gradient))

    def any(self, wish: bool) -> bool:
        """True if any process wishes so."""
        if self.world == 1:
            return wish
        vote = torch.tensor(float(wish), device=self.device)
        torch.distributed.all_reduce(vote)
        return bool(vote > 0)

    def share(self, content: dict[str, Any]) -> None:
        """Replace the items of a dict by those that the first process has, once all have come here."""
        if self.world > 1:
            box = [content]
            torch.distributed.broadcast_object_list(box, src=0, device=self.device)
            content.update(box[0])

    def gather(self, content: Any) -> list[Any]:
        """Collect what each process has, in the first one; in the others nothing."""
        if self.world == 1:
            return [content]
        box: list[Any] | None = [None] * self.world if self.rank == 0 else None
        torch.distributed.gather_object(content, box, dst=0)
        return box or []


@contextlib.contextmanager
def processes() -> Iterator[Processes]:
    """Find the place of this process among those that torchrun started, or alone."""
    cuda = torch.cuda.is_available()
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Processes(0, 1, torch.device("cuda" if cuda else "cpu"))
        return
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if cuda:
        torch.cuda.set_device(local)
    torch.distributed.init_process_group("nccl" if cuda else "gloo")
    try:
        device = torch.device("cuda", local) if cuda else torch.device("cpu")
        yield Processes(torch.distributed.get_rank(), world, device)
    finally:
        torch.distributed.destroy_process_group()
