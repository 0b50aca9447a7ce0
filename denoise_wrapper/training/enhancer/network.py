"""The enhancer without its body: from samples to bands and back, for whole clips and for streams alike.

Magnitudes are compressed by a power of 1/3, not the usual 0.3, as a product undoes it: no power of a gain is needed.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from denoise_wrapper.training.enhancer import bands
from denoise_wrapper.training.enhancer.bands import BANDS, BINS, BLOCK, HOP, LOW
from denoise_wrapper.training.enhancer.bodies import make_body
from denoise_wrapper.training.enhancer.budget import Cost
from denoise_wrapper.training.enhancer.config import BodyConfig

FEATURES = 3  # of each band; as many of the guide's
TAP_FEATURES = 3  # more of them, of low bands, if there are several taps
FLOOR = 1e-10  # power of a bin that counts as none; the steps of 16 bits give 4e-8
FLOOR_SQUARE = 1e-20  # of the square of a product of two bins
MOST = 1.5  # of a mask's magnitude, as it is compressed: a gain of 10.6 dB
MOST_TAP = 4.0  # of either part of a low bin's weight in a frame before
VOICE_UNITS = 12


class EnhancerState(NamedTuple):
    """State of a batch of streams."""

    recent: Tensor  # float32 (clips, HOP), the samples before
    guide: list[Tensor]  # likewise, of the guide, if there is one
    pending: Tensor  # float32 (clips, HOP), what the last frame has left for the next hop
    body: list[Tensor]  # each (clips, ...); then the low bins of the frames before, if there are several taps

    def reset(self, fresh: Tensor) -> EnhancerState:
        """The state with zeros in the rows of clips where fresh, bool (clips,), is true."""
        guide, body = ([clear(part, fresh) for part in parts] for parts in (self.guide, self.body))
        return EnhancerState(clear(self.recent, fresh), guide, clear(self.pending, fresh), body)

    def detach(self) -> EnhancerState:
        """These values, with no gradient through them."""
        guide, body = ([part.detach() for part in parts] for parts in (self.guide, self.body))
        return EnhancerState(self.recent.detach(), guide, self.pending.detach(), body)


class Estimate(NamedTuple):
    """Answer of a network for some frames."""

    spectrum: Tensor  # complex64 (clips, frames, BINS)
    voice: Tensor  # float32 (clips, frames), the speech probability before its sigmoid
    body: list[Tensor]  # the next state of the body and of the taps


class Enhancer(nn.Module):
    """A whole network. A stream is late by HOP samples; `denoise` takes that out.

    Each low bin gets a complex mask and, with several taps, complex weights of itself in the frames before, which tell
    harmonics apart that lie closer than a frame can resolve (deep filtering: Mack and Habets, IEEE Signal Processing
    Letters 27, 2020). These frames are turned on first by as much as a bin's phase goes from frame to frame in their
    mean, so that a steady harmonic is alike in all of them.

    Each upper band gets a gain and a noise level: a bin in it that does not stand out from that level is turned down,
    so that noise goes away between harmonics, too.

    A guided network also sees what another denoiser makes of the signal, the guide, and chooses for each low bin and
    each upper band how much of it there is in what comes out; before it has learned, they have half of it each.
    """

    window: Tensor
    gather: Tensor
    spread: Tensor

    def __init__(self, config: BodyConfig) -> None:
        super().__init__()
        self.taps, self.guide, self.is_guided = config.taps, config.guide, bool(config.guide)
        features = FEATURES * (1 + self.is_guided) + (TAP_FEATURES if config.taps > 1 else 0)
        self.body = make_body(config, features, BANDS)
        answers = (2 * config.taps + self.is_guided, 2 + self.is_guided)
        self.low_head, self.upper_head = (nn.Conv2d(config.width, count, 1) for count in answers)
        self.voice_head = nn.Sequential(nn.Linear(2 * config.width, VOICE_UNITS), nn.SiLU(), nn.Linear(VOICE_UNITS, 1))
        # The root of a Hann window on both sides: its square sums to 1 over the frames, and what a mask changes between
        # two frames is faded in and out.
        self.register_buffer("window", torch.hann_window(BLOCK).sqrt(), persistent=False)
        self.register_buffer("gather", bands.gather(), persistent=False)
        self.register_buffer("spread", bands.spread(), persistent=False)
        with torch.no_grad():  # begin by letting nearly everything through
            for head, usual in ((self.low_head, [0.8, 0.0]), (self.upper_head, [1.5, -2.0])):
                assert head.bias is not None
                head.bias.zero_()
                head.bias[:2] = torch.tensor(usual)
                head.weight[:2].mul_(0.3)
                head.weight[2:].zero_()

    @property
    def delay(self) -> int:
        """Samples by which the output of `forward` lags its input."""
        return BLOCK - HOP

    @property
    def notes(self) -> dict[str, str]:
        """Metadata that each file of the network has: the name of its guide, if there is one."""
        return {"guide": self.guide} if self.is_guided else {}

    def new_state(self, clips: int) -> EnhancerState:
        """The state before the first sample: all zeros."""
        device = self.window.device
        recent, pending = (torch.zeros(clips, HOP, device=device) for _ in range(2))
        guide = [torch.zeros(clips, HOP, device=device)] if self.is_guided else []
        before = [torch.zeros(clips, self.taps - 1, 2 * LOW, device=device)] if self.taps > 1 else []
        return EnhancerState(recent, guide, pending, [*self.body.new_state(clips, device), *before])

    def forward(
        self, audio: Tensor, state: EnhancerState, guide: Tensor | None = None
    ) -> tuple[Tensor, Tensor, EnhancerState]:
        """Denoise the next hops of a batch of streams.

        audio: float32 (clips, T * HOP), T >= 1, full scale +-1. guide: as much, in time with it, for a guided network;
        None: the signal is its own guide. Returns as many samples, late by `delay`; the speech probability of each
        frame before its sigmoid, (clips, T); the next state.
        """
        spectrum, recent = self.analyse(audio, state.recent)
        guide_spectrum, guide_recent = None, []
        if self.is_guided:
            guide_spectrum, newest = self.analyse(audio if guide is None else guide, state.guide[0])
            guide_recent = [newest]
        estimate = self.estimate(spectrum, state.body, guide_spectrum)
        output, pending = self.synthesise(estimate.spectrum, state.pending)
        return output, estimate.voice, EnhancerState(recent, guide_recent, pending, estimate.body)

    def denoise(self, audio: Tensor, guide: Tensor | None = None) -> Tensor:
        """Denoise whole clips (clips, n), from a fresh state: as long, and in time. guide: see `forward`."""
        length = audio.shape[1]
        hops = -(-(length + self.delay) // HOP)
        signals = [audio] if guide is None else [audio, guide]
        padded, *guides = (nn.functional.pad(part, (0, hops * HOP - length)) for part in signals)
        return self(padded, self.new_state(len(audio)), *guides)[0][:, self.delay : self.delay + length]

    def analyse(self, audio: Tensor, recent: Tensor) -> tuple[Tensor, Tensor]:
        """Spectra of the frames that end with each hop: complex64 (clips, T, BINS); the samples to remember.

        audio: (clips, T * HOP). recent: (clips, HOP), the samples before.
        """
        joined = torch.cat([recent, audio], dim=1)
        frames = joined.unfold(1, BLOCK, HOP) * self.window
        return torch.fft.rfft(frames), joined[:, -HOP:]

    def synthesise(self, spectrum: Tensor, pending: Tensor) -> tuple[Tensor, Tensor]:
        """The samples of the hops that frames complete, (clips, T * HOP), and what the last one leaves, (clips, HOP).

        spectrum: complex64 (clips, T, BINS).
        """
        frames = torch.fft.irfft(spectrum, BLOCK) * self.window
        ends = torch.cat([pending.unsqueeze(1), frames[:, :-1, HOP:]], dim=1)
        return (frames[:, :, :HOP] + ends).flatten(1), frames[:, -1, HOP:]

    def estimate(self, spectrum: Tensor, body_state: list[Tensor], guide: Tensor | None = None) -> Estimate:
        """The clean spectra of the next frames of a batch. spectrum: complex64 (clips, T, BINS). guide: likewise."""
        parts = None if guide is None else (guide.real, guide.imag)
        real, imaginary, voice, body_state = self.clean(spectrum.real, spectrum.imag, body_state, parts)
        return Estimate(torch.complex(real, imaginary), voice, body_state)

    def clean(
        self, real: Tensor, imaginary: Tensor, body_state: list[Tensor], guide: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:
        """What `estimate` does in real numbers alone, each spectrum as two tensors (clips, T, BINS)."""
        features, magnitude = self.features(real, imaginary)
        own, before = (body_state[:-1], body_state[-1:]) if self.taps > 1 else (body_state, [])
        x, y = real[..., :LOW], imaginary[..., :LOW]
        if before:
            joined = torch.cat([before[0], torch.cat([x, y], dim=2)], dim=1)
            before = [joined[:, x.shape[1] :]]
            past_x, past_y = joined.split([LOW, LOW], dim=2)
            turned, seen = turn_past(past_x, past_y, x.shape[1])
            features = torch.cat([features, nn.functional.pad(seen, (0, BANDS - LOW))], dim=1)
        if guide is not None:
            features = torch.cat([features, self.features(*guide)[0]], dim=1)
        hidden, own = self.body(features, own)
        lower, above = hidden.split([LOW, BANDS - LOW], dim=3)
        pooled = torch.cat([lower.mean(dim=3), above.mean(dim=3)], dim=1)
        voice = self.voice_head(pooled.transpose(1, 2)).squeeze(2)
        with torch.autocast(real.device.type, enabled=False):
            answers = self.low_head(lower.float())
            along, across = low_mask(answers[:, :2])
            of_bands = self.upper_head(above.float())
            upper = self.upper_gain(of_bands[:, :2], features, magnitude)
            low_real, low_imaginary = x * along - y * across, x * across + y * along
            if before:
                past_real, past_imaginary = filter_past(answers[:, 2 : 2 * self.taps], turned)
                low_real, low_imaginary = low_real + past_real, low_imaginary + past_imaginary
            clean_real = torch.cat([low_real, real[..., LOW:] * upper], dim=2)
            clean_imaginary = torch.cat([low_imaginary, imaginary[..., LOW:] * upper], dim=2)
            if guide is not None:
                share = torch.cat([torch.sigmoid(answers[:, -1]), torch.sigmoid(of_bands[:, -1]) @ self.spread], dim=2)
                clean_real = clean_real + share * (guide[0] - clean_real)
                clean_imaginary = clean_imaginary + share * (guide[1] - clean_imaginary)
        return clean_real, clean_imaginary, voice.float(), [*own, *before]

    def features(self, real: Tensor, imaginary: Tensor) -> tuple[Tensor, Tensor]:
        """Input of the body, float32 (clips, FEATURES, T, BANDS), and the compressed magnitudes (clips, T, BINS).

        Low: magnitude, real and imaginary part, compressed. Upper: the band's mean compressed magnitude, its root mean
        square, and the mean difference of neighbouring bins, which is large where harmonics stand apart.
        """
        magnitude = (real.square() + imaginary.square() + FLOOR).pow(1.0 / 6.0)
        above = magnitude[..., LOW:]
        uneven = (above - magnitude[..., LOW - 1 : -1]).abs()
        upper = torch.stack([above, above.square(), uneven], dim=1) @ self.gather
        upper = torch.cat([upper[:, :1], upper[:, 1:2].sqrt(), upper[:, 2:]], dim=1)
        low = magnitude[..., :LOW]
        square = low.square()
        lower = torch.stack([low, real[..., :LOW] / square, imaginary[..., :LOW] / square], dim=1)
        return torch.cat([lower, upper], dim=3), magnitude

    def upper_gain(self, answers: Tensor, features: Tensor, magnitude: Tensor) -> Tensor:
        """The gains of the upper bins, 0 to 1, float32 (clips, T, BINS - LOW).

        answers: (clips, 2, T, UPPER), a gain and a noise level before their sigmoids; the level is in units of twice
        the band's mean magnitude. A bin's share is that of a Wiener filter, on magnitudes to the power 4/3.
        """
        gain, level = torch.sigmoid(answers).unbind(dim=1)
        level = 2.0 * level * features[:, 0, :, LOW:]
        gain, level = gain @ self.spread, level @ self.spread
        wanted, noise = (part.square().square() for part in (magnitude[..., LOW:], level))
        return (gain * wanted / (wanted + noise + 1e-9)) ** 3

    def cost(self) -> Cost:
        """Cost of one hop, body and shell; the transforms, which every frequency-domain denoiser has, left out."""
        width = self.low_head.in_channels
        upper = BINS - LOW
        past = self.taps - 1
        products = 2 * width * (BANDS + past * LOW) + 2 * width * VOICE_UNITS + VOICE_UNITS + 2 * width
        shaping = 2 * (3 + 2) * upper + 12 * upper + 10 * LOW + 4 * BINS  # the banks hold two weights a bin
        exponentials = 2 * BINS + 2 * (BANDS - LOW) + (BANDS - LOW) + VOICE_UNITS + 1  # a power is log and exp
        if past:
            shaping += (16 * past + 16) * LOW  # a bin's product, turn, weight and power of each
            exponentials += 4 * LOW
        if self.is_guided:
            products += width * BANDS
            shaping += 2 * 3 * upper + 2 * upper + 6 * BINS
            exponentials += 2 * BINS + BANDS
        return Cost(products + shaping, exponentials, 0) + self.body.cost()


def low_mask(answers: Tensor) -> tuple[Tensor, Tensor]:
    """Complex gains of the low bins, real and imaginary parts (clips, T, LOW), of answers (clips, 2, T, LOW).

    No larger than MOST^3.

    The third power of a mask's magnitude, its phase as it is: what multiplying compressed spectra comes to.
    """
    power = answers.square().sum(dim=1)
    shrink = (MOST * torch.rsqrt(power + 1e-12)).clamp(max=1.0)
    real, imaginary = (answers * (power * shrink**3).unsqueeze(1)).unbind(dim=1)
    return real, imaginary


def turn_past(x: Tensor, y: Tensor, frames: int) -> tuple[Tensor, Tensor]:
    """The low bins of the frames before, turned on to each frame, and how they go with it.

    x, y: real and imaginary parts, (clips, N + frames, LOW). Returns (clips, N, 2, frames, LOW), real and imaginary
    parts of the N frames before each, the latest first; and features (clips, TAP_FEATURES, frames, LOW): real and
    imaginary part of a bin by the turned one of the frame before, and the mean product of N neighbours, compressed.
    """
    count = x.shape[1] - frames
    ahead_x, ahead_y, behind_x, behind_y = x[:, 1:], y[:, 1:], x[:, :-1], y[:, :-1]
    steps = torch.stack([ahead_x * behind_x + ahead_y * behind_y, ahead_y * behind_x - ahead_x * behind_y])
    mean_real, mean_imaginary = torch.stack([steps[:, :, tap : tap + frames] for tap in range(count)]).mean(dim=0)
    square = mean_real.square() + mean_imaginary.square() + FLOOR_SQUARE
    turn_real, turn_imaginary = mean_real * square.rsqrt(), mean_imaginary * square.rsqrt()
    real, imaginary = turn_real, turn_imaginary  # of as many turns as there are frames between
    turned = []
    for tap in range(count):
        first = count - 1 - tap
        past_x, past_y = x[:, first : first + frames], y[:, first : first + frames]
        turned.append(torch.stack([past_x * real - past_y * imaginary, past_y * real + past_x * imaginary], dim=1))
        real, imaginary = real * turn_real - imaginary * turn_imaginary, real * turn_imaginary + imaginary * turn_real
    expected_x, expected_y = turned[0].unbind(dim=1)
    now_x, now_y = x[:, count:], y[:, count:]
    along, across = now_x * expected_x + now_y * expected_y, now_y * expected_x - now_x * expected_y
    scale = (along.square() + across.square() + FLOOR_SQUARE).pow(-5.0 / 12.0)
    seen = torch.stack([along * scale, across * scale, square.pow(1.0 / 12.0)], dim=1)
    return torch.stack(turned, dim=1), seen


def filter_past(answers: Tensor, turned: Tensor) -> tuple[Tensor, Tensor]:
    """The low bins of frames before, weighed and summed: real and imaginary parts (clips, T, LOW).

    answers: (clips, 2 * N, T, LOW), real and imaginary parts of the weights of N frames, the latest first. turned:
    (clips, N, 2, T, LOW), as `turn_past` returns it.
    """
    along, across = answers.clamp(-MOST_TAP, MOST_TAP).unflatten(1, (-1, 2)).unbind(dim=2)
    real, imaginary = turned.unbind(dim=2)
    return (real * along - imaginary * across).sum(dim=1), (imaginary * along + real * across).sum(dim=1)


def clear(part: Tensor, fresh: Tensor) -> Tensor:
    """part, (clips, ...), with zeros where fresh, bool (clips,), is true."""
    return part.masked_fill(fresh.view(-1, *[1] * (part.ndim - 1)), 0.0)
