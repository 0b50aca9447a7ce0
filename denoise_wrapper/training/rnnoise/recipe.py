"""A training's settings and the steps around it, as one TOML file has them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from denoise_wrapper.errors import ConfigError
from denoise_wrapper.training.config import (
    DataConfig,
    build,
    check_positive,
    check_seed,
    convert,
)
from denoise_wrapper.training.rnnoise.config import RNNoiseConfig


@dataclass(frozen=True)
class PrepareConfig:
    """Tables of speech and noise from folders as they are: see `prepare.prepare`."""

    folders: tuple[Path, ...] = ()  # in the layout of the DNS Challenge: clean/, and noise/ or noisy/
    speech: tuple[Path, ...] = ()  # other folders, or tables
    noise: tuple[Path, ...] = ()
    by: Literal["voice", "language"] = "voice"  # what the topmost folders of speech stand for


@dataclass(frozen=True)
class BalanceConfig:
    """Settings of a balanced choice, as many hours of each language or voice: see `balance.balance`."""

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
    """Settings of a wheel with the finished model compiled in: see `wheel.build_wheel`."""

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
    """A training and the steps around it."""

    steps: StepsConfig  # those around the training
    written: DataConfig  # [data] as it was written
    training: RNNoiseConfig  # with what the steps make of it

    @property
    def tables(self) -> tuple[Path, Path]:
        """The tables of speech and of noise that [prepare] makes."""
        folder = self.training.work_dir / "prepared"
        return folder / "speech.csv", folder / "noise.csv"

    @property
    def balanced(self) -> Path:
        """The table that [balance] makes."""
        return self.training.work_dir / "balanced.csv"

    @property
    def prepared(self) -> DataConfig:
        """The data after [prepare]."""
        if self.steps.prepare is None:
            return self.written
        speech, noise = self.tables
        return dataclasses.replace(
            self.written, speech=(*self.written.speech, speech), noise=(*self.written.noise, noise)
        )

    @property
    def chosen(self) -> DataConfig:
        """The data after [balance]."""
        if self.steps.balance is None:
            return self.prepared
        return dataclasses.replace(self.prepared, speech=(self.balanced,))

    def joined(self, kind: Literal["speech", "noise"]) -> tuple[Path, ...]:
        """The packs of a kind after [join]: joined, or themselves where they are left as they are."""
        packs: tuple[Path, ...] = getattr(self.chosen, kind)
        if self.steps.join is None or not getattr(self.steps.join, kind):
            return packs
        return tuple(self.training.work_dir / "joined" / f"{kind}-{number}" for number in range(1, len(packs) + 1))


def read_recipe(table: dict[str, Any], started: bool = False) -> Recipe:
    """Make a recipe of TOML's tables. started: its training goes on from weights, whatever the tables say."""
    names = [item.name for item in dataclasses.fields(StepsConfig)]
    steps = build({name: table.pop(name) for name in names if name in table}, StepsConfig)
    written = convert(table.get("data", {}), DataConfig, "data")
    if steps.prepare is not None:  # whatever it comes to, there will be both
        absent: dict[str, Any] = {kind: ["prepared"] for kind in ("speech", "noise") if not getattr(written, kind)}
        table = {**table, "data": {**table.get("data", {}), **absent}}
    recipe = Recipe(steps, written, RNNoiseConfig.read(table, started))
    check_steps(recipe)
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
