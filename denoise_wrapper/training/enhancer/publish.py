"""A run's weights as what is shipped: the engine's file, its card, and a picture of how the training went."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from denoise_wrapper.atomic import atomic_path, make_folder
from denoise_wrapper.backends.enhancer import EnhancerBackend
from denoise_wrapper.errors import ConfigError, FileError
from denoise_wrapper.training.config import build
from denoise_wrapper.training.enhancer.config import BodyConfig, EnhancerConfig
from denoise_wrapper.training.enhancer.export import encode_network
from denoise_wrapper.training.enhancer.network import Enhancer
from denoise_wrapper.training.run import card
from denoise_wrapper.training.run.checkpoint import LOG, load_checkpoint, without_none
from denoise_wrapper.training.run.curves import draw_course
from denoise_wrapper.training.run.lineage import Stage, describe, history, run_checkpoint
from denoise_wrapper.training.run.optim import written_weights

LOSSES = ("step", "hours", "loss", "magnitude", "validation_loss", "validation_magnitude", "validation_over")
CURVES = {"magnitude": "error of compressed spectra", "over": "error where speech is lost"}


def read_network(path: Path) -> Enhancer:
    """The network in a checkpoint, in evaluation mode.

    Raises FileError for what is no checkpoint of 'train enhancer', ConfigError for one of sizes that cannot be.
    """
    content = load_checkpoint(path)
    settings = without_none(content.get("config"))
    weights = written_weights(content)
    if not isinstance(settings.get("body"), dict) or weights is None:
        raise FileError(f"{path} holds no network of 'train enhancer'; give its run's folder, or a checkpoint of it")
    network = Enhancer(build(settings["body"], BodyConfig, "body."))
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise ConfigError(f"{path} holds another network than its [body] says: {error}") from error
    return network.eval()


def holds_enhancer(source: Path) -> bool:
    """True for a checkpoint of 'train enhancer', or the folder of its run. source: a file of torch's, or a folder."""
    try:
        content = load_checkpoint(run_checkpoint(source) if source.is_dir() else source)
    except FileError:
        return False
    return isinstance(content, dict) and isinstance(without_none(content.get("config")).get("body"), dict)


def convert(
    source: Path,
    target: Path,
    changes: Mapping[str, str] | None = None,
    overwrite: bool = False,
    onnx: bool = False,
    float16: bool = False,
) -> Path:
    """Write a model file, the folder of which is made if need be, and return its path.

    onnx: one for ONNX Runtime. float16: weights in 16 bits, for the engine.

    source: the folder of a run, of which the best checkpoint is taken, or a checkpoint. changes: metadata in place of
    what the source says: name (or else the file's), licence, origin. Raises ConfigError, FileError or ModelError as
    reading and writing do; then there is no file.
    """
    checkpoint = run_checkpoint(source) if source.is_dir() else source
    network = read_network(checkpoint)
    licence = str(load_checkpoint(checkpoint)["config"].get("licence", "unknown"))
    notes = {"name": target.stem, "licence": licence, "origin": describe(history(checkpoint)), **(changes or {})}
    make_folder(target.parent)
    if onnx:
        from denoise_wrapper.training.enhancer.onnx_export import write_onnx  # here, as it needs more packages

        write_onnx(network, notes, target, overwrite)
    else:
        write_network(network, notes, target, overwrite, float16)
    return target


def check_engine(network: Enhancer) -> None:
    """Raise ModelError if the engine cannot run a network of these sizes."""
    EnhancerBackend(encode_network(network, {"name": "untrained"}))


def write_network(
    network: Enhancer, notes: Mapping[str, str], target: Path, overwrite: bool, float16: bool = False
) -> None:
    """Write a model file that the engine has loaded. Raises FileError or ModelError; then there is none."""
    content = encode_network(network, notes, float16)
    EnhancerBackend(content)
    with atomic_path(target, overwrite) as temporary:
        temporary.write_bytes(content)


def publish(config: EnhancerConfig, target: Path) -> list[Path]:
    """Write NAME.dnnw, NAME.md and NAME.png of a run into the folder target.

    NAME is the run's; the weights are those of its best checkpoint. The card quotes what
    `denoise-wrapper evaluate --csv` wrote into the run's folder as quality*.csv. Files that are there are replaced.
    Raises FileError, ModelError.
    """
    name, checkpoint = config.name, run_checkpoint(config.work_dir)
    network, course = read_network(checkpoint), history(checkpoint)
    make_folder(target)
    model, text, picture = (target / f"{name}.{suffix}" for suffix in ("dnnw", "md", "png"))
    notes = {"name": name, "licence": config.licence, "origin": describe(course)}
    write_network(network, notes, model, overwrite=True)
    draw_course([(stage.name, stage.hours, stage.log) for stage in course], CURVES, picture)
    with atomic_path(text, overwrite=True) as temporary:
        temporary.write_text(model_card(config, network, course, model, picture), encoding="utf-8")
    return [model, text, picture]


def model_card(config: EnhancerConfig, network: Enhancer, course: list[Stage], model: Path, picture: Path) -> str:
    """Markdown: the model, the audio that it was trained on, the settings, and the results."""
    weights, cost = sum(part.numel() for part in network.parameters()), network.cost()
    others = [stage.name for stage in course if not stage.steps]
    guide = f", which also sees what {config.body.guide} makes of the signal" if config.body.guide else ""
    parts = [
        f"# {config.name}\n",
        f"An enhancer for 48 kHz{guide}, frames of 20 ms every 10 ms, a body of kind '{config.body.kind}', {weights:,} "
        f"weights, {cost.multiply_adds / 1e4:.0f} million multiply-adds a second, {describe(course)}.\n",
        f"Licence of the weights: {config.licence}."
        + (f" It began as {', '.join(others)}.\n" if others else " No weights of others went into it.\n"),
        card.files_section([model]),
        card.quality_section(config.work_dir),
        card.audio_section(card.audio_heard(config.data)),
        card.losses_section(config.work_dir / LOG, LOSSES),
        f"![course of the training]({picture.name})\n",
        card.settings_section(config),
    ]
    return "\n".join(parts)
