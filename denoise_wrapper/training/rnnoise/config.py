"""The settings of an RNNoise network's training, a TOML table each."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from denoise_wrapper.errors import ConfigError
from denoise_wrapper.training.config import (
    DataConfig,
    RunConfig,
    TrainConfig,
    check_not_negative,
    check_positive,
    check_share,
)

NEED_ENERGIES = ("loudness", "perceptual", "pesq")  # terms of the loss that look at the clean speech itself


@dataclass(frozen=True)
class FeatureConfig:
    """Hours that are mixed for training and for validation, and kept as features."""

    hours: float = 40.0  # of mixtures for training
    validation_hours: float = 1.0
    shard_hours: float = 0.5  # one file
    processes: int = 1
    online: bool = False  # the clips to train on are mixed as they are needed, none twice; hours does not count then
    file: Path | None = None  # a feature file to train on in place of mixtures; made of [data] if it is not there

    def __post_init__(self) -> None:
        check_positive(self, "hours", "validation_hours", "shard_hours", "processes")


@dataclass(frozen=True)
class NetworkConfig:
    """The family of the network, and its sizes; those of the other family do not count."""

    family: Literal["classic", "v0.2"] = "classic"
    dense: int = 24  # classic
    vad_gru: int = 24
    noise_gru: int = 48
    denoise_gru: int = 96
    activations: tuple[Literal["tanh", "relu"], ...] = ("tanh", "relu", "tanh")  # candidates of the three GRUs
    conv: int = 96  # v0.2: outputs of the first convolution
    units: int = 128  # of the second one, and of each of the three GRUs

    def __post_init__(self) -> None:
        check_positive(self, "dense", "vad_gru", "noise_gru", "denoise_gru", "conv", "units")
        if len(self.activations) != 3:
            raise ConfigError(f"activations takes one of tanh, relu for each of three GRUs, not {self.activations}")
        for name in ("conv", "units"):
            if getattr(self, name) % 8:
                raise ConfigError(
                    f"'{name}' is a multiple of 8, as the weights are stored so, not {getattr(self, name)}"
                )


@dataclass(frozen=True)
class RNNoiseTrainConfig(TrainConfig):
    """The loop, and what counts in its loss. An epoch is one pass over the rows of a feature file, or over [features]
    hours.
    """

    batch: int = 128
    final_rate: float = 1e-5
    frames: int = 200  # of each clip a step; the states are carried on to the next
    dropout: float = 0.0  # of what goes from layer to layer, while training
    gain_power: float = 0.5  # gains are compared after this power
    sharpen: float = 0.0  # s of gains wanted, g, times tanh(s g)^2: what is mostly noise goes further down; 0: as it is
    fourth: float = 10.0  # weight of the fourth power of that difference
    speech_weight: float = 0.0  # frames of speech count 1 + this
    loudness: float = 1.0  # weight of the error in compressed band energies
    loudness_power: float = 0.3  # their compression, a power of the amplitude
    over: float = 0.0  # extra weight of too small gains (lost speech) in the loudness term
    perceptual: float = 0.0  # weight of the disturbances that an ear would hear, much as PESQ counts them
    pesq: float = 0.0  # the same, as forgiving of levels and colouring as PESQ is
    spectral: float = 0.0  # weight of the error in the spectra that the engine would put out
    vad: float = 0.05  # weight of the voice probability's cross entropy
    quantise_from: float = 0.5  # share of the steps after which the weights are rounded as in the file

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self, "frames", "gain_power", "loudness_power")
        check_not_negative(self, "fourth", "speech_weight", "loudness", "over", "perceptual", "pesq", "spectral", "vad",
                           "sharpen")  # fmt: skip
        check_share(self, "quantise_from")
        check_share(self, "dropout")


@dataclass(frozen=True)
class RNNoiseConfig(RunConfig):
    """All that one training of an RNNoise network needs."""

    data: DataConfig = field(default_factory=DataConfig)
    name: str = "rnnoise"
    features: FeatureConfig = field(default_factory=FeatureConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    train: RNNoiseTrainConfig = field(default_factory=RNNoiseTrainConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        for kind in ("speech", "noise") if self.features.file is None else ():
            if not getattr(self.data, kind):
                raise ConfigError(f"there is no {kind}; name folders in [data] {kind}, or a file in [features] file")
        for term in NEED_ENERGIES if self.features.file is not None else ():
            if getattr(self.train, term):
                raise ConfigError(
                    f"'train.{term}' needs the energies of clean speech, which no feature file holds; set it to 0.0, "
                    "or train without [features] file"
                )
        if self.features.online and self.features.file is not None:
            raise ConfigError("[features] online mixes what is trained on, and file names it; leave one of them out")
        if self.train.spectral and not self.features.online:
            raise ConfigError(
                f"[train] spectral is {self.train.spectral}, but features that are kept hold no spectra; set [features]"
                " online = true, or spectral = 0.0"
            )
