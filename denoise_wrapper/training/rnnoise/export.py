"""A trained network as files: the model in each form, and the card that says where it comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from denoise_wrapper.atomic import atomic_path
from denoise_wrapper.backends.model_files import write_model
from denoise_wrapper.training import card
from denoise_wrapper.training.config import NetworkConfig, RNNoiseConfig, plain
from denoise_wrapper.training.data import make_folder
from denoise_wrapper.training.rnnoise.model import ClassicNetwork
from denoise_wrapper.training.rnnoise.v02 import V02Network

LOSSES = ("step", "hours", "loss", "validation_loss", "validation_gain", "validation_voice_right")


def export_network(config: RNNoiseConfig, network: ClassicNetwork | V02Network, step: int, target: Path) -> list[Path]:
    """Write NAME.dnnw, NAME.rnnn (NAME.bin of a v0.2 network), rnn_data.c and the card NAME.md into the folder target,
    over older ones.

    step: how far the training came. The card takes its losses from the log in work_dir, and what was measured from
    quality*.csv there, as `denoise-wrapper evaluate --csv` writes it, if there is one.
    """
    make_folder(target)
    hours = config.train.batch * config.train.frames * step / 360000.0
    origin = f"trained from nothing on {config.features.hours:g} h of mixtures, {step} steps, {hours:.0f} h heard"
    if config.train.start_from is not None:
        origin = origin.replace("from nothing", f"on from {config.train.start_from.name}")
    model = network.to_model({"name": config.name, "licence": config.licence, "origin": origin, "seed": config.seed})
    other = "rnnn" if config.network.family == "classic" else "bin"
    paths = [target / f"{config.name}.dnnw", target / f"{config.name}.{other}", target / "rnn_data.c"]
    for path in paths:
        write_model(model, path, overwrite=True)
    text = target / f"{config.name}.md"
    with atomic_path(text, overwrite=True) as temporary:
        temporary.write_text(model_card(config, origin, paths[:2]), encoding="utf-8")
    return [*paths, text]


def model_card(config: RNNoiseConfig, origin: str, files: list[Path]) -> str:
    """Markdown: what the model is, what it was trained on, how, and what it reached."""
    parts = [
        f"# {config.name}\n",
        f"{described(config.network)}, {origin}.\n",
        f"Licence of the weights: {config.licence}. No weights of others went into it.\n"
        if config.train.start_from is None
        else f"Licence of the weights: {config.licence}, and that of {config.train.start_from.name}.\n",
        card.files_section(files),
        card.quality_section(config.work_dir),
        card.audio_section({"Speech": config.data.speech, "Noise": config.data.noise}),
        card.losses_section(config.work_dir / "log.csv", LOSSES),
        card.settings_section(settings(config)),
    ]
    return "\n".join(parts)


def described(network: NetworkConfig) -> str:
    """Which network it is."""
    if network.family == "classic":
        return "The classic RNNoise network (48 kHz, 10 ms frames, 22 bands)"
    return (
        "The network of RNNoise 0.2 (48 kHz, 10 ms frames, 32 bands, one frame of look-ahead, int8) with "
        f"{network.conv} units in its first convolution and {network.units} in the second and in each of three GRUs"
    )


def settings(config: RNNoiseConfig) -> dict[str, Any]:
    """All settings but work_dir, defaults too; folders by their last name."""
    tables = {key: value for key, value in plain(config).items() if key != "work_dir"}
    for key in ("speech", "noise", "rooms"):
        tables["data"][key] = [path.name for path in getattr(config.data, key)]
    return tables
