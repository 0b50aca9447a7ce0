"""A run's weights as what is shipped: the ONNX pair, its card, and a picture of how the training went."""

from __future__ import annotations

from pathlib import Path

from denoise_wrapper.atomic import atomic_path, make_folder
from denoise_wrapper.training.dtln.config import DTLNConfig, stored
from denoise_wrapper.training.dtln.export import export_pair
from denoise_wrapper.training.dtln.importers import import_network
from denoise_wrapper.training.run import card
from denoise_wrapper.training.run.checkpoint import LOG
from denoise_wrapper.training.run.curves import draw_course
from denoise_wrapper.training.run.lineage import Stage, describe, history

LOSSES = ("step", "hours", "loss", "snr_db", "validation_loss", "validation_snr_db", "validation_magnitude")
CURVES = {"snr_db": "signal to error, dB", "magnitude": "error of compressed spectra"}  # not the loss: weights differ


def publish(config: DTLNConfig, target: Path) -> list[Path]:
    """Write NAME_1.onnx, NAME_2.onnx, NAME.md and NAME.png of a run into the folder target.

    NAME is the run's; the weights are those of `[train] export_from`. The card quotes what
    `denoise-wrapper evaluate --csv` wrote into the run's folder as quality*.csv. Files that are there are replaced.
    Raises ConfigError, FileError, ModelError.
    """
    name = config.name
    checkpoint = config.work_dir / f"checkpoints/{config.train.export_from}.pt"
    network, _ = import_network([checkpoint])
    course = history(checkpoint, stored)
    origin = describe(course)
    make_folder(target)
    pair = (target / f"{name}_1.onnx", target / f"{name}_2.onnx")
    notes = {
        "sample_rate": str(config.sample_rate),
        "name": name,
        "licence": config.licence,
        "origin": origin,
    }
    export_pair(network, *pair, notes, overwrite=True, half=True)
    picture, text = target / f"{name}.png", target / f"{name}.md"
    draw_course([(stage.name, stage.hours, stage.log) for stage in course], CURVES, picture)
    with atomic_path(text, overwrite=True) as temporary:
        temporary.write_text(model_card(config, course, list(pair), picture), encoding="utf-8")
    return [*pair, text, picture]


def model_card(config: DTLNConfig, course: list[Stage], files: list[Path], picture: Path) -> str:
    """Markdown: the pair, the audio that it was trained on, the settings, and the results."""
    sizes = config.network
    others = [stage.name for stage in course if not stage.steps]
    parts = [
        f"# {config.name}\n",
        f"A DTLN for {config.sample_rate} Hz, blocks of {sizes.frame_length} samples every {sizes.hop_length}, "
        f"{sizes.hidden_size} units a layer, {describe(course)}.\n",
        f"Licence of the weights: {config.licence}."
        + (f" It began as {', '.join(others)}.\n" if others else " No weights of others went into it.\n"),
        card.files_section(files),
        card.quality_section(config.work_dir),
        card.audio_section(card.audio_heard(config.data)),
        card.losses_section(config.work_dir / LOG, LOSSES),
        f"![course of the training]({picture.name})\n",
        card.settings_section(config),
    ]
    return "\n".join(parts)
