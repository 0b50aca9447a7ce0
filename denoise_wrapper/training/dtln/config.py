"""The settings of a DTLN's training, a TOML table each."""

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
class DTLNNetworkConfig:
    """Sizes of the DTLN: blocks of frame_length samples, one each hop_length."""

    frame_length: int = 512  # samples; 32 ms in the published networks
    hop_length: int = 128  # samples; a whole number of them is a block
    hidden_size: int = 128  # units of each LSTM
    encoder_size: int = 256  # learned features of a block
    norm: bool = True  # the first core sees normalised logarithms: the published "norm" variant
    dropout: float = 0.0  # between the LSTMs, while training

    def __post_init__(self) -> None:
        check_positive(self, "frame_length", "hop_length", "hidden_size", "encoder_size")
        check_share(self, "dropout")
        if self.frame_length % self.hop_length or self.frame_length % 2 or self.frame_length == self.hop_length:
            raise ConfigError(
                f"'frame_length' is even and two or more times 'hop_length', not {self.frame_length} and "
                f"{self.hop_length}"
            )


@dataclass(frozen=True)
class DTLNMetaConfig:
    """Where a run lives, and how much is done in it."""

    save_model_dir: Path  # the run's folder is save_model_dir/experiment_name; the decoded audio is kept in it too
    experiment_name: str = "dtln"
    seed: int = 42
    licence: str = "MIT"  # of the weights
    num_epochs: int = 100
    steps_per_epoch: int = 1000  # after each epoch comes a validation, and a checkpoint
    batch_size: int = 16  # clips side by side, over all processes of torchrun
    num_workers: int = 1  # processes that mix; 0 mixes in the loop itself
    threads: int = 1  # of torch; more than one pays only where no other work is done
    use_amp: bool = True  # bf16 where the processor or the GPU computes with it
    log_every: int = 100  # steps
    validation_clips: int = 90
    preload_model_path: Path | None = None  # weights to start from: a checkpoint, or what `convert` reads

    def __post_init__(self) -> None:
        check_positive(self, "num_epochs", "steps_per_epoch", "batch_size", "threads", "log_every", "validation_clips")
        check_not_negative(self, "num_workers")
        check_run_name("experiment_name", self.experiment_name)
        check_seed(self.seed)


@dataclass(frozen=True)
class DTLNAudioConfig:
    """What a step hears."""

    samplerate: int = 16000  # Hz; audio of other rates is resampled
    duration: float = 2.0  # seconds of each clip a step; the clip's state is carried on to the next step

    def __post_init__(self) -> None:
        check_positive(self, "samplerate", "duration")


@dataclass(frozen=True)
class DTLNLossConfig:
    """What is made small. Levels are taken out: each clip counts as if its mixture had power 1."""

    method: Literal["snr", "si-sdr", "snr+magnitude"] = "snr+magnitude"
    snr_weight: float = 1.0  # of the ratio, in units of 10 dB
    magnitude_weight: float = 10.0  # of the squared error of compressed spectra
    complex_share: float = 0.3  # of the latter, with phases
    power: float = 0.3  # that compresses the magnitudes
    limit_db: float = 30.0  # an error so far below the mixture no longer counts
    sizes: tuple[int, ...] = (320, 512, 1024)  # of the spectra's windows, samples; one of them a step, in turn

    def __post_init__(self) -> None:
        check_not_negative(self, "snr_weight", "magnitude_weight")
        check_positive(self, "power", "sizes")
        check_share(self, "complex_share")


@dataclass(frozen=True)
class DTLNOptimizerConfig:
    """muon: Muon for the matrices (its rate is lr), AdamW with vector_lr for all else."""

    method: Literal["adam", "adamw", "muon"] = "adam"
    lr: float = 1e-3
    vector_lr: float = 1e-3
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        check_positive(self, "lr", "vector_lr")
        check_not_negative(self, "weight_decay")


@dataclass(frozen=True)
class DTLNSchedulerConfig:
    """How the rate goes, as a factor of lr. All begin with a straight rise over warm_up steps.

    cosine: down to nothing at the end. hold: flat, then straight down to nothing over the last decay_share of the
    steps. step: times gamma after every step_size epochs. plateau: times gamma after patience epochs without a better
    validation loss.
    """

    method: Literal["cosine", "hold", "step", "plateau"] = "hold"
    warm_up: int = 500
    decay_share: float = 0.3
    gamma: float = 0.97
    step_size: int = 5
    patience: int = 3

    def __post_init__(self) -> None:
        check_share(self, "decay_share")
        check_share(self, "gamma")
        check_positive(self, "step_size", "patience")
        check_not_negative(self, "warm_up")


@dataclass(frozen=True)
class DTLNTrainerConfig:
    """What keeps a run steady."""

    clip_grad_norm: float = 3.0  # of all gradients together
    average: float = 0.999  # decay of the running mean of the weights, which is what is validated and shipped
    early_stop: int = 0  # epochs without a better validation loss after which the run ends; 0: never
    export_from: Literal["best", "last"] = "best"  # the checkpoint whose weights are exported

    def __post_init__(self) -> None:
        check_positive(self, "clip_grad_norm")
        check_share(self, "average")
        check_not_negative(self, "early_stop")


@dataclass(frozen=True)
class DTLNConfig:
    """All that one training of a DTLN needs."""

    meta: DTLNMetaConfig
    data: DTLNDataConfig
    audio: DTLNAudioConfig = field(default_factory=DTLNAudioConfig)
    mix: MixConfig = field(default_factory=MixConfig)
    model: DTLNNetworkConfig = field(default_factory=DTLNNetworkConfig)
    loss: DTLNLossConfig = field(default_factory=DTLNLossConfig)
    optimizer: DTLNOptimizerConfig = field(default_factory=DTLNOptimizerConfig)
    scheduler: DTLNSchedulerConfig = field(default_factory=DTLNSchedulerConfig)
    trainer: DTLNTrainerConfig = field(default_factory=DTLNTrainerConfig)

    def __post_init__(self) -> None:
        if self.audio.samplerate % 100:
            raise ConfigError(f"[audio] samplerate is a multiple of 100 Hz, not {self.audio.samplerate}")

    @property
    def run_dir(self) -> Path:
        return self.meta.save_model_dir / self.meta.experiment_name
