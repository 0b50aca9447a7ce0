"""Weights that a training goes on from, as `--pretrained` and `[train] start_from` name them in every family."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from denoise_wrapper.errors import ConfigError, FileError
from denoise_wrapper.models.shipped import MODELS
from denoise_wrapper.training.run.checkpoint import load_checkpoint
from denoise_wrapper.training.run.lineage import setting

ENDINGS = (".dnnw", "_1.onnx")  # of the files of shipped models; those of a pair are named by their first


def find_start(name: Path) -> Path:
    """Find the file or folder that is meant: a path, or the name of a shipped model, such as rnnoise-classic.

    Returns a path that exists; of a pair of ONNX models, shipped or in a folder, its first. Raises FileError that
    lists the names.
    """
    if name.exists():
        firsts = sorted(name.glob("*1.onnx")) if name.is_dir() else []
        return firsts[0] if len(firsts) == 1 else name
    files = [MODELS / f"{name.name}{ending}" for ending in ENDINGS] if len(name.parts) == 1 else []
    for file in files:
        if file.is_file():
            return file
    names = sorted(path.name.removesuffix(ending) for ending in ENDINGS for path in MODELS.glob(f"*{ending}"))
    raise FileError(
        f"there is no file or folder {name} to start from; give a path, or the name of a model that is here: "
        f"{', '.join(names)}"
    )


def begun_with(checkpoint: Path) -> Path | None:
    """Name the weights that a run began with, as its checkpoint says; None for random ones, or without one."""
    if not checkpoint.is_file():
        return None
    settings = load_checkpoint(checkpoint).get("config") or {}
    name = setting(settings, "train.start_from") or setting(settings, "meta.preload_model_path")
    return Path(name) if name else None


def second_of_pair(first: Path) -> Path | None:
    """The second model of a pair whose first is NAME1.onnx; None for other names."""
    return first.with_name(f"{first.stem[:-1]}2.onnx") if first.name.lower().endswith("1.onnx") else None


def freeze(network: nn.Module, names: tuple[str, ...]) -> None:
    """Leave parts of a network as they are: they learn nothing. names: of modules or parameters.

    Raises ConfigError for a name that there is not, or if nothing would be left to learn.
    """
    for name in names:
        parts = [part for key, part in network.named_parameters() if key == name or key.startswith(f"{name}.")]
        if not parts:
            known = dict.fromkeys(key.split(".")[0] for key, _ in network.named_parameters())
            raise ConfigError(f"'train.freeze': the network has no part {name!r}; its parts are {', '.join(known)}")
        for part in parts:
            part.requires_grad_(False)
    if not any(part.requires_grad for part in network.parameters()):
        raise ConfigError("'train.freeze' names the whole network, so that nothing would learn; leave a part out")
