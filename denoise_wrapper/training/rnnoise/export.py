"""A trained network as files: the model in each form, and the card that says where it comes from."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from denoise_wrapper.atomic import atomic_path, make_folder
from denoise_wrapper.backends.convert import ClassicModel, V02Model, read_any_model, write_model
from denoise_wrapper.errors import FileError
from denoise_wrapper.training.mix.mixing import HOPS_PER_SECOND
from denoise_wrapper.training.rnnoise.config import NetworkConfig, RNNoiseConfig
from denoise_wrapper.training.rnnoise.feature_files import open_rows
from denoise_wrapper.training.rnnoise.model import ClassicNetwork
from denoise_wrapper.training.rnnoise.v02 import V02Network
from denoise_wrapper.training.run import card
from denoise_wrapper.training.run.checkpoint import config_of, load_checkpoint
from denoise_wrapper.training.run.curves import draw_course
from denoise_wrapper.training.run.start import find_start

LOG = "log.csv"
LOSSES = ("step", "hours", "loss", "validation_loss", "validation_gain", "validation_voice_right")
CURVES = {"gain": "error of the gains", "pesq": "points lost, as PESQ", "perceptual": "points lost, strictly"}


def export_network(config: RNNoiseConfig, network: ClassicNetwork | V02Network, step: int, target: Path) -> list[Path]:
    """Write NAME.dnnw, NAME.rnnn and rnn_data.c with rnn_data.h (NAME.bin and NAME.dnnw.c of a v0.2 network), the card
    NAME.md and its picture NAME.png into the folder target, over older ones.

    step: how far the training came. The card takes its losses from the log in work_dir, and what was measured from
    quality*.csv there, as `denoise-wrapper evaluate --csv` writes it, if there is one.
    """
    make_folder(target)
    hours = config.train.batch * config.train.frames / 360000.0 * step
    begun = Beginning.of(config.train.start_from)
    origin = f"trained {begun.words}, {step} steps, {card.hours_in_words(hours)} of audio"
    model = network.to_model({"name": config.name, "licence": config.licence, "origin": origin, "seed": config.seed})
    classic = config.network.family == "classic"
    forms = [f"{config.name}.{'rnnn' if classic else 'bin'}", "rnn_data.c" if classic else f"{config.name}.dnnw.c"]
    paths = [
        path for name in (f"{config.name}.dnnw", *forms) for path in write_model(model, target / name, overwrite=True)
    ]
    text, picture = target / f"{config.name}.md", target / f"{config.name}.png"
    log = config.work_dir / LOG
    if log.is_file():
        drawn = log.read_text(encoding="utf-8")
        curves = {name: label for name, label in CURVES.items() if not is_idle(drawn, name)}
        draw_course([*begun.stages, (config.name, hours, drawn)], curves, picture)
    with atomic_path(text, overwrite=True) as temporary:
        temporary.write_text(model_card(config, origin, paths[:2], picture), encoding="utf-8")
    return [*paths, text, *([picture] if picture.is_file() else [])]


def read_start(name: Path) -> ClassicModel | V02Model:
    """Read the model that a training goes on from: a shipped one by name, a model file, or a run.

    Of a run's folder it is the NAME.dnnw in it, or else its checkpoint. Raises FileError or ModelError.
    """
    path = find_start(name)
    if path.is_dir():
        models = sorted(path.glob("*.dnnw"))
        if len(models) > 1:
            raise FileError(f"{path} holds several models: {', '.join(each.name for each in models)}; name one of them")
        path = models[0] if models else path / "checkpoint.pt"
    return read_checkpoint(path) if path.suffix == ".pt" else read_any_model(path)


def read_checkpoint(path: Path) -> ClassicModel | V02Model:
    """The averaged network of a checkpoint."""
    content = load_checkpoint(path)
    config = config_of(path, content, RNNoiseConfig.read)
    assert isinstance(config, RNNoiseConfig)
    kind: type[ClassicNetwork | V02Network] = ClassicNetwork if config.network.family == "classic" else V02Network
    network = kind(config.network)
    network.load_state_dict(content["network"])
    return network.to_model({"name": config.name, "licence": config.licence})


def network_of(model: ClassicModel | V02Model) -> NetworkConfig:
    """The settings of a network of a model's family and sizes."""
    if isinstance(model, V02Model):
        outputs = {each.name: each.outputs for each in model.layers}
        return NetworkConfig(family="v0.2", conv=outputs["conv1"], units=outputs["conv2"])
    dense, vad, noise, denoise, *_ = model.layers
    activations = tuple(layer.activation for layer in (vad, noise, denoise))
    return NetworkConfig("classic", dense.units, vad.units, noise.units, denoise.units, activations)  # type: ignore[arg-type]


