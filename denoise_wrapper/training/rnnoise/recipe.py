"""A training's settings and the steps around it, as one TOML file has them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from denoise_wrapper.errors import ConfigError
from denoise_wrapper.training.config import (
    DataConfig,
    RNNoiseConfig,
    build,
    check_positive,
    check_seed,
    convert,
    load_toml,
)


@dataclass(frozen=True)
class PrepareConfig:
    """Tables of speech and noise from folders as they are: see `prepare.prepare`."""

    folders: tuple[Path, ...] = ()  # in the layout of the DNS Challenge: clean/, and noise/ or noisy/
    speech: tuple[Path, ...] = ()  # other folders, or tables
    noise: tuple[Path, ...] = ()
    by: Literal["voice", "language"] = "voice"  # what the topmost folders of speech stand for


@dataclass(frozen=True)
class BalanceConfig:
    """As many hours of each language or voice: see `balance.balance`."""

    by: Literal["language", "voice", "folder"] = "language"
    hours: float | None = None  # of each; as many as the smallest has if it is not given
    seed: int = 1

    def __post_init__(self) -> None:
        check_seed(self.seed)
        if self.hours is not None:
            check_positive(self, "hours")


@dataclass(frozen=True)
class JoinConfig:
    """Mono at 48 kHz, in long files: see `join.join`."""

    speech: bool = True
    noise: bool = True


@dataclass(frozen=True)
class CompareConfig:
    """The finished model on a set of clips, beside another: see `compare.evaluate`."""

    set: Path  # a folder with clean/ and noisy/
    against: str = "standard"  # the model compiled in; or a model file, or the name of a backend
    jobs: int = 1  # processes

    def __post_init__(self) -> None:
        check_positive(self, "jobs")


@dataclass(frozen=True)
class WheelConfig:
    """This package with the finished model compiled in: see `wheel.build_wheel`."""

    source: Path | None = None  # the source tree; the one that this runs from if it is not given


@dataclass(frozen=True)
class StepsConfig:
    """The steps around the training; those that are not named are not taken."""

    prepare: PrepareConfig | None = None
    balance: BalanceConfig | None = None
    join: JoinConfig | None = None
    compare: CompareConfig | None = None
    wheel: WheelConfig | None = None


@dataclass(frozen=True)
class Recipe:
    """steps: those around the training. given: [data] as it was written. training: with what the steps make of it."""

    steps: StepsConfig
    given: DataConfig
    training: RNNoiseConfig

    @property
    def tables(self) -> tuple[Path, Path]:
        """What [prepare] makes: the tables of speech and of noise."""
        folder = self.training.work_dir / "prepared"
        return folder / "speech.csv", folder / "noise.csv"

    @property
    def balanced(self) -> Path:
        """What [balance] makes."""
        return self.training.work_dir / "balanced.csv"

    @property
    def prepared(self) -> DataConfig:
        """The data after [prepare]."""
        if self.steps.prepare is None:
            return self.given
        speech, noise = self.tables
        return dataclasses.replace(self.given, speech=(*self.given.speech, speech), noise=(*self.given.noise, noise))

    @property
    def chosen(self) -> DataConfig:
        """The data after [balance]."""
        if self.steps.balance is None:
            return self.prepared
        return dataclasses.replace(self.prepared, speech=(self.balanced,))

    def joined(self, kind: Literal["speech", "noise"]) -> tuple[Path, ...]:
        """What [join] makes of each pack of a kind; the packs themselves where they are left as they are."""
        packs: tuple[Path, ...] = getattr(self.chosen, kind)
        if self.steps.join is None or not getattr(self.steps.join, kind):
            return packs
        return tuple(self.training.work_dir / "joined" / f"{kind}-{number}" for number in range(1, len(packs) + 1))


def read_recipe(path: Path) -> Recipe:
    """The steps and settings of a TOML file. Raises ConfigError as `config.load_config` does."""
    table = load_toml(path)
    names = [item.name for item in dataclasses.fields(StepsConfig)]
    try:
        steps = build({name: table.pop(name) for name in names if name in table}, StepsConfig, "")
        given = convert(table.get("data", {}), DataConfig, "data")
        if steps.prepare is not None:  # whatever it finds, there will be both
            absent: dict[str, Any] = {kind: ["prepared"] for kind in ("speech", "noise") if not getattr(given, kind)}
            table = {**table, "data": {**table.get("data", {}), **absent}}
        recipe = Recipe(steps, given, build(table, RNNoiseConfig, ""))
        check_steps(recipe)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    data = dataclasses.replace(recipe.chosen, speech=recipe.joined("speech"), noise=recipe.joined("noise"))
    return dataclasses.replace(recipe, training=dataclasses.replace(recipe.training, data=data))


def check_steps(recipe: Recipe) -> None:
    """Raises ConfigError for steps that have nothing to work on, or too much."""
    if recipe.steps.balance is not None and len(recipe.prepared.speech) != 1:
        packs = ", ".join(map(str, recipe.prepared.speech)) or "none"
        raise ConfigError(
            f"[balance] takes one folder or table of speech, not {packs}; name several in [prepare] speech, which "
            "makes one table of them"
        )
