"""The body of kind 'rows' by the C engine while it learns, forward and backward, on a processor.

Torch goes through megabytes for each operator; the engine does all of a frame within the cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import torch
from torch import Tensor

from denoise_wrapper._native import ffi, lib

SPARE = 2  # rooms for what is kept of a step that wait for the next one

_spare: list[Tensor] = []


class Sizes(NamedTuple):
    """Sizes of a body, in the order of dn_rows_sizes."""

    features: int
    bands: int
    channels: int
    width: int
    convolutions: int
    rows: int
    blocks: int
    units: int
    heads: int


def has_kernels(sizes: Sizes) -> bool:
    """True if the engine can run a body of these sizes."""
    return bool(lib.dn_rows_weights(to_engine(sizes)))


def run(sizes: Sizes, x: Tensor, state: list[Tensor], weights: Iterable[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """A pass through a body for which `has_kernels`, with slopes of its weights alone.

    x: float32 (clips, features, frames, bands). state: float32 (clips, rows, units) for each block. weights: all, in
    the order that native/denoise.h states, the norms in them. Returns (clips, width, frames, bands) and the next state.
    Raises MemoryError.
    """
    joined = torch.cat([part.flatten() for part in weights])
    hidden, after = Pass.apply(x.contiguous(), torch.stack(state, dim=1), joined, sizes)
    return hidden.permute(0, 3, 1, 2), list(after.unbind(1))


def to_engine(sizes: Sizes) -> Any:
    """Sizes as the engine takes them, a dn_rows_sizes *."""
    return ffi.new("dn_rows_sizes *", sizes)


class Pass(torch.autograd.Function):
    """A pass of the engine through the frames of a batch. Slopes are those of the weights alone."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, state: Tensor, weights: Tensor, sizes: Sizes) -> tuple[Tensor, Tensor]:
        """(clips, frames, bands, width) and the next state.

        x: (clips, features, frames, bands). state: (clips, blocks, rows, units). weights: all, one behind the other.
        """
        clips, _, frames, bands = x.shape
        hidden, after = x.new_empty(clips, frames, bands, sizes.width), state.clone()
        assert len(weights) == lib.dn_rows_weights(to_engine(sizes))
        kept_of_clip = frames * lib.dn_rows_kept(to_engine(sizes))
        kept = take_room(clips * kept_of_clip)

        def part(first: int, end: int) -> None:
            arrays = weights, x[first:], after[first:], hidden[first:], kept[first * kept_of_clip :]
            call(lib.dn_rows_forward, sizes, end - first, frames, arrays)

        in_parts(clips, part)
        ctx.sizes, ctx.kept, ctx.kept_of_clip = sizes, kept, kept_of_clip
        ctx.save_for_backward(x, state, weights)
        ctx.mark_non_differentiable(after)
        return hidden, after

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, None, Tensor, None]:
        x, state, weights = ctx.saved_tensors
        kept, slopes = ctx.kept, gradients[0].contiguous()
        clips, _, frames, _ = x.shape
        sums: list[Tensor] = []

        def part(first: int, end: int) -> None:
            own = torch.zeros_like(weights)
            sums.append(own)
            arrays = weights, x[first:], state[first:], kept[first * ctx.kept_of_clip :], slopes[first:], own
            call(lib.dn_rows_backward, ctx.sizes, end - first, frames, arrays)

        in_parts(clips, part)
        if len(_spare) < SPARE:
            _spare.append(kept)
        return None, None, torch.stack(sums).sum(dim=0), None


def call(function: Callable[..., int], sizes: Sizes, clips: int, frames: int, arrays: tuple[Tensor, ...]) -> None:
    """Call the engine on contiguous float32 tensors. Raises MemoryError."""
    pointers = [ffi.cast("float *", array.data_ptr()) for array in arrays]
    if (status := function(to_engine(sizes), clips, frames, *pointers)) != lib.DN_OK:
        assert status == lib.DN_NO_MEMORY, f"the engine answered {status}"
        raise MemoryError("there is no memory for a pass of the engine; make [train] batch smaller")


def in_parts(clips: int, part: Callable[[int, int], None]) -> None:
    """Call part(first, end) for ranges of the clips, one for each of torch's threads, side by side."""
    count = min(torch.get_num_threads(), clips)
    edges = [clips * index // count for index in range(count + 1)]
    if count == 1:
        part(0, clips)
        return
    with ThreadPoolExecutor(count) as pool:
        list(pool.map(part, edges[:-1], edges[1:]))


def take_room(size: int) -> Tensor:
    """Floats of any values, (size,): those of an earlier step, whose memory the system need not give anew."""
    for index, room in enumerate(_spare):
        if len(room) == size:
            return _spare.pop(index)
    _spare.clear()
    return torch.empty(size)
