"""Memories of the bodies: GRUs along time and along frequency, and a lighter one without products over its own past."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from denoise_wrapper.training.enhancer.bodies.parts import as_rows
from denoise_wrapper.training.enhancer.budget import Cost


class Recurrence(torch.autograd.Function):
    """A GRU's way through its steps, as `nn.GRU` defines it, with slopes that take few operators a step.

        r, z = sigmoid(x + h U + b)      n = tanh(x + r * (h U + b))      h' = n + z * (h - n)

    Torch has no such function for the CPU: what it does there is one operator after another, and all of them again
    backwards.
    """

    @staticmethod
    @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.float32)
    def forward(ctx: Any, inputs: Tensor, state: Tensor, matrix: Tensor, bias: Tensor) -> Tensor:
        """(steps, rows, units) after each step.

        inputs: (steps, rows, 3 * units), products of what comes in, for r, z and n. state: (rows, units). matrix: U,
        (3 * units, units). bias: b, (3 * units,).
        """
        units, turned, h = state.shape[1], matrix.t(), state
        gates, answer = torch.empty_like(inputs), inputs.new_empty(*inputs.shape[:2], units)  # gates: r, z, n
        inner = torch.empty_like(answer)  # h U + b of n
        product = torch.empty_like(inputs[0])
        both, last = product.split([2 * units, units], dim=1)
        parts = (*inputs.split([2 * units, units], dim=2), *gates.split([2 * units, units], dim=2))
        for x, x_n, rz, n, kept, after in zip(*(part.unbind() for part in (*parts, inner, answer)), strict=True):
            torch.addmm(bias, h, turned, out=product)
            torch.add(both, x, out=rz).sigmoid_()
            kept.copy_(last)
            torch.addcmul(x_n, rz[:, :units], last, out=n).tanh_()
            h = torch.lerp(n, h, rz[:, units:], out=after)
        ctx.save_for_backward(state, matrix, gates, inner, answer)
        return answer

    @staticmethod
    @torch.amp.custom_bwd(device_type="cpu")
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        state, matrix, gates, inner, answer = ctx.saved_tensors
        units = state.shape[1]
        r, z, n = gates.split(units, dim=2)
        before = torch.cat([state.unsqueeze(0), answer[:-1]])
        bent = (1.0 - z) * (1.0 - n.square())  # of x in n, for one of h'
        shares = torch.cat([bent * inner * r * (1.0 - r), (before - n) * z * (1.0 - z), bent * r], dim=2)
        slopes, products = torch.empty_like(answer), torch.empty_like(gates)  # of h'; of h U + b
        later = gradients[0][-1]
        for step in range(len(answer) - 1, -1, -1):
            slope = slopes[step].copy_(later)
            torch.mul(shares[step].unflatten(1, (3, units)), slope.unsqueeze(1), out=products[step].view(-1, 3, units))
            later = slope * z[step]
            later.addmm_(products[step], matrix)
            if step:
                later += gradients[0][step - 1]
        rows = products.flatten(0, 1)
        inputs = torch.cat([products[:, :, : 2 * units], slopes * bent], dim=2)
        return inputs, later, rows.t() @ before.flatten(0, 1), rows.sum(dim=0)


def run_gru(gru: nn.GRU, x: Tensor, state: Tensor | None = None) -> Tensor:
    """The answers of a GRU of one layer, (steps, rows, units), of both directions if it has them.

    x: (steps, rows, inputs). state: (rows, units), the one before; None: zeros.
    """
    if not torch.is_grad_enabled() or x.device.type != "cpu":
        answer, _ = gru(x, None if state is None else state.unsqueeze(0))
        return answer  # type: ignore[no-any-return]
    if state is None:
        state = x.new_zeros(x.shape[1], gru.hidden_size)
    answers = []
    for direction, (matrix, inner, bias, inner_bias) in enumerate(gru.all_weights):
        steps = x.flip(0) if direction else x
        answer = Recurrence.apply(functional.linear(steps, matrix, bias), state, inner, inner_bias)
        answers.append(answer.flip(0) if direction else answer)
    return answers[0] if len(answers) == 1 else torch.cat(answers, dim=2)


class TimeGRU(nn.Module):
    """A GRU along time for each row, with one set of weights for all rows."""

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.gru = nn.GRU(inputs, units)

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """(clips, frames, rows, inputs) to (clips, frames, rows, units). state: (clips, rows, units)."""
        clips, frames, rows, _ = x.shape
        steps = x.transpose(0, 1).reshape(frames, clips * rows, -1)
        answer = run_gru(self.gru, steps, state.flatten(0, 1))
        return answer.view(frames, clips, rows, -1).transpose(0, 1), answer[-1].view_as(state)

    def cost(self, rows: int) -> Cost:
        """Cost of a frame of so many rows."""
        units = rows * self.gru.hidden_size
        return Cost(units * 3 * (self.gru.input_size + self.gru.hidden_size), 3 * units, 1)


class BandGRU(nn.Module):
    """Two GRUs along the rows of each frame, one up and one down, with half of the units each."""

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.gru = nn.GRU(inputs, units // 2, bidirectional=True)

    def forward(self, x: Tensor) -> Tensor:
        """(clips, frames, rows, inputs) to (clips, frames, rows, units)."""
        clips, frames, rows, _ = x.shape
        answer = run_gru(self.gru, x.flatten(0, 1).transpose(0, 1))
        return answer.view(rows, clips, frames, -1).permute(1, 2, 0, 3)

    def cost(self, rows: int) -> Cost:
        """Cost of a frame of so many rows; both directions go at once."""
        units = 2 * rows * self.gru.hidden_size
        return Cost(units * 3 * (self.gru.input_size + self.gru.hidden_size), 3 * units, rows)


class TimeAttention(nn.Module):
    """A gain for each channel of each frame, by a GRU that follows the channels' power. After GTCRN and UL-UNAS."""

    def __init__(self, channels: int, units: int) -> None:
        super().__init__()
        self.gru, self.dense = nn.GRU(channels, units), nn.Linear(units, channels)

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """(clips, channels, frames, bands), of the same shape. state: (clips, units)."""
        power = as_rows(x).square().mean(dim=2)  # (clips, frames, channels)
        answer = run_gru(self.gru, power.transpose(0, 1), state)
        gain = torch.sigmoid(self.dense(answer)).permute(1, 2, 0)
        return x * gain.unsqueeze(3), answer[-1]

    def cost(self) -> Cost:
        """Cost of a frame."""
        units, channels = self.gru.hidden_size, self.gru.input_size
        return Cost(3 * units * (channels + units) + units * channels, 3 * units + channels, 1)


