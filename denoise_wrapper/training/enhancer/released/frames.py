"""The signal's way into and out of a released network: spectra of half-overlapping frames."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional

FRAMES_AT_ONCE = 1000  # of a clip, which bounds the memory that its activations take


class Released(nn.Module, ABC):
    """A network that others trained, on spectra; from samples to samples with `denoise`.

    A stream's frame is a window of the newest `block` samples, half of which are new: what comes out is late by the
    other half.
    """

    window: Tensor
    even: Tensor

    def __init__(self, rate: int, block: int, rooted: bool) -> None:
        """rate: Hz. block: samples. rooted: the window is the square root of Hann's, not Hann's."""
        super().__init__()
        self.rate, self.block, self.hop = rate, block, block // 2
        window = torch.hann_window(block, dtype=torch.float64)
        window = window.sqrt() if rooted else window
        power = window.square()
        self.register_buffer("window", window.float(), persistent=False)
        even = window / (power + power.roll(self.hop))  # what the overlapping frames sum to, taken out
        self.register_buffer("even", even.float(), persistent=False)

    @abstractmethod
    def forward(self, spectrum: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """The clean spectra of the next frames, and the next state.

        spectrum: complex64 (clips, frames, block / 2 + 1), of samples with full scale +-1.
        """

    @abstractmethod
    def new_state(self, clips: int) -> list[Tensor]:
        """The state before the first frame: zeros, the clips along the first axis."""

    def analyse(self, audio: Tensor) -> Tensor:
        """The spectra of a stream's frames.

        audio: float32 (clips, (frames + 1) * hop), with the hop before the first.
        """
        return torch.fft.rfft(audio.unfold(1, self.block, self.hop) * self.window)

    def synthesise(self, spectrum: Tensor) -> Tensor:
        """The samples that two frames have made: (clips, (frames - 1) * hop), from the first frame's second half on."""
        frames = torch.fft.irfft(spectrum, self.block) * self.even
        return (frames[:, :-1, self.hop :] + frames[:, 1:, : self.hop]).flatten(1)

    @torch.no_grad()
    def denoise(self, audio: Tensor) -> Tensor:
        """Denoise whole clips, float32 (clips, n) at `rate`, from a fresh state: as long, and in time."""
        length = audio.shape[1]
        hops = -(-length // self.hop) + 1
        spectrum = self.analyse(functional.pad(audio, (self.hop, hops * self.hop - length)))
        state, parts = self.new_state(len(audio)), []
        for frames in spectrum.split(FRAMES_AT_ONCE, dim=1):
            part, state = self(frames, state)
            parts.append(part)
        return self.synthesise(torch.cat(parts, dim=1))[:, :length]
