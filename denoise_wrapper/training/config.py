"""Settings that all trainings have: TOML becomes frozen dataclasses, and what does not fit is refused by name."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import math
import os
import tomllib
import types
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Self, TypeVar, Union, get_args, get_origin, get_type_hints

from denoise_wrapper.errors import ConfigError

T = TypeVar("T")
Range = tuple[float, float]
START_SHARE = 0.1  # of the rate from nothing: that of a run from weights, where settings name none


@dataclass(frozen=True)
class DataConfig:
    """Folders of audio. A folder holds audio files, and perhaps a segments.csv that names voices and licences."""

    speech: tuple[Path, ...] = ()  # folders of clean speech
    noise: tuple[Path, ...] = ()  # folders of noise
    rooms: tuple[Path, ...] = ()  # folders of room impulse responses
    validation: float = 0.1  # share of the hours, by voice and by noise source, kept for validation

    def __post_init__(self) -> None:
        if not 0.0 < self.validation < 1.0:
            raise ConfigError(f"'validation' is the share of data kept for validation, above 0, not {self.validation}")


@dataclass(frozen=True)
class BlendConfig(DataConfig):
    """Speech and noise to be mixed, pairs that were mixed before, or both; own recordings too."""

    pairs: tuple[Path, ...] = ()  # folders of pairs: clean/clean_fileid_N.wav, noisy/*_fileid_N.wav
    pairs_share: float = 0.5  # of the clips that are not own, if there are speech and noise to be mixed too
    pairs_db: Range = (-6.0, 6.0)  # level of a clip from pairs against the recorded one, less where it would clip
    own: tuple[Path, ...] = ()  # own recordings: folders of pairs, or with speech/, noise/ or both, and perhaps rooms/
    own_share: float = 0.5  # of all clips

    def __post_init__(self) -> None:
        super().__post_init__()
        check_share(self, "pairs_share")
        check_share(self, "own_share")
        check_range(self, "pairs_db")
        if bool(self.speech) != bool(self.noise):
            named, missing = ("speech", "noise") if self.speech else ("noise", "speech")
            raise ConfigError(f"'{named}' without '{missing}' makes no mixture; give [data] {missing} folders too")
        if not self.speech and not self.pairs:
            raise ConfigError("there is nothing to train on; give [data] speech and noise, or pairs, folders of audio")


@dataclass(frozen=True)
class MixConfig:
    """Settings of how clips are mixed. Shares are of clips, ranges are drawn uniformly unless it says otherwise."""

    clip_s: float = 10.0  # seconds a clip
    first_clip: int = 0  # of the endless row of clips: a training that goes on from another's weights hears new ones
    snr_db: Range = (-5.0, 25.0)  # dB, ratio of the mean powers over the clip
    segmental_snr: bool = False  # snr_db is over the frames in which somebody speaks, not over the whole clip
    speech_db: Range = (-45.0, -12.0)  # dBFS, level of the speech while it sounds
    speed: Range = (0.82, 1.2)  # speed and pitch of the speech, in speed_share of the clips
    speed_share: float = 0.7
    noise_speed: Range = (0.7, 1.4)  # likewise of the recorded noises
    noise_speed_share: float = 0.5
    gap_s: Range = (0.05, 0.6)  # seconds between segments, drawn in the logarithm
    long_gap_share: float = 0.08  # of the pauses, which last 1 to 3 s
    two_voices_share: float = 0.15  # a second voice takes over in mid-clip
    speech_only_share: float = 0.05
    noise_only_share: float = 0.06
    second_noise_share: float = 0.45
    babble_share: float = 0.12  # four to eight voices as a noise
    formula_share: float = 0.15  # a computed noise: coloured, hum, clicks, modulated
    music_share: float = 0.0  # computed music, which has harmonics as speech has
    swell_share: float = 0.3  # of the noises, whose level drifts
    filter_share: float = 0.7  # of the signals, which get random second-order filters
    speech_peaks: int = 1  # peaks or dips of up to 9 dB in them, at most
    noise_peaks: int = 3
    room_share: float = 0.3
    measured_room_share: float = 0.4  # of the rooms; the others are simulated
    early_ms: float = 20.0  # reverberation that the target keeps
    band_limit_share: float = 0.55  # of the mixes, which get a low-pass
    band_limits_hz: tuple[float, ...] = (3400.0, 3900.0, 5500.0, 7600.0, 7900.0, 7900.0, 11000.0, 16000.0)
    dc_share: float = 0.0  # of the mixes, which get a constant offset
    dc: Range = (0.001, 0.05)  # its size, full scale 1, drawn in the logarithm
    clipped_share: float = 0.04  # of the mixes, whose peaks are cut off
    silence_share: float = 0.06  # of the mixes, part of which is digital silence
    expand_below_db: float = -38.0  # the target's own hiss below this, relative to its loud frames, is turned down

    def __post_init__(self) -> None:
        for item in dataclasses.fields(self):
            if item.name.endswith("_share"):
                check_share(self, item.name)
            elif item.name in ("snr_db", "speech_db", "speed", "noise_speed", "gap_s", "dc"):
                check_range(self, item.name)
        check_positive(self, "clip_s", "early_ms", "speed", "noise_speed", "gap_s", "dc", "band_limits_hz")
        check_not_negative(self, "first_clip", "speech_peaks", "noise_peaks")


@dataclass(frozen=True)
class TrainConfig:
    """The loop of any family: how many steps of which size, at which rates, and how often it logs and validates.

    decay, of the rate: linear and cosine fall to final_rate over the last decay_share of the run; step multiplies by
    gamma after every step_size validations, plateau after patience validations without a better one.
    """

    start_from: Path | None = None  # weights to go on from: the name of a shipped model, or a path; None: random ones
    start_share: float = 0.0  # of the weights that are validated and written: those of start_from, the rest as learned
    freeze: tuple[str, ...] = ()  # parts of the network that keep the weights that they begin with
    steps: int = 20000
    epochs: int = 0  # the run's length in place of steps; 0: by steps
    minutes: float = 0.0  # the run's length by the clock in place of steps, on a machine with other work; 0: by steps
    batch: int = 16  # clips side by side, over all processes of torchrun
    method: Literal["adam", "adamw", "muon"] = "adamw"  # muon: for the matrices, with AdamW for all else
    rate: float = 2e-3  # of the method, the peak; with start_from a tenth of it, as what was learned is soon lost
    vector_rate: float = 2e-3  # of AdamW beside Muon; likewise
    decay: Literal["linear", "cosine", "step", "plateau"] = "linear"
    decay_share: float = 0.5
    final_rate: float = 0.0
    gamma: float = 0.97
    step_size: int = 5
    patience: int = 3
    warm_up: int = 200  # steps from 0 to the peak
    clip_norm: float = 1.0  # of all gradients together
    weight_decay: float = 0.0
    average: float = 0.0  # decay of the running mean of the weights, which is what is validated and written; 0: none
    bf16: bool = True  # products in bfloat16, where the processor or the GPU computes with it
    early_stop: int = 0  # validations without a better one after which the run ends; 0: never
    log_every: int = 50  # steps
    evaluate_every: int = 1000  # steps: an epoch, which ends with a validation and a checkpoint
    threads: int = 0  # of torch; 0: two where two cores are idle as the run begins, else one

    def __post_init__(self) -> None:
        check_positive(self, "steps", "batch", "rate", "vector_rate", "step_size", "patience", "clip_norm", "log_every",
                       "evaluate_every")  # fmt: skip
        check_not_negative(self, "epochs", "threads", "minutes", "final_rate", "warm_up", "weight_decay", "early_stop")
        for name in ("start_share", "decay_share", "gamma", "average"):
            check_share(self, name)
        if self.start_share and self.start_from is None:
            raise ConfigError("'train.start_share' is a share of the weights of start_from, which names none")
        if self.epochs and self.minutes:
            raise ConfigError("'epochs' and 'minutes' both say how long the run is; leave one of them out")


@dataclass(frozen=True)
class StretchConfig(TrainConfig):
    """The loop of a family that learns from stretches of clips, mixed as they are needed."""

    seconds: float = 2.0  # of each clip a step; the state is carried on to the next
    processes: int = 1  # that mix; 0 mixes in the loop itself

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self, "seconds")
        check_not_negative(self, "processes")


@dataclass(frozen=True)
class RunConfig:
    """One training of any family; a family adds its own tables."""

    work_dir: Path  # checkpoints, logs and results
    data: DataConfig
    name: str = "run"
    seed: int = 1
    licence: str = "MIT"  # of the weights
    cache_dir: Path | None = None  # where the decoded audio is kept, which several runs may share; None: in work_dir
    mix: MixConfig = field(default_factory=MixConfig)
    train: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        check_seed(self.seed)
        check_run_name("name", self.name)

    @classmethod
    def read(cls, table: dict[str, Any], started: bool = False) -> Self:
        """Make the config of TOML's tables. started: the run goes on from weights, whatever the tables say."""
        return build(with_rates(table, cls, started), cls)

    def changed(self, start_from: Path | None = None, epochs: int | None = None) -> Self:
        """These settings, with other weights to start from, and another length; None: their own."""
        train = self.train
        if start_from is not None:
            train = replace(train, start_from=start_from)
        if epochs is not None:
            check_epochs(epochs)
            train = replace(train, epochs=epochs, minutes=0.0)
        return replace(self, train=train)

    @property
    def cache(self) -> Path:
        """The folder of the decoded audio."""
        return self.cache_dir or self.work_dir