class Blend(torch.autograd.Function):
    """h[t] = h[t - 1] + z[t] (c[t] - h[t - 1]) for all frames, z = sigmoid(gate)."""

    @staticmethod
    def forward(ctx: Any, gate: Tensor, value: Tensor, state: Tensor) -> Tensor:
        share = torch.sigmoid(gate)
        answer = blend_frames(share, value, state)
        ctx.save_for_backward(share, state, answer)
        return answer

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        share, state, answer = ctx.saved_tensors
        gates, values = torch.empty_like(share), torch.empty_like(share)
        later, change = torch.zeros_like(state), torch.empty_like(state)
        frames = (part.unbind(1) for part in (gradients[0], share, answer, gates, values))
        steps = list(zip(*frames, strict=True))
        earlier = (state, *(step[2] for step in steps[:-1]))
        # Frame by frame, while each is in the processor's cache. A gate's slope has z (1 - z) (c - h[t - 1]) in it, and
        # that is (1 - z) (h[t] - h[t - 1]).
        for (gradient, z, after, gate, value), before in zip(reversed(steps), reversed(earlier), strict=True):
            later += gradient
            torch.mul(later, z, out=value)
            later -= value
            torch.mul(later, torch.sub(after, before, out=change), out=gate)
        return gates, values, later


def blend_frames(share: Tensor, value: Tensor, state: Tensor) -> Tensor:
    """The blends of each frame's value with all before it. share, value: (clips, frames, ...), state: (clips, ...)."""
    if torch.onnx.is_in_onnx_export():  # which has no tensor that is written to
        frames = []
        for z, new in zip(share.unbind(1), value.unbind(1), strict=True):
            state = torch.lerp(state, new, z)
            frames.append(state)
        return torch.stack(frames, dim=1)
    answer = torch.empty_like(value)
    for z, new, after in zip(share.unbind(1), value.unbind(1), answer.unbind(1), strict=True):
        state = torch.lerp(state, new, z, out=after)
    return answer


class LightMemory(nn.Module):
    """A GRU whose gate and candidate see only the frame: a running mean that each unit of each row steers.

    After "Were RNNs all we needed?" (arXiv 2410.01201). It takes a third of a GRU's products and a third of its
    exponentials, and learns all frames at once. The biases are each row's own. The gates begin as time constants from
    MEMORY[0] to MEMORY[1] frames.
    """

    MEMORY = (1.5, 100.0)

    def __init__(self, inputs: int, units: int, rows: int) -> None:
        super().__init__()
        self.units = units
        self.matrix = nn.Linear(inputs, 2 * units, bias=False)  # gates, then candidates
        shares = torch.logspace(math.log10(self.MEMORY[0]), math.log10(self.MEMORY[1]), units).reciprocal()
        self.bias = nn.Parameter(torch.cat([torch.logit(shares), torch.zeros(units)]).repeat(rows, 1))

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """(clips, frames, rows, inputs) to (clips, frames, rows, units). state: (clips, rows, units)."""
        halves = zip(self.matrix.weight.split(self.units), self.bias.split(self.units, dim=1), strict=True)
        gate, value = (functional.linear(x, matrix).float().add_(bias) for matrix, bias in halves)
        if torch.is_grad_enabled():
            answer = Blend.apply(gate, value, state)
        else:
            answer = blend_frames(torch.sigmoid(gate), value, state)
        return answer, answer[:, -1]

    def cost(self, rows: int) -> Cost:
        """Cost of a frame of so many rows; no product waits for another."""
        return Cost(self.matrix.weight.numel() * rows, self.units * rows, 0)
