"""All steps from audio to a wheel, in order, as one file of settings asks for them: what `train rnnoise` calls.

A step whose result is there, made with the same settings from the same files, is passed over; what was made of what is
in work_dir/steps.json.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, Literal

from denoise_wrapper.atomic import atomic_path, make_folder
from denoise_wrapper.errors import DataError
from denoise_wrapper.training.config import fingerprint, load_config, plain
from denoise_wrapper.training.data import balance, join, prepare
from denoise_wrapper.training.data.check import has_noise
from denoise_wrapper.training.data.packs import held_out_names, open_pack
from denoise_wrapper.training.rnnoise.config import RNNoiseConfig
from denoise_wrapper.training.rnnoise.recipe import Recipe, StepsConfig, read_recipe
from denoise_wrapper.training.run import wheel
from denoise_wrapper.training.run.card import sha256

Name = tuple[str, ...]  # of a setting: its table, and it
# No result depends on these.
FREE = {
    ("cache_dir",),
    ("features", "processes"),
    ("train", "threads"),
    ("train", "log_every"),
    ("train", "evaluate_every"),
}
RECORD = "steps.json"


def load(path: Path, start_from: Path | None = None, epochs: int | None = None, resume: bool = False) -> Recipe:
    """Read a recipe from a TOML file.

    start_from, epochs: in place of its own. resume: of a run that has begun, with the weights that it began with where
    nothing names others.
    """
    checkpoint = train_module().CHECKPOINT  # whose packages may be absent
    from denoise_wrapper.training.run.start import begun_with

    recipe = load_config(path, lambda table: read_recipe(table, start_from is not None))
    if resume and start_from is None and recipe.training.train.start_from is None:
        start_from = begun_with(recipe.training.work_dir / checkpoint)
        if start_from is not None:
            recipe = load_config(path, lambda table: read_recipe(table, started=True))
    return dataclasses.replace(recipe, training=recipe.training.changed(start_from, epochs))


def main(recipe: Recipe, resume: bool = False, profile: bool = False, toml: str | None = None) -> int:
    """Take all steps of a recipe. Returns 0 when all is done, 1 when the training was interrupted.

    resume: go on with a training that was interrupted. profile: take a few steps of the training alone, print what they
    consist of, and keep nothing. toml: the recipe as the user wrote it, which is kept with a training that stands
    alone; one with steps around it keeps its own settings, with the data that the steps made. Raises DenoiseError of
    each kind.
    """
    if profile:
        return int(train_module().main(recipe.training, profile=True))
    check_early(recipe)
    steps = make_data(recipe)
    features_step(recipe, steps)
    if train_step(recipe, steps, resume, toml if recipe.steps == StepsConfig() else None):
        return 1
    compare_step(recipe, steps)
    wheel_step(recipe, steps)
    return 0


def make_data(recipe: Recipe) -> Steps:
    """Take the steps before the features that settings name: [prepare], [balance] and [join]; returns their record."""
    make_folder(recipe.training.work_dir)
    steps = Steps(recipe.training.work_dir / RECORD)
    prepare_step(recipe, steps)
    balance_step(recipe, steps)
    join_step(recipe, steps)
    return steps


def export(recipe: Recipe, target: Path) -> list[Path]:
    """Write the model and its card from the last checkpoint of a run into the folder target; returns the files."""
    return train_module().export(recipe.training, target)  # type: ignore[no-any-return]


def check_early(recipe: Recipe) -> None:
    """Refuse before the training what would be refused after it."""
    if recipe.steps.compare is not None:
        from denoise_wrapper.compare import parse_candidate
        from denoise_wrapper.compare.clips.sets import read_set
        from denoise_wrapper.compare.measure.metrics import check_resampler

        check_resampler()
        read_set(recipe.steps.compare.set)
        other = parse_candidate(recipe.steps.compare.against)
        if other.cleaned:
            other.open()
    if recipe.steps.wheel is not None:
        wheel.find_tree(recipe.steps.wheel.source)


class Steps:
    """Record of the steps: for each the fingerprint of its settings and of the files that went into it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.made: dict[str, str] = {}
        if path.is_file():
            try:
                self.made = dict(json.loads(path.read_text(encoding="utf-8")))
            except (OSError, ValueError, TypeError):
                say(f"{path} is damaged, so all steps are taken again")

    def take(self, name: str, key: str, results: Sequence[Path], make: Callable[[], str]) -> bool:
        """Make results unless they are there and were made with that key; make returns what to say. Returns if it did.

        A step that is interrupted or fails is taken again next time.
        """
        if self.made.get(name) == key and all(path.exists() for path in results):
            say(f"{name}: unchanged, {', '.join(map(str, results))}")
            return False
        say(f"{name}: begins")
        self.note(name, "")
        message = make()
        self.note(name, key)
        say(f"{name}: {message}")
        return True

    def note(self, name: str, key: str) -> None:
        """Remember that a step is done, or with "" that its result is not to be relied on."""
        self.made[name] = key
        with atomic_path(self.path, overwrite=True) as part:
            part.write_text(json.dumps(self.made, indent=1) + "\n", encoding="utf-8")