def fitted(config: RNNoiseConfig) -> RNNoiseConfig:
    """Settings whose network, where they say nothing of it, is that of the model to start from."""
    if config.train.start_from is None or config.network != NetworkConfig():
        return config
    return replace(config, network=network_of(read_start(config.train.start_from)))


class Beginning(NamedTuple):
    """The weights that a training began with: in words, and the runs before it whose logs lie beside their models."""

    words: str
    stages: list[tuple[str, float, str]]

    @staticmethod
    def of(start: Path | None) -> Beginning:
        """start: the model file that it went on from."""
        if start is None:
            return Beginning("from nothing", [])
        start = find_start(start)
        about = read_start(start).metadata
        words = f"on from {about.get('name', start.name)}"
        words += f" ({about['origin']})" if about.get("origin") else ""
        log = start.parent / LOG
        if not log.is_file():
            return Beginning(words, [])
        text = log.read_text(encoding="utf-8")
        hours = [float(row["hours"]) for row in csv.DictReader(text.splitlines())]
        return Beginning(words, [(about.get("name", start.stem), hours[-1], text)] if hours else [])


def is_idle(log: str, column: str) -> bool:
    """True if a term of the loss was never counted, or is not in the log."""
    return not any(float(row.get(column) or 0.0) for row in csv.DictReader(log.splitlines()))


def model_card(config: RNNoiseConfig, origin: str, files: list[Path], picture: Path) -> str:
    """Markdown: the model, the audio that it was trained on, the settings, and the results."""
    parts = [
        f"# {config.name}\n",
        f"{described(config.network)}, {origin}.\n",
        f"Licence of the weights: {config.licence}. No weights of others went into it.\n"
        if config.train.start_from is None
        else f"Licence of the weights: {config.licence}, and that of {config.train.start_from.name}.\n",
        card.files_section(files),
        card.quality_section(config.work_dir),
        card.audio_section({"Speech": config.data.speech, "Noise": config.data.noise})
        if config.features.file is None
        else feature_section(config.features.file, config.network.family),
        card.losses_section(config.work_dir / LOG, LOSSES),
        *([f"![course of the training]({picture.name})\n"] if picture.is_file() else []),
        card.settings_section(config, () if config.features.file is None else ("data", "mix")),
    ]
    return "\n".join(parts)


def feature_section(path: Path, family: str) -> str:
    """The feature file that a training learned from, which says nothing of the audio that it was made of."""
    rows = len(open_rows(path, family))
    hours = card.hours_in_words(rows / 3600.0 / HOPS_PER_SECOND)
    lines = ["## Features it learned from\n", "| file | rows of 10 ms | length | sha256 |", "| --- | --- | --- | --- |"]
    lines += [f"| {path.name} | {rows} | {hours} | `{card.sha256(path)}` |", ""]
    lines.append("With the validation's share, the last tenth. The file does not say what audio it was made of.\n")
    return "\n".join(lines)


def described(network: NetworkConfig) -> str:
    """The network in words."""
    if network.family == "classic":
        return "The classic RNNoise network (48 kHz, 10 ms frames, 22 bands)"
    return (
        "The network of RNNoise 0.2 (48 kHz, 10 ms frames, 32 bands, one frame of look-ahead, int8) with "
        f"{network.conv} units in its first convolution and {network.units} in the second and in each of three GRUs"
    )