def load_config(path: Path, read: Callable[[dict[str, Any]], T]) -> T:
    """Read a TOML file.

    read: makes a config of its tables, as `RunConfig.read` does. Relative paths are relative to the current folder;
    ~ and $NAME are expanded. Raises ConfigError for a file that is absent or no TOML, a setting that is unknown (naming
    the nearest known one), missing, of the wrong type or out of range.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read ({error.strerror}); give the path of a TOML file, as 'train --print-config' prints"
        ) from error
    try:
        return read(tomllib.loads(content.decode("utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def with_rates(table: dict[str, Any], kind: type[RunConfig], started: bool) -> dict[str, Any]:
    """Settings of a run that goes on from weights, with the rates that suit that where they name none."""
    chosen = table.get("train", {})
    if not isinstance(chosen, dict) or not (started or chosen.get("start_from")):
        return table
    usual = get_type_hints(kind)["train"]
    return {**table, "train": {name: START_SHARE * getattr(usual, name) for name in ("rate", "vector_rate")} | chosen}


def build(table: dict[str, Any], kind: type[T], where: str = "") -> T:
    """Make kind, a dataclass, of a table. where: the table's own name, for messages: "mix." or ""."""
    known = {item.name: item for item in dataclasses.fields(kind)}  # type: ignore[arg-type]
    hints = get_type_hints(kind)
    for key in table:
        if key not in known:
            raise unknown_setting(where, key, known)
    for name, item in known.items():
        required = item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
        if required and name not in table:
            raise ConfigError(f"the setting '{where}{name}' is missing; it has no default")
    return kind(**{key: convert(value, hints[key], where + key) for key, value in table.items()})


