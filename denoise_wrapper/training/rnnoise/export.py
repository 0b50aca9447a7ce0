"""A trained network as files: the model in each form, and the card that says where it comes from."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

from denoise_wrapper.atomic import atomic_path, make_folder
from denoise_wrapper.backends.convert import read_any_model, write_model
from denoise_wrapper.training.rnnoise.config import NetworkConfig, RNNoiseConfig
from denoise_wrapper.training.rnnoise.model import ClassicNetwork
from denoise_wrapper.training.rnnoise.v02 import V02Network
from denoise_wrapper.training.run import card
from denoise_wrapper.training.run.curves import draw_course

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
    origin = f"trained {begun.words}, {step} steps, {hours:.0f} h heard"
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


class Beginning(NamedTuple):
    """The weights that a training began with: in words, and the runs before it whose logs lie beside their models."""

    words: str
    stages: list[tuple[str, float, str]]

    @staticmethod
    def of(start: Path | None) -> Beginning:
        """start: the model file that it went on from."""
        if start is None:
            return Beginning("from nothing", [])
        about = read_any_model(start).metadata
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
        card.audio_section({"Speech": config.data.speech, "Noise": config.data.noise}),
        card.losses_section(config.work_dir / LOG, LOSSES),
        *([f"![course of the training]({picture.name})\n"] if picture.is_file() else []),
        card.settings_section(config),
    ]
    return "\n".join(parts)


def described(network: NetworkConfig) -> str:
    """The network in words."""
    if network.family == "classic":
        return "The classic RNNoise network (48 kHz, 10 ms frames, 22 bands)"
    return (
        "The network of RNNoise 0.2 (48 kHz, 10 ms frames, 32 bands, one frame of look-ahead, int8) with "
        f"{network.conv} units in its first convolution and {network.units} in the second and in each of three GRUs"
    )
