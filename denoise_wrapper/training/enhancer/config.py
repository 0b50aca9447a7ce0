"""The settings of the enhancer's training, a TOML table each."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from denoise_wrapper.errors import ConfigError
from denoise_wrapper.training.config import (
    DTLNDataConfig,
    MixConfig,
    check_not_negative,
    check_positive,
    check_run_name,
    check_seed,
    check_share,
)


@dataclass(frozen=True)
class BodyConfig:
    """What lies between the network's bands: which kind, and its sizes. A kind makes no use of some of them.

    rows: convolutions over frequency, a GRU along time for each of a few rows, attention over the rows. depthwise:
    depthwise convolutions over time and frequency, dual-path GRUs, attention along time. mixed: parts of both.
    """

    kind: Literal["rows", "depthwise", "mixed"] = "rows"
    channels: int = 24  # of the convolutions over frequency
    width: int = 24  # of what the body puts out for each band
    blocks: int = 2  # of convolutions, on each side of the recurrent ones
    rows: int = 24  # that the bands are reduced to for the recurrent blocks
    recurrent_blocks: int = 2
    recurrent_width: int = 20  # channels of a row in them
    heads: int = 4  # of the attention

    def __post_init__(self) -> None:
        check_positive(self, "channels", "width", "blocks", "rows", "recurrent_blocks", "recurrent_width", "heads")
        if self.recurrent_width % self.heads:
            raise ConfigError(
                f"'recurrent_width' is a multiple of 'heads', not {self.recurrent_width} with {self.heads}; "
                "change either"
            )


@dataclass(frozen=True)
class LossConfig:
    """What is made small: a sum of parts, each a mean, times their weights; 0 leaves a part out.

    Magnitudes are compared after power; bins above a recording's bandwidth count nowhere.
    """

    power: float = 0.3  # of magnitudes, where they are compared
    magnitude: float = 0.3  # weight of the squared error of the magnitudes
    complex: float = 0.2  # of that of the spectra with their phases
    consistency: float = 0.3  # of the same, in the spectra of the waveform that comes out
    waveform: float = 0.2  # of the mean difference of the waveforms
    over: float = 0.3  # of the squared error where a magnitude is less than the clean one
    pesq: float = 0.0  # of the disturbances that PESQ counts; needs the package torch-pesq
    voice: float = 0.02  # of the speech probability's cross entropy
    even_level: float = 1.0  # share of a clip's level that is taken out, so that quiet clips count as loud ones do
    upper_power: float = 0.5  # bins above 4 kHz count (width of a bin / width of their band) to this power

    def __post_init__(self) -> None:
        check_positive(self, "power")
        check_share(self, "even_level")
        parts = ("magnitude", "complex", "consistency", "waveform", "over", "pesq", "voice", "upper_power")
        check_not_negative(self, *parts)
        if not any(getattr(self, part) for part in parts[:6]):
            raise ConfigError(f"[loss] weighs nothing; set one of {', '.join(parts[:6])} above 0")


@dataclass(frozen=True)
class EnhancerTrainConfig:
    """The loop: how many steps of which size, at which rate, and how often it is told and saved."""

    start_from: Path | None = None  # a checkpoint whose weights are gone on from, instead of random ones
    steps: int = 20000
    minutes: float = 0.0  # the run's length by the clock in place of steps, on a machine with other work; 0: by steps
    batch: int = 16  # clips side by side
    seconds: float = 2.0  # of each clip a step; the states are carried on to the next
    method: Literal["adamw", "muon"] = "adamw"  # muon: for the matrices, with AdamW for the rest
    rate: float = 3e-3  # of the method, the peak
    vector_rate: float = 3e-3  # of AdamW beside Muon
    decay: Literal["cosine", "linear"] = "cosine"  # from the peak to final_rate
    decay_share: float = 1.0  # of the run, its last part, in which the rate falls
    final_rate: float = 1e-5
    warm_up: int = 200  # steps from 0 to the peak
    weight_decay: float = 0.01
    clip_norm: float = 3.0  # of the gradient
    freeze_norms: float = 0.1  # share of the run after which batch norms learn with the statistics that they run with
    average: float = 0.999  # decay of the running mean of the weights, which is what is validated and shipped
    bf16: bool = True  # where the processor or the GPU computes with it
    threads: int = 2  # of torch
    processes: int = 1  # that mix; 0 mixes in the loop itself
    log_every: int = 50  # steps
    evaluate_every: int = 500  # steps: an epoch, which ends with a validation and a checkpoint

    def __post_init__(self) -> None:
        check_positive(self, "steps", "batch", "seconds", "rate", "vector_rate", "clip_norm", "threads", "log_every",
                       "evaluate_every")  # fmt: skip
        check_not_negative(self, "final_rate", "warm_up", "weight_decay", "processes", "minutes")
        for name in ("decay_share", "freeze_norms", "average"):
            check_share(self, name)


@dataclass(frozen=True)
class ValidationConfig:
    """What the best checkpoint is chosen by: metrics on a set if there is one, else the loss on mixed clips."""

    clips: int = 32  # mixed ones, of the voices and noises that training leaves out
    set: Path | None = None  # a folder with clean/, noisy/ and perhaps manifest.json
    set_clips: int = 0  # of the set, evenly spread over it; 0: all
    every: int = 2  # epochs between two scorings of the set; the last epoch is scored too
    processes: int = 2  # that score

    def __post_init__(self) -> None:
        check_positive(self, "clips", "every", "processes")
        check_not_negative(self, "set_clips")


@dataclass(frozen=True)
class EnhancerConfig:
    """All that one training of an enhancer needs."""

    work_dir: Path  # checkpoints, logs and results
    data: DTLNDataConfig
    name: str = "enhancer"
    budget: Literal["enhancer", "enhancer-tiny"] = "enhancer"  # what the network may cost a hop
    seed: int = 1
    licence: str = "MIT"  # of the weights
    cache_dir: Path | None = None  # where the decoded audio is kept, which several runs may share; None: in work_dir
    mix: MixConfig = field(default_factory=MixConfig)
    body: BodyConfig = field(default_factory=BodyConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    train: EnhancerTrainConfig = field(default_factory=EnhancerTrainConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)

    def __post_init__(self) -> None:
        check_seed(self.seed)
        check_run_name("name", self.name)
        if self.mix.clip_s < self.train.seconds:
            raise ConfigError(
                f"[mix] clip_s is {self.mix.clip_s} s, and [train] seconds {self.train.seconds} s; a clip is as long "
                "as what a step hears of it, or longer"
            )

    @property
    def cache(self) -> Path:
        """Where the decoded audio is."""
        return self.cache_dir or self.work_dir