def unknown_setting(where: str, key: str, known: Collection[str]) -> ConfigError:
    """An error about a setting that there is not, with the nearest known one."""
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(known)}"
    return ConfigError(f"no setting called '{where}{key}'; {hint}")


def convert(value: Any, hint: Any, name: str) -> Any:
    """Make value, as TOML has it, the type that hint names; int passes for float, a string for a path."""
    origin, inner = get_origin(hint), get_args(hint)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(value, dict):
            raise ConfigError(f"'{name}' is a table of settings, [{name}], not {value!r}")
        return build(value, hint, name + ".")
    if origin in (Union, types.UnionType):  # Optional: TOML has no null, so a value is of the other type
        return convert(value, next(kind for kind in inner if kind is not type(None)), name)
    if origin is Literal:
        if value not in inner:
            raise ConfigError(f"'{name}' is one of {', '.join(map(repr, inner))}, not {value!r}")
        return value
    if origin is tuple:
        if not isinstance(value, list) or (inner[-1] is not Ellipsis and len(value) != len(inner)):
            count = "some" if inner[-1] is Ellipsis else str(len(inner))
            raise ConfigError(f"'{name}' is a list of {count} values, not {value!r}")
        return tuple(convert(item, inner[0], f"{name}[{index}]") for index, item in enumerate(value))
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:  # a whole number of hundreds of digits
            number = math.inf
        if not math.isfinite(number):
            raise ConfigError(f"'{name}' is a finite number, not {number}")
        return number
    if hint is Path and isinstance(value, str):
        return convert_path(value, name)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise ConfigError(f"'{name}' is of type {hint.__name__}, not {type(value).__name__} ({value!r})")
    return value


