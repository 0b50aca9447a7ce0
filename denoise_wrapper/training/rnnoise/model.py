"""The classic RNNoise network in torch, to the letter of the engine, with a recurrence that trains fast on a CPU.

Three things differ from torch.nn.GRU: the reset gate acts before the recurrent product, there is one set of biases,
and the candidate is tanh or ReLU. Weights keep the engine's memory order, (inputs, columns), and its range: they are
stored as int8 / 256, so they stay within +-0.499 and can be rounded in training.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from denoise_wrapper.errors import ModelError
from denoise_wrapper.models.classic import SHAPES, ClassicModel, Layer, quantise
from denoise_wrapper.models.v02 import V02Model
from denoise_wrapper.training.rnnoise.config import NetworkConfig
from denoise_wrapper.training.rnnoise.features import LAYOUTS

LAYOUT = LAYOUTS["classic"]
SCALE = 256.0  # of the stored integers
LIMIT = 0.499
HOLD = 40.0  # added to an update gate before its sigmoid: the state stays as it is, to the bit


class Recurrence(torch.autograd.Function):
    """The part of a GRU that goes step by step; projections of the input and weight gradients are single products.

        z, r = sigmoid(gates_t + h U_zr)    c = act(candidate_t + (r h) U_c)    h' = z h + (1 - z) c

    gates (T, B, 2N) and candidate (T, B, N) are the input's projections with their biases, h0 (B, N),
    u_gates (N, 2N), u_candidate (N, N). Returns h of all steps, (T, B, N).
    """

    @staticmethod
    def forward(
        ctx: Any, gates: Tensor, candidate: Tensor, h0: Tensor, u_gates: Tensor, u_candidate: Tensor, relu: bool
    ) -> Tensor:
        steps, batch, units = candidate.shape
        opened = torch.empty_like(gates)
        drawn = torch.empty_like(candidate)
        kept = torch.empty_like(candidate)  # r h
        states = candidate.new_empty(steps + 1, batch, units)
        states[0] = h0
        activate = torch.relu_ if relu else torch.tanh_
        for t in range(steps):
            zr, c, h = opened[t], drawn[t], states[t]
            torch.addmm(gates[t], h, u_gates, out=zr)
            zr.sigmoid_()
            torch.mul(h, zr[:, units:], out=kept[t])
            torch.addmm(candidate[t], kept[t], u_candidate, out=c)
            activate(c)
            torch.lerp(c, h, zr[:, :units], out=states[t + 1])
        ctx.save_for_backward(opened, drawn, kept, states, u_gates, u_candidate)
        ctx.relu = relu
        return states[1:]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        opened, drawn, kept, states, u_gates, u_candidate = ctx.saved_tensors
        grad = grads[0]
        steps, batch, units = drawn.shape
        z, r, before = opened[:, :, :units], opened[:, :, units:], states[:-1]
        by_z = (before - drawn) * z * (1.0 - z)
        by_r = before * r * (1.0 - r)
        by_c = (1.0 - z) * ((drawn > 0) if ctx.relu else (1.0 - drawn * drawn))
        d_gates, d_candidate = torch.empty_like(opened), torch.empty_like(drawn)
        back_gates, back_candidate = u_gates.t().contiguous(), u_candidate.t().contiguous()
        dh, d_kept = torch.zeros_like(states[0]), torch.empty_like(states[0])
        for t in range(steps - 1, -1, -1):
            dh += grad[t]
            d_zr, dc = d_gates[t], d_candidate[t]
            torch.mul(dh, by_z[t], out=d_zr[:, :units])
            torch.mul(dh, by_c[t], out=dc)
            torch.mm(dc, back_candidate, out=d_kept)
            torch.mul(d_kept, by_r[t], out=d_zr[:, units:])
            dh *= z[t]
            dh.addcmul_(d_kept, r[t])
            dh.addmm_(d_zr, back_gates)
        rows = steps * batch
        d_u_gates = before.reshape(rows, units).t() @ d_gates.view(rows, 2 * units)
        d_u_candidate = kept.view(rows, units).t() @ d_candidate.view(rows, units)
        return d_gates, d_candidate, dh, d_u_gates, d_u_candidate, None


def rounded(weight: Tensor) -> Tensor:
    """The weight as the file stores it; the gradient passes as if it were not rounded."""
    stored = torch.clamp(torch.round(weight * SCALE), -128, 127) / SCALE
    return weight + (stored - weight).detach()


class Dense(nn.Module):
    """weights (inputs, units), bias (units,); the activation is the caller's."""

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.empty(inputs, units))
        self.bias = nn.Parameter(torch.zeros(units))
        nn.init.xavier_uniform_(self.weights)

    def forward(self, x: Tensor, quantise: bool) -> Tensor:
        """x: (T, B, inputs). Returns (T, B, units), before any activation. quantise: weights as in the file."""
        weights, bias = (rounded(self.weights), rounded(self.bias)) if quantise else (self.weights, self.bias)
        return torch.addmm(bias, x.flatten(0, 1), weights).view(x.shape[0], x.shape[1], -1)


