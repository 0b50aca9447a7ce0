"""Settings files as DTLNPytorch's repository has them: their tables and names as `config.NAMES` has them.

Its files differ from one another: [model] and [trainer] have an [args] each, [meta] the folders of pairs
(train_dns.toml) or of recordings to fine-tune with (train_finetune.toml).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from denoise_wrapper.errors import ConfigError

ARGS = {"frameLength": "frame_length", "hopLength": "hop_length", "clip_grad_norm_value": "clip_grad_norm"}
LOSSES = {"dtln-snr": "snr", "MSE+dtln-snr": "snr+magnitude"}
LISTS = ("train_list_path", "noise_list_path", "rir_list_path")
UNUSED = {"meta": ("pin_memory", "samplerate", "duration"), "model": ("path", "weight_path"), "trainer": ("path",)}
SCHEDULE = {"method": "step", "gamma": 0.97, "step_size": 5}  # which its trainer has, whatever the settings say
NO_CLIPPING = 1e9  # as a norm of the gradients that none comes near to


def respell(table: Mapping[str, Any]) -> dict[str, Any]:
    """Turn the tables of a settings file into those of `config.NAMES`; what is spelled so already stays.

    Raises ConfigError for folders and lists that cannot be taken over, saying what to name instead.
    """
    if not any(isinstance(part, dict) and "args" in part for part in (table.get("model"), table.get("trainer"))):
        return dict(table)
    tables = {key: dict(value) if isinstance(value, dict) else value for key, value in table.items()}
    meta, audio = tables.setdefault("meta", {}), tables.setdefault("audio", {})
    for name in ("samplerate", "duration"):
        if name in meta:
            audio.setdefault(name, meta[name])
    for name in ("model", "trainer"):
        part = tables.setdefault(name, {})
        part |= {ARGS.get(key, key): value for key, value in part.pop("args", {}).items()}
    tables["model"].setdefault("norm", False)  # the first core of its networks sees magnitudes as they are
    if not tables["trainer"].pop("clip_grad_norm_ornot", True):
        tables["trainer"]["clip_grad_norm"] = NO_CLIPPING
    if not meta.get("preload_model_path", True):
        del meta["preload_model_path"]
    for name, unused in UNUSED.items():
        for key in unused:
            tables[name].pop(key, None)
    loss = tables.get("loss", {})
    if loss.get("method") in LOSSES:
        tables["loss"] = {**loss, "method": LOSSES[loss["method"]]}
    tables.setdefault("scheduler", dict(SCHEDULE))
    tables["data"] = folders(meta) | tables.get("data", {})
    return tables


def folders(meta: dict[str, Any]) -> dict[str, Any]:
    """Take the folders of audio out of [meta]; returns them as [data] has them."""
    if listed := [name for name in LISTS if meta.pop(name, None)]:
        raise ConfigError(
            f"'meta.{listed[0]}' is a list of files; name their folders in [data] speech, noise and rooms"
        )
    data: dict[str, Any] = {}
    if speech := meta.pop("finetune_clean_data_dirname", None):
        data |= {"speech": [speech], "noise": [meta.pop("finetune_noise_data_dirname", "")]}
        new, old = meta.pop("how_many_finetune_h", 1), meta.pop("how_many_initial_h", 1)
        data["pairs_share"] = old / (new + old)
    meta.pop("noise_data_dirname", None)  # which training does not need: it is what noisy has more than clean
    for start in ("", "initial_"):
        clean, noisy = (meta.pop(f"{start}{side}_data_dirname", None) for side in ("clean", "noisy"))
        if clean and noisy:
            data["pairs"] = [pairs_folder(str(clean), str(noisy))]
    return data


def pairs_folder(clean: str, noisy: str) -> str:
    """Name the folder that holds both sides of pairs, as `data.pairs` reads them."""
    first, second = Path(clean), Path(noisy)
    if first.parent != second.parent or (first.name, second.name) != ("clean", "noisy"):
        raise ConfigError(
            f"pairs lie in clean/ and noisy/ of one folder, not in {clean} and {noisy}; link them so (ln -s {clean} "
            f"pairs/clean; ln -s {noisy} pairs/noisy) and name these links"
        )
    return str(first.parent)