def convert_path(value: str, name: str) -> Path:
    """The path that a setting names, with $NAME and ~ expanded."""
    if "\0" in value:
        raise ConfigError(f"'{name}' is the path of a file or folder, not {value!r}")
    try:
        return Path(os.path.expandvars(value)).expanduser()
    except RuntimeError as error:  # ~ of a user that there is not
        raise ConfigError(f"'{name}' is {value!r}, but that home folder is not known; write it out") from error


def plain(config: Any) -> Any:
    """The settings as tables, lists, strings and numbers, as JSON and checkpoints hold them."""
    return json.loads(json.dumps(dataclasses.asdict(config), default=str))


def fingerprint(*configs: Any) -> str:
    """Twelve hex digits that change with any of the settings."""
    text = json.dumps([plain(config) if dataclasses.is_dataclass(config) else config for config in configs])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def check_seed(seed: int) -> None:
    if not 0 <= seed < 2**63:
        raise ConfigError(f"'seed' is a whole number from 0 to 2^63 - 1, not {seed}")


def check_run_name(setting: str, name: str) -> None:
    """Refuse what cannot be part of a file's name."""
    if not name.strip() or not name.isprintable() or set(name) & {"/", "\\"} or name.strip(".") == "":
        raise ConfigError(f"'{setting}' begins the names of files, so it has no / or \\, not {name!r}")


def check_epochs(epochs: int) -> None:
    if epochs < 1:
        raise ConfigError(f"--epochs is a whole number above 0, not {epochs}")


def check_share(config: Any, name: str) -> None:
    if not 0.0 <= getattr(config, name) <= 1.0:
        raise ConfigError(f"'{name}' is a share, 0 to 1, not {getattr(config, name)}")


def check_range(config: Any, name: str) -> None:
    low, high = getattr(config, name)
    if not low <= high:
        raise ConfigError(f"'{name}' is [lowest, highest], not [{low}, {high}]")


def check_positive(config: Any, *names: str) -> None:
    """Refuse what is not above 0: a number, or any of a tuple, which has at least one."""
    for name in names:
        value = getattr(config, name)
        if isinstance(value, tuple) and not (value and all(item > 0 for item in value)):
            raise ConfigError(f"'{name}' is a list of numbers above 0, not {list(value)}")
        if not isinstance(value, tuple) and not value > 0:
            raise ConfigError(f"'{name}' is above 0, not {value}")


def check_not_negative(config: Any, *names: str) -> None:
    for name in names:
        if not getattr(config, name) >= 0:
            raise ConfigError(f"'{name}' is 0 or more, not {getattr(config, name)}")
