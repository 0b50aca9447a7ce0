"""The enhancer as one ONNX model that takes a hop and its state and gives a hop and the next state.

    audio [N, 480], recent [N, 480], pending [N, 480], body_1 [N, ...], ... for N streams, float32, full scale +-1
 -> clean [N, 480], late by 480 samples; voice [N], the speech probability; recent_out, pending_out, body_1_out, ...

A guided one takes guide [N, 480] after audio, what its guide makes of the signal in time with it, and has another state
after pending, recent_guide [N, 480]. All states begin as zeros. The transforms are products with matrices, as runtimes
for phones and browsers lack others.
"""

from __future__ import annotations

import copy
import io
import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from denoise_wrapper.atomic import atomic_path
from denoise_wrapper.errors import ModelError
from denoise_wrapper.training.enhancer.bands import BINS, BLOCK, HOP, RATE
from denoise_wrapper.training.enhancer.network import Enhancer

OPSET = 17  # ONNX Runtime reads it from 1.12 on
CHECKED = ((1, 40), (3, 10))  # (streams, hops)
LEAST_DB = 80.0  # of signal to difference from torch


class HopNetwork(nn.Module):
    """A hop of an enhancer, with no complex number in it."""

    def __init__(self, network: Enhancer) -> None:
        super().__init__()
        self.network = network
        angles = torch.arange(BLOCK, dtype=torch.float64).outer(torch.arange(BINS, dtype=torch.float64))
        angles = (angles % BLOCK) * (2.0 * math.pi / BLOCK)
        window = network.window.double().unsqueeze(1)
        weights = torch.full((BINS,), 2.0 / BLOCK, dtype=torch.float64)
        weights[0] = weights[-1] = 1.0 / BLOCK  # which stand for one bin of the whole spectrum, the others for two
        self.forwards = nn.ParameterList([(angles.cos() * window).float(), (-angles.sin() * window).float()])
        self.backwards = nn.ParameterList(
            [(part * window * weights).T.contiguous().float() for part in (angles.cos(), -angles.sin())]
        )

    def forward(self, audio: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
        """As the file's head says."""
        if self.network.is_guided:
            guide, recent, pending, recent_guide, *body = others
            guiding = self.analyse(recent_guide, guide)
        else:
            (recent, pending, *body), guiding = others, None
        real, imaginary, voice, after = self.network.clean(*self.analyse(recent, audio), body, guiding)
        frame = (real @ self.backwards[0] + imaginary @ self.backwards[1]).squeeze(1)
        first, second = frame.split(HOP, dim=1)
        kept = [audio + 0.0, second, *([guide + 0.0] if self.network.is_guided else [])]
        return first + pending, torch.sigmoid(voice).squeeze(1), *kept, *after

    def analyse(self, before: Tensor, hop: Tensor) -> tuple[Tensor, Tensor]:
        """The spectrum of a hop and the one before it, as real and imaginary parts (N, 1, BINS)."""
        frame = torch.cat([before, hop], dim=1).unsqueeze(1)
        cosines, sines = self.forwards
        return frame @ cosines, frame @ sines


def encode_onnx(network: Enhancer, metadata: Mapping[str, str]) -> bytes:
    """The bytes of the model, checked in ONNX Runtime.

    metadata: strings for the file, `name`, `licence` and `origin` should be among them. Raises ModelError if ONNX
    Runtime does not compute what torch computes.
    """
    network = copy.deepcopy(network).cpu().float().eval()
    hop = HopNetwork(copy.deepcopy(network)).requires_grad_(False)  # the exporter folds norms into its weights
    states = [f"body_{number}" for number in range(1, len(network.body.state_shapes()) + 1)]
    states += ["before"] if network.taps > 1 else []
    states = ["recent", "pending", *(["recent_guide"] if network.is_guided else []), *states]
    inputs = [*signals(network), *states]
    outputs = ["clean", "voice", *(f"{name}_out" for name in states)]
    content = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # shapes are numbers while it is traced, and the exporter is the older one
        torch.onnx.export(
            hop, start(network, 2), content,  # type: ignore[arg-type]
            input_names=inputs, output_names=outputs, opset_version=OPSET,
            dynamic_axes={name: {0: "N"} for name in (*inputs, *outputs)}, dynamo=False,
        )  # fmt: skip
    model = onnx.load_from_string(content.getvalue())
    model.producer_name, model.producer_version = "denoise_wrapper", ""
    notes = {**metadata, "sample_rate": str(RATE), "hop": str(HOP), "delay": str(network.delay), **network.notes}
    onnx.helper.set_model_props(model, notes)
    onnx.checker.check_model(model, full_check=True)
    encoded: bytes = model.SerializeToString(deterministic=True)
    for streams, hops in CHECKED:
        check(encoded, network, streams, hops)
    return encoded


def signals(network: Enhancer) -> list[str]:
    """The names of the inputs that are no states."""
    return ["audio", "guide"] if network.is_guided else ["audio"]


def start(network: Enhancer, streams: int) -> tuple[Tensor, ...]:
    """Silent hops and the first state."""
    state = network.new_state(streams)
    kept = [state.recent, state.pending, *state.guide, *state.body]
    return *(torch.zeros(streams, HOP) for _ in signals(network)), *kept


def check(content: bytes, network: Enhancer, streams: int, hops: int) -> None:
    """Raise ModelError if ONNX Runtime answers streams of noise, loud and quiet, otherwise than torch."""
    generator = torch.Generator().manual_seed(1)
    levels = 10.0 ** (-2.0 * torch.rand(streams, hops, 1, generator=generator))
    heard = [(0.3 * levels * torch.randn(streams, hops, HOP, generator=generator)).flatten(1) for _ in signals(network)]
    with torch.no_grad():
        wanted, voices, _ = network(heard[0], network.new_state(streams), *heard[1:])
    state = [part.numpy() for part in start(network, streams)[len(heard) :]]
    clean, probabilities = run_hops(content, [part.numpy() for part in heard], state)
    difference = float(np.square(clean - wanted.numpy()).sum()) + 1e-30
    ratio = 10.0 * math.log10(float(wanted.square().sum()) / difference + 1e-30)
    apart = float(np.abs(probabilities - torch.sigmoid(voices).numpy()).max())
    if not (ratio >= LEAST_DB and apart < 1e-3):
        raise ModelError(
            f"ONNX Runtime's answer to {streams} streams of {hops} hops is {ratio:.1f} dB over its difference from "
            f"torch's, less than {LEAST_DB:g}, its speech probability {apart:.2g} off; nothing was written"
        )


def run_hops(content: bytes, heard: list[NDArray[Any]], state: list[NDArray[Any]]) -> tuple[NDArray[Any], NDArray[Any]]:
    """A model's answers hop by hop: clean audio (streams, samples), as late as it says, and voice (streams, hops).

    heard: audio, and the guide of a guided one, float32 (streams, samples), whole hops. state: the first one.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    names = [item.name for item in session.get_inputs()]
    clean, voices = [], []
    for first in range(0, heard[0].shape[1], HOP):
        hops = [part[:, first : first + HOP] for part in heard]
        answer, voice, *state = session.run(None, dict(zip(names, (*hops, *state), strict=True)))
        clean.append(answer)
        voices.append(voice)
    return np.concatenate(clean, axis=1), np.stack(voices, axis=1)


def write_onnx(network: Enhancer, metadata: Mapping[str, str], target: Path, overwrite: bool) -> None:
    """Write the model. Raises ModelError as `encode_onnx` does, or FileError; then there is none."""
    content = encode_onnx(network, metadata)
    with atomic_path(target, overwrite) as temporary:
        temporary.write_bytes(content)
