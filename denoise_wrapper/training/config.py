"""Settings: one TOML file becomes one frozen dataclass, and anything that does not fit is refused by name."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import math
import os
import tomllib
import types
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from denoise_wrapper.errors import ConfigError

T = TypeVar("T")
Range = tuple[float, float]
NEED_ENERGIES = ("loudness", "perceptual", "pesq")  # terms of the loss that look at the clean speech itself


@dataclass(frozen=True)
class DataConfig:
    """Where the audio is. A folder holds audio files, and perhaps a segments.csv that names voices and licences."""

    speech: tuple[Path, ...] = ()  # folders of clean speech
    noise: tuple[Path, ...] = ()  # folders of noise
    rooms: tuple[Path, ...] = ()  # folders of room impulse responses
    validation: float = 0.1  # share of the hours, by voice and by noise source, kept for validation

    def __post_init__(self) -> None:
        check_share(self, "validation")
        if not 0.0 < self.validation < 1.0:
            raise ConfigError(f"validation is the share of data kept for validation, above 0, not {self.validation}")


@dataclass(frozen=True)
class DTLNDataConfig:
    """Where the audio is: speech and noise to be mixed, pairs that were mixed before, or both; own recordings too."""

    speech: tuple[Path, ...] = ()  # folders of clean speech
    noise: tuple[Path, ...] = ()  # folders of noise
    rooms: tuple[Path, ...] = ()  # folders of room impulse responses
    pairs: tuple[Path, ...] = ()  # folders of pairs: clean/clean_fileid_N.wav, noisy/*_fileid_N.wav
    pairs_share: float = 0.5  # of the clips that are not own, if there are speech and noise to be mixed too
    pairs_db: Range = (-6.0, 6.0)  # level of a clip from pairs against the recorded one, less where it would clip
    own: tuple[Path, ...] = ()  # own recordings: folders of pairs, or with speech/ and perhaps noise/ and rooms/
    own_share: float = 0.5  # of all clips
    validation: float = 0.1  # share of the hours, by voice and by noise source, kept for validation

    def __post_init__(self) -> None:
        check_share(self, "pairs_share")
        check_share(self, "own_share")
        check_range(self, "pairs_db")
        if not 0.0 < self.validation < 1.0:
            raise ConfigError(f"'validation' is the share of data kept for validation, above 0, not {self.validation}")
        if bool(self.speech) != bool(self.noise):
            given, missing = ("speech", "noise") if self.speech else ("noise", "speech")
            raise ConfigError(f"'{given}' without '{missing}' makes no mixture; give [data] {missing} folders too")
        if not self.speech and not self.pairs:
            raise ConfigError("there is nothing to train on; give [data] speech and noise, or pairs, folders of audio")


@dataclass(frozen=True)
class MixConfig:
    """How clips are made. Shares are of clips, ranges are drawn uniformly unless it says otherwise."""

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
class FeatureConfig:
    """How much is mixed for training and for validation, and kept as features."""

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
    """Which of the two networks, and its sizes; those of the other one do not count."""

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
class TrainConfig:
    """The loop: how many steps of which size, what counts in their loss, and how often it is told and saved."""

    start_from: Path | None = None  # a model file to go on from, instead of random weights
    steps: int = 20000
    batch: int = 128  # clips side by side
    frames: int = 200  # of each clip a step; the states are carried on to the next
    method: Literal["adamw", "muon"] = "adamw"  # muon: for the matrices, with AdamW for the vectors
    rate: float = 2e-3  # of the method, the peak
    vector_rate: float = 2e-3  # of AdamW beside Muon
    final_rate: float = 1e-5  # reached on a straight line
    decay_share: float = 0.5  # of the steps, the last ones, in which the rate falls
    warm_up: int = 200  # steps from 0 to the peak
    clip_norm: float = 1.0  # of the gradient
    weight_decay: float = 0.0
    dropout: float = 0.0  # of what goes from layer to layer, while training
    average: float = 0.0  # decay of the running mean of the weights, which is what is validated and written; 0: none
    bf16: bool = True  # products over many frames in bfloat16, where the processor computes with it
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
    log_every: int = 50  # steps
    evaluate_every: int = 1000  # steps; a checkpoint is saved then too
    threads: int = 2

    def __post_init__(self) -> None:
        check_positive(self, "steps", "batch", "frames", "rate", "vector_rate", "clip_norm", "gain_power",
                       "loudness_power", "log_every", "evaluate_every", "threads")  # fmt: skip
        check_not_negative(self, "final_rate", "warm_up", "weight_decay", "fourth", "speech_weight", "loudness",
                           "over", "perceptual", "pesq", "spectral", "vad", "sharpen")  # fmt: skip
        for name in ("quantise_from", "decay_share", "dropout", "average"):
            check_share(self, name)


@dataclass(frozen=True)
class RNNoiseConfig:
    """All that one training of an RNNoise network needs."""

    work_dir: Path  # cache, features, checkpoints and results; nothing else is written
    data: DataConfig = field(default_factory=DataConfig)
    name: str = "rnnoise"
    seed: int = 1
    licence: str = "MIT"  # of the weights
    mix: MixConfig = field(default_factory=MixConfig)
    features: FeatureConfig = field(default_factory=FeatureConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    train: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        check_seed(self.seed)
        check_run_name("name", self.name)
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


def load_config(path: Path, kind: type[T]) -> T:
    """Read a TOML file into kind, a frozen dataclass.

    Relative paths in it are relative to the current folder; ~ and $NAME are expanded.
    Raises ConfigError for a file that is absent or no TOML, a setting that is unknown (naming the nearest known one),
    missing, of the wrong type or out of range.
    """
    table = load_toml(path)
    try:
        return build(table, kind, "")
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def load_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file. Raises ConfigError where it is absent or none."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}); give the path of a TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error


def build(table: dict[str, Any], kind: type[T], where: str) -> T:
    """Make kind, a dataclass, of a table. where is the table's own name, for messages: "mix." or ""."""
    known = {item.name: item for item in dataclasses.fields(kind)}  # type: ignore[arg-type]
    hints = get_type_hints(kind)
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(known)}"
            raise ConfigError(f"no setting called '{where}{key}'; {hint}")
    for name, item in known.items():
        required = item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
        if required and name not in table:
            raise ConfigError(f"the setting '{where}{name}' is missing; it has no default")
    return kind(**{key: convert(value, hints[key], where + key) for key, value in table.items()})


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
