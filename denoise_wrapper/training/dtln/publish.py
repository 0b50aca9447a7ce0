"""A run's weights as what is shipped: the ONNX pair, its card, and a picture of how the losses went."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from denoise_wrapper.atomic import atomic_path
from denoise_wrapper.errors import ConfigError
from denoise_wrapper.training import card
from denoise_wrapper.training.config import plain
from denoise_wrapper.training.data import make_folder
from denoise_wrapper.training.dtln.config import DTLNConfig
from denoise_wrapper.training.dtln.export import export_pair
from denoise_wrapper.training.dtln.importers import import_network
from denoise_wrapper.training.loop import load_checkpoint

CHECKPOINT, LOG = "checkpoints/best.pt", "logs/log.csv"
LOSSES = ("step", "hours", "loss", "snr_db", "validation_loss", "validation_snr_db", "validation_magnitude")
WINDOW = 20  # lines of the log; the curve of the training is a mean over so many


def publish(config: DTLNConfig, target: Path) -> list[Path]:
    """Write NAME_1.onnx, NAME_2.onnx, NAME.md and NAME.png of the best weights of a run into the folder target.

    NAME is the run's experiment_name. The card quotes what `denoise-wrapper evaluate --csv` wrote into the run's folder
    as quality*.csv. Files that are there are replaced. Raises ConfigError, FileError, ModelError.
    """
    name = config.meta.experiment_name
    network, _ = import_network([config.run_dir / CHECKPOINT])
    step = load_checkpoint(config.run_dir / CHECKPOINT)["progress"]["step"]
    origin = describe(config, step)
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
    draw_losses(config.run_dir / LOG, picture, name)
    with atomic_path(text, overwrite=True) as temporary:
        temporary.write_text(model_card(config, origin, list(pair), picture), encoding="utf-8")
    return [*pair, text, picture]


def describe(config: DTLNConfig, step: int) -> str:
    """Where the weights come from, in one line."""
    begun = "from nothing" if (path := config.meta.preload_model_path) is None else f"on from {path.stem}"
    heard = config.meta.batch_size * config.audio.duration * step / 3600.0
    return f"trained {begun} on mixtures made while it learned, {step} steps, {heard:.0f} h heard"


def model_card(config: DTLNConfig, origin: str, files: list[Path], picture: Path) -> str:
    """Markdown: what the pair is, what it was trained on, how, and what it reached."""
    model = config.model
    alone = config.meta.preload_model_path is None
    parts = [
        f"# {config.meta.experiment_name}\n",
        f"A DTLN for {config.audio.samplerate} Hz, blocks of {model.frame_length} samples every {model.hop_length}, "
        f"{model.hidden_size} units a layer, {origin}.\n",
        f"Licence of the weights: {config.meta.licence}."
        + (" No weights of others went into it.\n" if alone else f" {config.meta.preload_model_path} came before.\n"),
        card.files_section(files),
        card.quality_section(config.run_dir),
        card.audio_section({"Speech": config.data.speech, "Noise": config.data.noise}),
        card.losses_section(config.run_dir / LOG, LOSSES),
        f"![losses]({picture.name})\n",
        card.settings_section(settings(config)),
    ]
    return "\n".join(parts)


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


def draw_losses(log: Path, target: Path, title: str) -> None:
    """A PNG of the losses and of the signal-to-error ratio over the hours heard."""
    try:
        import matplotlib.figure
    except ModuleNotFoundError as error:
        raise ConfigError(
            "the picture of the losses needs matplotlib: pip install 'denoise-wrapper[training]'"
        ) from error
    with log.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    validated = [row for row in rows if row.get("validation_loss")]
    figure = matplotlib.figure.Figure(figsize=(9.0, 3.4), layout="constrained")
    for axes, column, label in zip(
        figure.subplots(1, 2), ("loss", "snr_db"), ("loss", "signal to error, dB"), strict=True
    ):
        hours, values = ([float(row[name]) for row in rows] for name in ("hours", column))
        smooth = [sum(values[max(0, end - WINDOW) : end]) / min(end, WINDOW) for end in range(1, len(values) + 1)]
        axes.plot(hours, smooth, label=f"training, mean of {WINDOW} lines of the log")
        checks = [float(row[f"validation_{column}"]) for row in validated]
        axes.plot([float(row["hours"]) for row in validated], checks, label="validation, averaged weights")
        seen = sorted(smooth[len(smooth) // 20 :] + checks[len(checks) // 20 :])
        axes.set(xlabel="hours of mixtures heard", ylabel=label, title=title)
        if len(seen) > 1:
            axes.set_ylim(seen[0] - 0.05 * (seen[-1] - seen[0]), seen[-1] + 0.05 * (seen[-1] - seen[0]))
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    with atomic_path(target, overwrite=True) as temporary:
        figure.savefig(temporary, dpi=80, format="png")
