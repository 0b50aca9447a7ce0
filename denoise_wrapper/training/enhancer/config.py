"""The settings of the enhancer's training, a TOML table each."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from denoise_wrapper.backends import backend_names, load_backend
from denoise_wrapper.backends.guided import GUIDES
from denoise_wrapper.errors import ConfigError
from denoise_wrapper.training.config import (
    BlendConfig,
    RunConfig,
    StretchConfig,
    check_not_negative,
    check_positive,
    check_share,
)
from denoise_wrapper.training.enhancer.bands import RATE

MOST_TAPS = 8


def check_backend(setting: str, name: str) -> None:
    """Raise ConfigError if a setting names no backend for 48 kHz; an empty name is none at all."""
    if name and name not in backend_names():
        raise ConfigError(f"{setting!r} is a backend, one of {', '.join(backend_names())}, not {name!r}")
    if name and (rate := load_backend(name).sample_rate) != RATE:
        raise ConfigError(f"{setting!r} is a backend for {RATE} Hz; {name} runs at {rate}")


@dataclass(frozen=True)
class BodyConfig:
    """The network between its bands: which kind, and its sizes. A kind makes no use of some of them.

    rows: convolutions over frequency, a GRU along time for each of a few rows, attention over the rows. depthwise:
    depthwise convolutions over time and frequency, dual-path GRUs, attention along time. mixed: parts of both.
    """

    kind: Literal["rows", "depthwise", "mixed"] = "rows"
    channels: int = 24  # of the convolutions over frequency
    width: int = 16  # of the body's output for each band
    blocks: int = 2  # of convolutions, on each side of the recurrent ones
    rows: int = 24  # that the bands are reduced to for the recurrent blocks
    recurrent_blocks: int = 2
    recurrent_width: int = 32  # channels of a row in them
    heads: int = 4  # of the attention
    taps: int = 1  # frames that the low bins are made of, each by a complex weight: this one, and those before
    guide: str = ""  # one of GUIDES, whose answer the network sees, too, and puts shares of into its own

    def __post_init__(self) -> None:
        sizes = ("channels", "width", "blocks", "rows", "recurrent_blocks", "recurrent_width", "heads", "taps")
        check_positive(self, *sizes)
        if self.taps > MOST_TAPS:
            raise ConfigError(f"'taps' is 1 to {MOST_TAPS}, not {self.taps}")
        if self.recurrent_width % self.heads:
            raise ConfigError(
                f"'recurrent_width' is a multiple of 'heads', not {self.recurrent_width} with {self.heads}; "
                "change either"
            )
        if self.guide and self.guide not in GUIDES:
            raise ConfigError(f"'guide' is one of {', '.join(GUIDES)}, not {self.guide!r}")


@dataclass(frozen=True)
class LossConfig:
    """The loss: a sum of parts, each a mean, times their weights; 0 leaves a part out.

    Magnitudes are compared after power; bins above a recording's bandwidth count nowhere.
    """

    power: float = 0.3  # of magnitudes, where they are compared
    magnitude: float = 0.3  # weight of the squared error of the magnitudes
    complex: float = 0.2  # of that of the spectra with their phases
    consistency: float = 0.3  # of the same, in the spectra of the waveform that comes out
    waveform: float = 0.2  # of the mean difference of the waveforms
    over: float = 0.3  # of the squared error where a magnitude is less than the clean one
    perceptual: float = 0.0  # of the disturbances that an ear would hear, in points of PESQ
    pesq: float = 0.0  # of the same, as forgiving of levels and colouring as PESQ is
    voice: float = 0.02  # of the speech probability's cross entropy
    even_level: float = 1.0  # share of a clip's level that is taken out, so that quiet clips count as loud ones do
    upper_power: float = 0.5  # bins above 4 kHz count (width of a bin / width of their band) to this power

    def __post_init__(self) -> None:
        check_positive(self, "power")
        check_share(self, "even_level")
        parts = (
            "magnitude",
            "complex",
            "consistency",
            "waveform",
            "over",
            "perceptual",
            "pesq",
            "voice",
            "upper_power",
        )
        check_not_negative(self, *parts)
        if not any(getattr(self, part) for part in parts[:7]):
            raise ConfigError(f"[loss] weighs nothing; set one of {', '.join(parts[:7])} above 0")


@dataclass(frozen=True)
class EnhancerTrainConfig(StretchConfig):
    """The loop. An epoch is evaluate_every steps."""

    rate: float = 3e-3
    vector_rate: float = 3e-3
    decay: Literal["linear", "cosine", "step", "plateau"] = "cosine"
    decay_share: float = 1.0
    final_rate: float = 1e-5
    weight_decay: float = 0.01
    clip_norm: float = 3.0
    average: float = 0.999
    evaluate_every: int = 500
    freeze_norms: float = 0.1  # share of the run after which batch norms learn with the statistics that they run with
    teacher: str = ""  # backend whose answer is learned in place of the clean speech, which validations compare with

    def __post_init__(self) -> None:
        super().__post_init__()
        check_share(self, "freeze_norms")
        check_backend("teacher", self.teacher)


@dataclass(frozen=True)
class ValidationConfig:
    """The choice of the best checkpoint: by metrics on a set if there is one, else by the loss on mixed clips."""

    clips: int = 32  # mixed ones, of the voices and noises that training leaves out
    set: Path | None = None  # a folder with clean/, noisy/ and perhaps manifest.json
    set_clips: int = 0  # of the set, evenly spread over it; 0: all
    every: int = 2  # epochs between two scorings of the set; the last epoch is scored too
    processes: int = 2  # that score

    def __post_init__(self) -> None:
        check_positive(self, "clips", "every", "processes")
        check_not_negative(self, "set_clips")


@dataclass(frozen=True)
class EnhancerConfig(RunConfig):
    """All that one training of an enhancer needs."""

    data: BlendConfig
    name: str = "enhancer"
    budget: Literal["enhancer", "enhancer-tiny"] = "enhancer"  # limits of a network's cost a hop
    body: BodyConfig = field(default_factory=BodyConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    train: EnhancerTrainConfig = field(default_factory=EnhancerTrainConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)
