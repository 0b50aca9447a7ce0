"""The v0.2 RNNoise network in torch, as the engine runs it, with a recurrence that trains fast on a CPU.

Two causal convolutions of three frames, three GRUs whose reset gate acts after the recurrent product, and the outputs
of four layers joined for the gains and the voice probability. It hears frame n and answers for frame n - 1.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from denoise_wrapper.backends.convert import ClassicModel, V02Model, read_any_model
from denoise_wrapper.errors import ModelError
from denoise_wrapper.models.records import MAP_NAMES, PAIR_STEPS, STEPS, MapWeights, decode_blob, encode_blob
from denoise_wrapper.models.v02 import with_metadata
from denoise_wrapper.training.rnnoise.config import NetworkConfig
from denoise_wrapper.training.rnnoise.features import LAYOUTS

LAYOUT = LAYOUTS["v0.2"]
TAPS = 3  # frames that a convolution sees
LAYERS_SEEN = 4  # by the dense layers: conv2 and the three GRUs
GRUS = ("gru1", "gru2", "gru3")


class Parts(NamedTuple):
    """Into how many equal parts the inputs and the outputs of a map fall: frames, layers, gates."""

    inputs: int
    outputs: int


PARTS = {
    "conv1": Parts(TAPS, 1),
    "conv2": Parts(TAPS, 1),
    **{f"{gru}_{side}": Parts(1, 3) for gru in GRUS for side in ("input", "recurrent")},
    "dense_out": Parts(LAYERS_SEEN, 1),
    "vad_dense": Parts(LAYERS_SEEN, 1),
}  # by the maps' names in the file


class V02State(NamedTuple):
    """Memory of the network: the last two inputs of each convolution (2, B, n), each GRU's state (B, units)."""

    features: Tensor
    convolved: Tensor
    gru1: Tensor
    gru2: Tensor
    gru3: Tensor


class Recurrence(torch.autograd.Function):
    """The part of a GRU that goes step by step; products of all frames at once are left to the caller.

        z, r = sigmoid(gates_t + h U_zr + c_zr)    n = tanh(new_t + r (h U_n + c_n))    h' = z h + (1 - z) n

    projected (T, B, 3N): gates z and r, and new, of the input, with their bias. h0 (B, N), recurrent (N, 3N), bias
    (3N,).
    held (T, B, 1): frames that leave the state alone are 1, others 0; or None. half: products in bfloat16.
    Returns h of all steps, (T, B, N).
    """

    @staticmethod
    def forward(
        ctx: Any, projected: Tensor, h0: Tensor, recurrent: Tensor, bias: Tensor, held: Tensor | None, half: bool
    ) -> Tensor:
        steps, batch, columns = projected.shape
        units = columns // 3
        opened = projected[:, :, : 2 * units] + bias[: 2 * units]
        carried, drawn = projected.new_empty(steps, batch, units), projected.new_empty(steps, batch, units)
        states = projected.new_empty(steps + 1, batch, units)
        states[0] = h0
        matrix = recurrent.to(torch.bfloat16) if half else recurrent
        product = matrix.new_empty(batch, columns)
        for t in range(steps):
            zr, n, h = opened[t], drawn[t], states[t]
            torch.mm(h.to(matrix.dtype), matrix, out=product)
            zr.add_(product[:, : 2 * units]).sigmoid_()
            torch.add(bias[2 * units :], product[:, 2 * units :], out=carried[t])
            torch.addcmul(projected[t, :, 2 * units :], zr[:, units:], carried[t], out=n)
            n.mul_(2.0).sigmoid_().mul_(2.0).sub_(1.0)  # tanh, in half its time
            if held is not None:
                zr[:, :units] += held[t] * (1.0 - zr[:, :units])
            torch.lerp(n, h, zr[:, :units], out=states[t + 1])
        ctx.save_for_backward(opened, carried, drawn, states, matrix)
        return states[1:]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        opened, carried, drawn, states, matrix = ctx.saved_tensors
        grad = grads[0]
        steps, batch, units = drawn.shape
        z, r, before = opened[:, :, :units], opened[:, :, units:], states[:-1]
        by_n = (1.0 - z) * (1.0 - drawn * drawn)
        by_z = (before - drawn) * z * (1.0 - z)
        by_r = carried * r * (1.0 - r)
        d_projected = opened.new_empty(steps, batch, 3 * units)  # of z, r and what is drawn
        d_product = torch.empty_like(d_projected)  # of h U
        back = matrix.t().contiguous()
        dh = torch.zeros_like(states[0])
        for t in range(steps - 1, -1, -1):
            dh += grad[t]
            d_t, d_p = d_projected[t], d_product[t]
            dn = d_t[:, 2 * units :]
            torch.mul(dh, by_n[t], out=dn)
            torch.mul(dh, by_z[t], out=d_t[:, :units])
            torch.mul(dn, by_r[t], out=d_t[:, units : 2 * units])
            d_p[:, : 2 * units] = d_t[:, : 2 * units]
            torch.mul(dn, r[t], out=d_p[:, 2 * units :])
            dh.mul_(z[t]).add_(torch.mm(d_p.to(back.dtype), back))
        rows = steps * batch
        d_all = d_product.view(rows, 3 * units)
        d_recurrent = torch.mm(before.reshape(rows, units).to(back.dtype).t(), d_all.to(back.dtype)).float()
        return d_projected, dh, d_recurrent, d_all.sum(dim=0), None, None