class Gru(nn.Module):
    """weights (inputs, 3 units), recurrent (units, 3 units), bias (3 units,); columns update, reset, candidate."""

    def __init__(self, inputs: int, units: int, activation: str) -> None:
        super().__init__()
        self.units, self.activation = units, activation
        self.weights = nn.Parameter(torch.empty(inputs, 3 * units))
        self.recurrent = nn.Parameter(torch.empty(units, 3 * units))
        self.bias = nn.Parameter(torch.zeros(3 * units))
        nn.init.xavier_uniform_(self.weights)
        for block in self.recurrent.data.split(units, dim=1):
            nn.init.orthogonal_(block)

    def forward(self, x: Tensor, state: Tensor, hold: Tensor, quantise: bool) -> Tensor:
        """x (T, B, inputs), state (B, units), hold (T, B, 1): HOLD in frames that leave the state alone, else 0.

        Returns the states of all frames, (T, B, units), within +-1 where the candidate is tanh.
        """
        parts = (self.weights, self.recurrent, self.bias)
        weights, recurrent, bias = (rounded(part) for part in parts) if quantise else parts
        steps, batch, n = x.shape[0], x.shape[1], self.units
        flat = x.flatten(0, 1)
        gates = torch.addmm(bias[: 2 * n], flat, weights[:, : 2 * n]).view(steps, batch, 2 * n)
        candidate = torch.addmm(bias[2 * n :], flat, weights[:, 2 * n :]).view(steps, batch, n)
        gates = torch.cat([gates[:, :, :n] + hold, gates[:, :, n:]], dim=2) if bool(hold.any()) else gates
        u_gates, u_candidate = recurrent[:, : 2 * n].contiguous(), recurrent[:, 2 * n :].contiguous()
        return Recurrence.apply(gates, candidate, state, u_gates, u_candidate, self.activation == "relu")  # type: ignore[no-any-return, no-untyped-call]


class ClassicNetwork(nn.Module):
    """42 features to 22 gains and a voice probability, every 10 ms."""

    layout = LAYOUT
    look_ahead = 0

    def __init__(self, config: NetworkConfig, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = dropout
        features, bands = LAYOUT.feature_count, LAYOUT.bands
        vad, noise, denoise = config.activations
        self.input_dense = Dense(features, config.dense)
        self.vad_gru = Gru(config.dense, config.vad_gru, vad)
        self.noise_gru = Gru(config.dense + config.vad_gru + features, config.noise_gru, noise)
        self.denoise_gru = Gru(config.vad_gru + config.noise_gru + features, config.denoise_gru, denoise)
        self.denoise_output = Dense(config.denoise_gru, bands)
        self.vad_output = Dense(config.vad_gru, 1)
        self.units = (config.vad_gru, config.noise_gru, config.denoise_gru)
        self.clip_weights()

    def new_state(self, batch: int) -> tuple[Tensor, ...]:
        """The states of the three GRUs at the start of a signal, each (batch, units)."""
        return tuple(torch.zeros(batch, units, device=self.input_dense.weights.device) for units in self.units)

    def forward(
        self, features: Tensor, state: tuple[Tensor, ...], quantise: bool = False
    ) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        """features (T, B, 42), all zero in frames that the engine does not run; quantise: weights as in the file.

        Returns (gains (T, B, 22), voice (T, B), both before their sigmoid, and the state after the last frame).
        """
        hold = HOLD * (features == 0).all(dim=2, keepdim=True).to(features.dtype)
        dense = self.drop(torch.tanh(self.input_dense(features, quantise)))
        vad = self.vad_gru(dense, state[0], hold, quantise)
        activity = self.drop(vad)
        noise = self.noise_gru(torch.cat([dense, activity, features], dim=2), state[1], hold, quantise)
        denoise = self.denoise_gru(torch.cat([activity, self.drop(noise), features], dim=2), state[2], hold, quantise)
        gains = self.denoise_output(self.drop(denoise), quantise)
        voice = self.vad_output(activity, quantise).squeeze(2)
        return gains, voice, (vad[-1].detach(), noise[-1].detach(), denoise[-1].detach())

    def drop(self, x: Tensor) -> Tensor:
        """x of any shape, some of it zeroed while training."""
        return nn.functional.dropout(x, self.dropout, self.training)

    @torch.no_grad()
    def clip_weights(self) -> None:
        """Bring all parameters back into the range that the file can store."""
        for parameter in self.parameters():
            parameter.clamp_(-LIMIT, LIMIT)

    def to_model(self, metadata: dict[str, Any]) -> ClassicModel:
        """The network as model files and the engine have it."""
        layers = []
        for name, is_gru in SHAPES:
            module = getattr(self, name)
            activation = module.activation if is_gru else "tanh" if name == "input_dense" else "sigmoid"
            weights, bias = (quantise(part.detach().cpu().numpy()) for part in (module.weights, module.bias))
            recurrent = quantise(module.recurrent.detach().cpu().numpy()) if is_gru else None
            layers.append(Layer(name, activation, weights, recurrent, bias))
        return ClassicModel(tuple(layers), metadata)

    @torch.no_grad()
    def load_model(self, model: ClassicModel | V02Model) -> None:
        """Take a stored model's weights, to go on from there. Raises ModelError if its family or sizes differ."""
        if isinstance(model, V02Model):
            raise ModelError("the model is of the v0.2 family, the network a classic one; make [network] family fit it")
        for layer in model.layers:
            module = getattr(self, layer.name)
            if layer.recurrent is not None and module.activation != layer.activation:
                raise ModelError(
                    f"{layer.name}: {layer.activation}, but the network is set up for {module.activation}; make "
                    "[network] activations fit the model"
                )
            for part in ("weights", "recurrent", "bias"):
                values = getattr(layer, part)
                if values is None:
                    continue
                parameter = getattr(module, part)
                if tuple(parameter.shape) != values.shape:
                    raise ModelError(
                        f"{layer.name}: {part} of {values.shape}, but the network is set up for"
                        f" {tuple(parameter.shape)}; make [network] fit the model"
                    )
                parameter.copy_(torch.from_numpy(values.astype(np.float32) / SCALE))