def say(line: str) -> None:
    print(line, file=sys.stderr)


def state(*paths: Path) -> list[list[Any]]:
    """Name, size and time of files, and of all audio of packs: what changes when they do. Of tables, what they say."""
    files: list[Path] = []
    entries: list[list[Any]] = []
    for path in paths:
        if path.is_dir() or path.suffix.lower() == ".csv":
            pack = open_pack(path)
            entries += [[str(pack.table), sha256(pack.table)]] if pack.table else []
            files += pack.files.values()
        else:
            files.append(path)
    for file in files:
        facts = file.stat()
        entries.append([str(file), facts.st_size, facts.st_mtime_ns])
    return entries


def prepare_step(recipe: Recipe, steps: Steps) -> None:
    config = recipe.steps.prepare
    if config is None:
        return
    parts = [prepare.check_layout(folder) / "clean" for folder in config.folders]
    parts += [folder / ("noise" if has_noise(folder) else "noisy") for folder in config.folders]
    key = fingerprint(config, state(*parts, *config.speech, *config.noise))

    def make() -> str:
        target = recipe.tables[0].parent
        tables = prepare.prepare(target, config.folders, config.speech, config.noise, config.by, overwrite=True)
        lines = [line for part in tables for line in prepare.prepared_lines(part)]
        return "; ".join(lines)

    steps.take("prepare", key, recipe.tables, make)


def balance_step(recipe: Recipe, steps: Steps) -> None:
    config = recipe.steps.balance
    if config is None:
        return
    (source,) = recipe.prepared.speech

    def make() -> str:
        pack = open_pack(source)
        shares = balance.balance(pack, config.by, config.hours, config.seed)
        balance.write_table(pack, shares, config.by, recipe.balanced, overwrite=True)
        return "\n    ".join(["", *balance.balance_lines(shares, config.by)])

    steps.take("balance", fingerprint(config, state(source)), [recipe.balanced], make)


def join_step(recipe: Recipe, steps: Steps) -> None:
    kinds: tuple[Literal["speech", "noise"], ...] = ("speech", "noise")
    for kind in kinds:
        packs: tuple[Path, ...] = getattr(recipe.chosen, kind)
        for source, target in zip(packs, recipe.joined(kind), strict=True):
            if source == target:  # it is left as it is
                continue

            def make(source: Path = source, target: Path = target) -> str:
                shutil.rmtree(target, ignore_errors=True)
                joined = join.join(open_pack(source), target)
                hours = joined.seconds / 3600.0
                return f"{joined.recordings} recordings, {hours:.3f} h, in {joined.files} files of {target}"

            steps.take(f"join {target.name}", fingerprint(join.RATE, state(source)), [target], make)


def features_step(recipe: Recipe, steps: Steps) -> None:
    """Make the feature file, unless it is one that somebody else has made."""
    config = recipe.training
    file = config.features.file
    if file is None:
        return
    if file.exists() and "features" not in steps.made:
        say(f"features: {file} is given")
        return
    if not (config.data.speech and config.data.noise):
        if file.exists():
            say(f"features: {file} is given")
            return
        raise DataError(f"there is no feature file {file}, and [data] names no speech and noise to make it of")
    packs = state(*config.data.speech, *config.data.noise)
    left_out = held_out_names((*config.data.speech, *config.data.noise, *config.data.rooms))
    settings = [config.data, config.mix, config.seed, config.network.family, config.features.hours, packs]
    key = fingerprint(*settings, *([left_out] if left_out else []))

    def make() -> str:
        from denoise_wrapper.training.rnnoise.extract import extract_features

        rows = extract_features(config, file, overwrite=True)
        return f"{rows} rows in {file}"

    steps.take("features", key, [file], make)


