"""FastEnhancer at 48 kHz (arXiv 2509.21867), from the weight files of its C engine for browsers ("FEW1")."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from denoise_wrapper.errors import ModelError
from denoise_wrapper.training.enhancer.bodies.parts import BandConv, RowMap
from denoise_wrapper.training.enhancer.bodies.recurrent import TimeGRU
from denoise_wrapper.training.enhancer.bodies.rows import DecoderBlock, RowBlock, Rows
from denoise_wrapper.training.enhancer.config import BodyConfig
from denoise_wrapper.training.enhancer.released.frames import Released

MAGIC, HEADER = b"FEW1", struct.Struct("<4s4I")  # version, size, number of floats, CRC-32 of what follows
BLOCK = 1024
SIZES = [  # tiny, base, small
    BodyConfig("rows", channels=24, width=2, blocks=2, rows=24, recurrent_blocks=2, recurrent_width=20),
    BodyConfig("rows", channels=48, width=2, blocks=2, rows=36, recurrent_blocks=3, recurrent_width=36),
    BodyConfig("rows", channels=64, width=2, blocks=3, rows=48, recurrent_blocks=3, recurrent_width=48),
]
FLOOR = 1e-5  # least magnitude that is divided by
POWER = 0.3  # of magnitudes, while the network sees them


class FastEnhancer(Released):
    """A complex mask of compressed spectra; the body is ours of kind 'rows' with SiLU."""

    def __init__(self, config: BodyConfig) -> None:
        super().__init__(48000, BLOCK, rooted=False)
        self.body = Rows(config, 2, BLOCK // 2, bend=functional.silu)

    def forward(self, spectrum: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """See Released. The highest bin, half the rate, becomes zero."""
        spectrum = spectrum[..., :-1]
        packed = spectrum * spectrum.abs().clamp(min=FLOOR) ** (POWER - 1.0)
        mask, state = self.body(torch.stack([packed.real, packed.imag], dim=1), state)
        masked = packed * torch.complex(mask[:, 0], mask[:, 1])
        return functional.pad(masked * masked.abs() ** (1.0 / POWER - 1.0), (0, 1)), state

    def new_state(self, clips: int) -> list[Tensor]:
        return self.body.new_state(clips, self.window.device)


def read_fastenhancer(path: Path) -> FastEnhancer:
    """The network of a weight file. Raises ModelError if it is damaged or of an unknown size."""
    data = path.read_bytes()
    if len(data) < HEADER.size or data[:4] != MAGIC:
        raise ModelError(f"{path} does not begin with {MAGIC.decode()}; give a weight file of FastEnhancer's C engine")
    _, version, size, count, checksum = HEADER.unpack_from(data)
    payload = data[HEADER.size :]
    if version != 1 or size >= len(SIZES):
        raise ModelError(f"{path} is version {version}, size {size}; known are version 1, sizes 0 to {len(SIZES) - 1}")
    if len(payload) != 4 * count or zlib.crc32(payload) != checksum:
        raise ModelError(f"{path} is cut or damaged: {len(payload)} bytes of {4 * count}, or a wrong checksum")
    network = FastEnhancer(SIZES[size])
    floats = Floats(np.frombuffer(payload, "<f4"))
    with torch.no_grad():
        floats.fill(network.body)
    if floats.left:
        raise ModelError(f"{path} holds {floats.left} floats more or less than a network of size {size} has")
    return network.eval()


class Floats:
    """The numbers of a file, laid into a network in their order."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = torch.from_numpy(values.copy())
        self.at = 0

    @property
    def left(self) -> int:
        """Numbers that nothing has used yet; below zero if there were too few."""
        return len(self.values) - self.at

    def next(self, *shape: int) -> Tensor:
        """The next numbers, zeros where there are no more."""
        count = int(np.prod(shape))
        part = self.values[self.at : self.at + count]
        self.at += count
        return functional.pad(part, (0, count - len(part))).view(shape)

    def to(self, *parts: Tensor) -> None:
        """Copy the next numbers to tensors of the network."""
        for part in parts:
            part.copy_(self.next(*part.shape))

    def fill(self, body: Rows) -> None:
        """Lay all numbers into a body."""
        self.convolution(body.first)
        for part in body.encoder:
            self.convolution(part)  # type: ignore[arg-type]
        self.to(body.gather.weight)
        self.convolution(body.narrow)
        for part in body.blocks:
            assert isinstance(part, RowBlock)
            self.block(part)
        self.convolution(body.widen)
        self.to(body.spread.weight)
        for part in body.decoder:
            assert isinstance(part, DecoderBlock)
            self.convolution(part.join)
            if part.conv is not None:
                self.convolution(part.conv)
        self.to(body.last.weight, body.last.bias)  # type: ignore[arg-type]

    def convolution(self, part: BandConv | RowMap) -> None:
        """Weights, then a scale and an offset for each output: a batch norm that has settled."""
        self.to(part.conv.weight if isinstance(part, BandConv) else part.matrix.weight)
        self.to(part.norm.weight, part.norm.bias)
        part.norm.weight.mul_((1.0 + part.norm.eps) ** 0.5)

    def block(self, block: RowBlock) -> None:
        """Run a recurrent block."""
        self.gru(block.gru)
        self.folded(block.after_gru)
        if block.places is not None:
            self.to(block.places)
        width = block.attention.channels
        for part in block.attention.queries.weight.split(width):
            self.to(part)
            if self.next(width).any():
                raise ModelError("the file has biases in its attention, which a FastEnhancer does not have")
        self.folded(block.after_attention)

    def gru(self, part: TimeGRU) -> None:
        """Gates z, r, n in the file and r, z, n in torch; z and r have one bias, n one on either side of r."""
        gru = part.gru
        width = gru.hidden_size
        gates = {gate: [self.next(width, width), self.next(width, width), self.next(width)] for gate in "zrn"}
        hidden_bias = self.next(width)
        targets = gru.all_weights[0]  # kernel, recurrent matrix, both biases
        for row, target in enumerate(targets[:3]):
            target.copy_(torch.cat([gates[gate][row] for gate in "rzn"]))
        targets[3].copy_(functional.pad(hidden_bias, (2 * width, 0)))

    def folded(self, part: RowMap) -> None:
        """A matrix and an offset, whose batch norm is multiplied in."""
        self.to(part.matrix.weight, part.norm.bias)
        part.norm.weight.fill_((1.0 + part.norm.eps) ** 0.5)