def rounded(weight: Tensor) -> Tensor:
    """weight (inputs, outputs) as the file stores it, int8 with a scale a column; the gradient passes unrounded."""
    scale = column_scales(weight.detach())
    stored = torch.clamp(torch.round(weight.detach() / scale), -STEPS, STEPS) * scale
    return weight + (stored - weight).detach()


def column_scales(weight: Tensor) -> Tensor:
    """Scales of columns, as `models.records.column_scales` computes them."""
    pairs = (weight[0::2] + weight[1::2]).abs().amax(dim=0) / PAIR_STEPS
    return torch.maximum(weight.abs().amax(dim=0) / STEPS, pairs).clamp(min=1e-12)


def rounded_input(x: Tensor) -> Tensor:
    """x within +-1 in steps of 1/127, as an int8 layer takes it; the gradient passes unrounded."""
    return x + (torch.floor(x.detach() * 127.0 + 0.5) / 127.0 - x.detach())


class Linear(nn.Module):
    """y = x W + b; weights (inputs, outputs), bias (outputs,). int8: stored so, and computed with rounded inputs."""

    def __init__(self, inputs: int, outputs: int, int8: bool) -> None:
        super().__init__()
        self.int8 = int8
        self.weights = nn.Parameter(torch.empty(inputs, outputs))
        self.bias = nn.Parameter(torch.zeros(outputs))
        nn.init.xavier_uniform_(self.weights)

    def forward(self, x: Tensor, quantise: bool) -> Tensor:
        """x (T, B, inputs), within +-1 if int8. Returns (T, B, outputs), before any activation."""
        stored = quantise and self.int8
        weights = rounded(self.weights) if stored else self.weights
        x = rounded_input(x) if stored else x
        return nn.functional.linear(x, weights.t(), self.bias).float()


