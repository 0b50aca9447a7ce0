"""A run's weights as what is shipped: the ONNX pair, its card, and a picture of how the training went."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from denoise_wrapper.atomic import atomic_path, make_folder
from denoise_wrapper.training.config import DTLNDataConfig, plain
from denoise_wrapper.training.dtln.config import DTLNConfig
from denoise_wrapper.training.dtln.export import export_pair
from denoise_wrapper.training.dtln.importers import import_network
from denoise_wrapper.training.dtln.lineage import LOG, Stage, describe, history
from denoise_wrapper.training.run import card
from denoise_wrapper.training.run.curves import draw_course

LOSSES = ("step", "hours", "loss", "snr_db", "validation_loss", "validation_snr_db", "validation_magnitude")
CURVES = {"snr_db": "signal to error, dB", "magnitude": "error of compressed spectra"}  # not the loss: weights differ


def publish(config: DTLNConfig, target: Path) -> list[Path]:
    """Write NAME_1.onnx, NAME_2.onnx, NAME.md and NAME.png of a run into the folder target.

    NAME is the run's experiment_name; the weights are those of `[trainer] export_from`. The card quotes what
    `denoise-wrapper evaluate --csv` wrote into the run's folder as quality*.csv. Files that are there are replaced.
    Raises ConfigError, FileError, ModelError.
    """
    name = config.meta.experiment_name
    checkpoint = config.run_dir / f"checkpoints/{config.trainer.export_from}.pt"
    network, _ = import_network([checkpoint])
    course = history(checkpoint)
    origin = describe(course)
    make_folder(target)
    pair = (target / f"{name}_1.onnx", target / f"{name}_2.onnx")
    notes = {
        "sample_rate": str(config.audio.samplerate),
        "name": name,
        "licence": config.meta.licence,
        "origin": origin,
    }
    export_pair(network, *pair, notes, overwrite=True, half=True)
    picture, text = target / f"{name}.png", target / f"{name}.md"
    draw_course([(stage.name, stage.hours, stage.log) for stage in course], CURVES, picture)
    with atomic_path(text, overwrite=True) as temporary:
        temporary.write_text(model_card(config, course, list(pair), picture), encoding="utf-8")
    return [*pair, text, picture]


def model_card(config: DTLNConfig, course: list[Stage], files: list[Path], picture: Path) -> str:
    """Markdown: what the pair is, what it was trained on, how, and what it reached."""
    model = config.model
    others = [stage.name for stage in course if not stage.steps]
    parts = [
        f"# {config.meta.experiment_name}\n",
        f"A DTLN for {config.audio.samplerate} Hz, blocks of {model.frame_length} samples every {model.hop_length}, "
        f"{model.hidden_size} units a layer, {describe(course)}.\n",
        f"Licence of the weights: {config.meta.licence}."
        + (f" It began as {', '.join(others)}.\n" if others else " No weights of others went into it.\n"),
        card.files_section(files),
        card.quality_section(config.run_dir),
        card.audio_section(audio_heard(config.data)),
        card.losses_section(config.run_dir / LOG, LOSSES),
        f"![course of the training]({picture.name})\n",
        card.settings_section(settings(config)),
    ]
    return "\n".join(parts)


def audio_heard(data: DTLNDataConfig) -> dict[str, tuple[Path, ...]]:
    """The folders of each kind of audio that a run learns from; of pairs, the noisy side stands for both."""
    own = [folder / part for folder in data.own for part in ("noisy", "speech", "noise")]
    kinds = {
        "Speech": data.speech,
        "Noise": data.noise,
        "Pairs": tuple(folder / "noisy" for folder in data.pairs),
        "Own recordings": tuple(folder for folder in own if folder.is_dir()),
    }
    return {kind: folders for kind, folders in kinds.items() if folders}


def settings(config: DTLNConfig) -> dict[str, Any]:
    """All settings, defaults too; files and folders by their last name."""
    tables: dict[str, Any] = plain(config)
    del tables["meta"]["save_model_dir"]
    for table, names in tables.items():
        for key, value in names.items():
            kept = getattr(getattr(config, table), key)
            if isinstance(kept, Path):
                names[key] = kept.name
            elif isinstance(value, list) and any(isinstance(item, Path) for item in kept):
                names[key] = [path.name for path in kept]
    return tables