def train_step(recipe: Recipe, steps: Steps, resume: bool, toml: str | None) -> bool:
    """Train and write the model; True if it was interrupted."""
    config, train = recipe.training, train_module()
    file = config.features.file
    made = {name: key for name, key in steps.made.items() if name not in ("train", "compare", "wheel")}
    key = fingerprint(without(plain(config), FREE), made, state(file) if file is not None else [])
    begun = (config.work_dir / train.CHECKPOINT).exists()
    if resume and not begun and recipe.steps != StepsConfig():  # an earlier step was interrupted
        say("train: there is no checkpoint yet, so it begins anew")
        resume = False

    def make() -> str:
        if train.main(config, resume, toml=toml):
            raise Interrupted
        return f"{model_path(config)}"

    try:
        steps.take("train", key, [model_path(config)], make)
    except Interrupted:
        return True
    return False


def without(settings: dict[str, Any], names: Collection[Name]) -> dict[str, Any]:
    """Settings as `plain` gives them, but some."""
    return {
        key: without(value, {name[1:] for name in names if name[0] == key}) if isinstance(value, dict) else value
        for key, value in settings.items()
        if (key,) not in names
    }


class Interrupted(Exception):
    """The training was stopped and has saved itself."""


def train_module() -> Any:
    from denoise_wrapper.training.rnnoise import train

    return train


def model_path(config: RNNoiseConfig) -> Path:
    return config.work_dir / f"{config.name}.dnnw"


def compare_step(recipe: Recipe, steps: Steps) -> None:
    """Measure the model and another; the model's card is written again with what it reached."""
    config, training = recipe.steps.compare, recipe.training
    if config is None:
        return
    from denoise_wrapper.backends.convert import fingerprint as weights
    from denoise_wrapper.backends.convert import read_any_model
    from denoise_wrapper.compare import Candidate, evaluate
    from denoise_wrapper.compare.clips.sets import read_set
    from denoise_wrapper.compare.export import write_clips
    from denoise_wrapper.compare.tables import format_pair
    from denoise_wrapper.progress import stages

    model, table, text = (model_path(training), training.work_dir / "quality.csv", training.work_dir / "compare.txt")
    standard = sha256(Path(config.against)) if Path(config.against).is_file() else weights(read_any_model(None))
    clips = [path for clip in read_set(config.set) for path in (clip.clean, clip.noisy) if path is not None]
    key = fingerprint(config, sha256(model), standard, state(*clips))

    def make() -> str:
        with stages(quiet=False) as report:
            ours = Candidate(model.stem, "rnnoise", model)
            both = evaluate(config.set, [ours, config.against], jobs=config.jobs, progress=report)
        with atomic_path(table, overwrite=True) as part, part.open("w", newline="", encoding="utf-8") as stream:
            write_clips(dataclasses.replace(both, results=both.results[:1]), stream)
        lines = format_pair(both)
        with atomic_path(text, overwrite=True) as part:
            part.write_text(lines + "\n", encoding="utf-8")
        train_module().export(training, training.work_dir)  # its card quotes the table
        print(lines)
        return f"{table}, {text}"

    if not steps.take("compare", key, [table, text], make):
        print(text.read_text(encoding="utf-8"), end="")


def wheel_step(recipe: Recipe, steps: Steps) -> None:
    config, training = recipe.steps.wheel, recipe.training
    if config is None:
        return
    tree = wheel.find_tree(config.source)
    key = fingerprint(sha256(model_path(training)), training.name, state(*wheel.tree_files(tree)))
    target = training.work_dir / "wheel"

    def make() -> str:
        return str(wheel.build_wheel(model_path(training), target, tree, training.name, overwrite=True))

    steps.take("wheel", key, [target], make)
