"""The settings of a DTLN's training, a TOML table each, by our names or by those of DTLNPytorch's users."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from denoise_wrapper.errors import ConfigError
from denoise_wrapper.training.config import (
    BlendConfig,
    RunConfig,
    StretchConfig,
    check_not_negative,
    check_positive,
    check_share,
    convert,
    unknown_setting,
)
from denoise_wrapper.training.dtln.spelling import respell
from denoise_wrapper.training.run.lineage import setting


@dataclass(frozen=True)
class DTLNNetworkConfig:
    """Sizes of the DTLN: blocks of frame_length samples, one each hop_length."""

    frame_length: int = 512  # samples; 32 ms in the published networks, and in settings that do not say it
    hop_length: int = 128  # samples; a whole number of them is a block; 8 ms where settings do not say it
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
class DTLNLossConfig:
    """The loss. Levels are taken out: each clip counts as if its mixture had power 1."""

    method: Literal["snr", "si-sdr", "snr+magnitude"] = "snr+magnitude"
    snr_weight: float = 1.0  # of the ratio, in units of 10 dB
    magnitude_weight: float = 10.0  # of the squared error of compressed spectra
    complex_share: float = 0.3  # of the latter, with phases
    power: float = 0.3  # that compresses the magnitudes
    limit_db: float = 30.0  # an error so far below the mixture no longer counts
    sizes: tuple[int, ...] = (320, 512, 1024)  # of the spectra's windows, samples; one of them a step, in turn
    over: float = 0.0  # of the squared error where a compressed magnitude is less than the clean one
    perceptual: float = 0.0  # of the disturbances that an ear would hear, in points of PESQ
    pesq: float = 0.0  # of the same, as forgiving of levels and colouring as PESQ is

    def __post_init__(self) -> None:
        check_not_negative(self, "snr_weight", "magnitude_weight", "over", "perceptual", "pesq")
        check_positive(self, "power", "sizes")
        check_share(self, "complex_share")
        if self.over and self.method != "snr+magnitude":
            raise ConfigError(f"'over' is of compressed magnitudes, which method {self.method!r} has not; leave it out")


@dataclass(frozen=True)
class DTLNTrainConfig(StretchConfig):
    """The loop. An epoch is evaluate_every steps."""

    steps: int = 100_000
    method: Literal["adam", "adamw", "muon"] = "adam"
    rate: float = 1e-3
    vector_rate: float = 1e-3
    decay_share: float = 0.3
    warm_up: int = 500
    clip_norm: float = 3.0
    average: float = 0.999
    log_every: int = 100
    export_from: Literal["best", "last"] = "best"  # the checkpoint whose weights are exported


@dataclass(frozen=True)
class DTLNValidationConfig:
    """The clips that every validation compares."""

    clips: int = 90

    def __post_init__(self) -> None:
        check_positive(self, "clips")


@dataclass(frozen=True)
class DTLNConfig(RunConfig):
    """All that one training of a DTLN needs."""

    data: BlendConfig
    name: str = "dtln"
    seed: int = 42
    sample_rate: int = 16000  # Hz; audio of other rates is resampled
    network: DTLNNetworkConfig = field(default_factory=DTLNNetworkConfig)
    loss: DTLNLossConfig = field(default_factory=DTLNLossConfig)
    train: DTLNTrainConfig = field(default_factory=DTLNTrainConfig)
    validation: DTLNValidationConfig = field(default_factory=DTLNValidationConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self, "sample_rate")
        if self.sample_rate % 100:
            raise ConfigError(f"'sample_rate' is a multiple of 100 Hz, not {self.sample_rate}")

    @classmethod
    def read(cls, table: dict[str, Any], started: bool = False) -> Self:
        """Make the config of TOML's tables, by our names or DTLNPytorch's; messages have the names that stood there."""
        if not OLD_TABLES & table.keys():
            return super().read(with_sizes(table), started)
        try:
            return super().read(with_sizes(translate(respell(table))), started)
        except ConfigError as error:
            raise ConfigError(by_old_names(str(error))) from None


# DTLNPytorch's names of settings, TABLE.NAME, and ours. [data], [mix] and [loss] are alike in both.
NAMES = {
    "meta.experiment_name": "name",
    "meta.seed": "seed",
    "meta.licence": "licence",
    "meta.steps_per_epoch": "train.evaluate_every",
    "meta.batch_size": "train.batch",
    "meta.num_workers": "train.processes",
    "meta.threads": "train.threads",
    "meta.use_amp": "train.bf16",
    "meta.log_every": "train.log_every",
    "meta.validation_clips": "validation.clips",
    "meta.preload_model_path": "train.start_from",
    "meta.freeze": "train.freeze",
    "meta.epochs": "train.epochs",
    "audio.samplerate": "sample_rate",
    "audio.duration": "train.seconds",
    "model.frame_length": "network.frame_length",
    "model.hop_length": "network.hop_length",
    "model.hidden_size": "network.hidden_size",
    "model.encoder_size": "network.encoder_size",
    "model.norm": "network.norm",
    "model.dropout": "network.dropout",
    "optimizer.method": "train.method",
    "optimizer.lr": "train.rate",
    "optimizer.vector_lr": "train.vector_rate",
    "optimizer.weight_decay": "train.weight_decay",
    "scheduler.method": "train.decay",
    "scheduler.warm_up": "train.warm_up",
    "scheduler.decay_share": "train.decay_share",
    "scheduler.gamma": "train.gamma",
    "scheduler.step_size": "train.step_size",
    "scheduler.patience": "train.patience",
    "trainer.clip_grad_norm": "train.clip_norm",
    "trainer.average": "train.average",
    "trainer.early_stop": "train.early_stop",
    "trainer.export_from": "train.export_from",
}
BACKEND_RATES = (16000, 32000)  # Hz, of the backends that run a DTLN
ONLY_THEIRS = ("meta.save_model_dir", "meta.num_epochs")  # which ours follow from
OLD_TABLES = {name.split(".")[0] for name in NAMES}


def with_sizes(table: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with the blocks and hops that follow from the rate, 32 and 8 ms, where they are not said."""
    rate, network = table.get("sample_rate", DTLNConfig.sample_rate), table.get("network", {})
    if not isinstance(rate, int) or not isinstance(network, dict):
        return dict(table)  # to be refused
    return {**table, "network": {"frame_length": rate * 4 // 125, "hop_length": rate // 125, **network}}


def check_runnable(config: DTLNConfig) -> None:
    """Raises ConfigError, before anything is done, for a network that no backend would run."""
    rate, sizes = config.sample_rate, config.network
    if rate not in BACKEND_RATES:
        rates = " or ".join(map(str, BACKEND_RATES))
        raise ConfigError(f"no backend runs a DTLN at {rate} Hz; set 'sample_rate' to {rates}")
    if (sizes.frame_length, sizes.hop_length) != (rate * 4 // 125, rate // 125):
        raise ConfigError(
            f"no backend runs blocks of {sizes.frame_length} samples every {sizes.hop_length} at {rate} Hz; leave "
            f"'network.frame_length' and 'network.hop_length' out, which makes them {rate * 4 // 125} and {rate // 125}"
        )


def translate(table: Mapping[str, Any]) -> dict[str, Any]:
    """DTLNPytorch's tables as ours. Raises ConfigError for names in them that there are not."""
    result: dict[str, Any] = {key: value for key, value in table.items() if key not in OLD_TABLES}
    train: dict[str, Any] = dict(convert(result.get("train", {}), dict, "train"))
    result["train"] = train
    theirs: dict[str, Any] = {}
    for name in (name for name in table if name in OLD_TABLES):
        known = [full.split(".")[1] for full in (*NAMES, *ONLY_THEIRS) if full.split(".")[0] == name]
        for key, value in convert(table[name], dict, name).items():
            if key not in known:
                raise unknown_setting(f"{name}.", key, known)
            put(result if f"{name}.{key}" in NAMES else theirs, NAMES.get(f"{name}.{key}", key), value)
    if "save_model_dir" in theirs:  # of several runs, each in a folder of its own
        folder = convert(theirs["save_model_dir"], Path, "meta.save_model_dir")
        result |= {"work_dir": str(folder / str(result.get("name", DTLNConfig.name))), "cache_dir": str(folder)}
    elif "work_dir" not in result:
        raise ConfigError("the setting 'meta.save_model_dir' is missing; it has no default")
    if "num_epochs" in theirs or "evaluate_every" in train:
        epochs = convert(theirs.get("num_epochs", 100), int, "meta.num_epochs")
        train["steps"] = epochs * convert(train.get("evaluate_every", 1000), int, "meta.steps_per_epoch")
        if epochs <= 0:
            raise ConfigError(f"'num_epochs' is above 0, not {epochs}")
    if train.get("decay") == "hold":
        train["decay"] = "linear"
    elif train.get("decay") == "cosine":  # which falls from the end of the warm-up on
        rise = convert(train.get("warm_up", DTLNTrainConfig.warm_up), int, "scheduler.warm_up")
        train["decay_share"] = max(0.0, 1.0 - rise / train.get("steps", DTLNTrainConfig.steps))
    return result


def put(tables: dict[str, Any], name: str, value: Any) -> None:
    """Set TABLE.NAME, or NAME, in tables."""
    *folder, key = name.split(".")
    (tables.setdefault(folder[0], {}) if folder else tables)[key] = value


def by_old_names(message: str) -> str:
    """A message about settings by our names, with DTLNPytorch's instead: 'train.rate' and 'rate' are 'optimizer.lr'."""
    old = {ours: theirs for theirs, ours in NAMES.items()}
    old |= {ours.split(".")[-1]: theirs for theirs, ours in NAMES.items()}
    return re.sub(r"'([\w.]+)'", lambda match: f"'{old.get(match[1], match[1])}'", message)


def stored(settings: Mapping[str, Any], name: str) -> Any:
    """A setting, by our name, of a checkpoint's settings, which may have either names; None where it is lacking."""
    value = setting(settings, name)
    theirs = next((theirs for theirs, ours in NAMES.items() if ours == name), name)
    return setting(settings, theirs) if value is None else value