class Gru(nn.Module):
    """A GRU whose reset gate acts after the recurrent product; columns z, r, new, as the file has them."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self.units = units
        self.input = Linear(units, 3 * units, int8=True)
        self.recurrent = Linear(units, 3 * units, int8=True)
        for block in self.recurrent.weights.data.split(units, dim=1):
            nn.init.orthogonal_(block)

    def forward(self, x: Tensor, state: Tensor, held: Tensor | None, quantise: bool) -> Tensor:
        """x (T, B, units), state (B, units), held (T, B, 1) as in `Recurrence`. Returns all states, (T, B, units)."""
        recurrent = rounded(self.recurrent.weights) if quantise else self.recurrent.weights
        half = torch.is_autocast_enabled(x.device.type)
        states: Tensor = Recurrence.apply(self.input(x, quantise), state, recurrent, self.recurrent.bias, held, half)
        return states


class V02Network(nn.Module):
    """features (T, B, 65) -> logits of gains (T, B, 32) and voice (T, B), both of the frame before."""

    layout = LAYOUT
    look_ahead = 1  # frames by which the answer is behind

    def __init__(self, config: NetworkConfig, dropout: float = 0.0) -> None:
        super().__init__()
        self.config, self.dropout = config, dropout
        self.conv1 = Linear(TAPS * LAYOUT.feature_count, config.conv, int8=False)
        self.conv2 = Linear(TAPS * config.conv, config.units, int8=True)
        self.gru1, self.gru2, self.gru3 = (Gru(config.units) for _ in GRUS)
        self.dense_out = Linear(LAYERS_SEEN * config.units, LAYOUT.bands, int8=False)
        self.vad_dense = Linear(LAYERS_SEEN * config.units, 1, int8=False)

    def new_state(self, batch: int) -> V02State:
        """Silence."""
        device = self.conv1.weights.device
        before = (torch.zeros(TAPS - 1, batch, n, device=device) for n in (LAYOUT.feature_count, self.config.conv))
        return V02State(*before, *(torch.zeros(batch, self.config.units, device=device) for _ in GRUS))

    def forward(
        self, features: Tensor, state: tuple[Tensor, ...], quantise: bool = False
    ) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        """features (T, B, 65). Returns logits of gains (T, B, 32) and of voice (T, B), and the state after; frames of
        zeros, which the engine does not run, leave it as it was."""
        state = V02State(*state)
        run = (features != 0.0).any(dim=2)
        held = None if bool(run.all()) else (~run[:, :, None]).to(features.dtype)
        rows = None if held is None else last_runs(run)
        window, features_after = windows(features, state.features, rows)
        first = torch.tanh(self.conv1(window, quantise))
        window, first_after = windows(first, state.convolved, rows)
        seen = [self.drop(torch.tanh(self.conv2(window, quantise)))]
        states = []
        for name in GRUS:
            outputs = getattr(self, name)(seen[-1], getattr(state, name), held, quantise)
            states.append(outputs[-1].detach())
            seen.append(self.drop(outputs))
        joined = torch.cat(seen, dim=2)
        after = V02State(features_after.detach(), first_after.detach(), *states)
        return self.dense_out(joined, quantise), self.vad_dense(joined, quantise)[:, :, 0], after

    def drop(self, x: Tensor) -> Tensor:
        """x of any shape, some of it zeroed while training."""
        return nn.functional.dropout(x, self.dropout, self.training)

    def maps(self) -> dict[str, Linear]:
        """The linear maps by their names in the file."""
        named = dict(self.named_modules())
        maps = {name: named[name.replace("_input", ".input").replace("_recurrent", ".recurrent")] for name in MAP_NAMES}
        return {name: module for name, module in maps.items() if isinstance(module, Linear)}

    def clip_weights(self) -> None:
        """Nothing: each column is stored with a scale of its own."""

    def to_model(self, metadata: dict[str, Any]) -> V02Model:
        """The network as model files and the engine have it."""
        maps = {
            name: MapWeights(part.weights.detach().cpu().numpy(), part.bias.detach().cpu().numpy(), part.int8)
            for name, part in self.maps().items()
        }
        blob = encode_blob(maps)
        model = read_any_model(with_metadata(blob, metadata) if metadata else blob)
        assert isinstance(model, V02Model)
        return model

    @torch.no_grad()
    def load_model(self, model: ClassicModel | V02Model) -> None:
        """Take a stored model's weights, to go on from there; a smaller one grows, and answers as before at first.

        Raises ModelError if it is of the other family, or larger.
        """
        if isinstance(model, ClassicModel):
            raise ModelError("the model is of the classic family, the network of v0.2; make [network] family fit it")
        maps = decode_blob(model.data)
        for name, part in self.maps().items():
            stored, parts = maps[name], PARTS[name]
            if any(mine < theirs for mine, theirs in zip(part.weights.shape, stored.weights.shape, strict=True)):
                raise ModelError(
                    f"{name}: weights of {stored.weights.shape}, but the network is set up for"
                    f" {tuple(part.weights.shape)}; make [network] fit the model, or larger"
                )
            take(part.weights, torch.from_numpy(stored.weights.copy()), parts)
            take(part.bias[None], torch.from_numpy(stored.bias.copy())[None], Parts(1, parts.outputs))


@torch.no_grad()
def take(weights: Tensor, stored: Tensor, parts: Parts) -> None:
    """Put stored weights, (inputs, outputs), in place of the first of each part's; the outputs that they make take
    nothing of other inputs, so that they stay as they were. The other outputs' weights are left alone."""
    whole, old = (x.view(parts.inputs, x.shape[0] // parts.inputs, parts.outputs, -1) for x in (weights, stored))
    inputs, outputs = old.shape[1], old.shape[3]
    whole[:, inputs:, :, :outputs] = 0.0
    whole[:, :inputs, :, :outputs] = old


def last_runs(run: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """For frames of which run, bool (T, B), says which the network sees, in the frames after the two remembered ones:
    places (T, B) of the last and of the last but one seen before each, and those (2, B) to be remembered."""
    before = torch.ones(TAPS - 1, run.shape[1], dtype=torch.bool, device=run.device)
    seen = torch.cat([before, run])
    places = torch.arange(len(seen), device=run.device)[:, None].expand_as(seen)
    latest = torch.where(seen, places, 0).cummax(dim=0).values
    last = latest[1:-1]
    newest = latest[-1:]
    return last, latest.gather(0, last - 1), torch.cat([latest.gather(0, newest - 1), newest])


def windows(x: Tensor, before: Tensor, places: tuple[Tensor, Tensor, Tensor] | None) -> tuple[Tensor, Tensor]:
    """Three frames side by side, oldest first, (T, B, 3n), of x (T, B, n) and the two before it, (2, B, n); and the two
    to be remembered. places: as `last_runs` gives them, or None where all frames are seen."""
    joined = torch.cat([before, x])
    if places is None:
        return torch.cat([joined[:-2], joined[1:-1], x], dim=2), joined[-2:]
    last, last_but_one, kept = (part[:, :, None].expand(-1, -1, x.shape[2]) for part in places)
    return torch.cat([joined.gather(0, last_but_one), joined.gather(0, last), x], dim=2), joined.gather(0, kept)
