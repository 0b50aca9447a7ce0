"""Trains the classic network: one flat loop. `main` is what `denoise-wrapper train rnnoise` calls."""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from denoise_wrapper.backends.model_files import read_model
from denoise_wrapper.errors import ConfigError, DataError
from denoise_wrapper.training import loop
from denoise_wrapper.training.config import RNNoiseConfig, TrainConfig, load_config, plain
from denoise_wrapper.training.data import make_folder
from denoise_wrapper.training.rnnoise.export import export_network
from denoise_wrapper.training.rnnoise.features import COLUMNS, FEATURES, VOICE, FeatureSet, make_features
from denoise_wrapper.training.rnnoise.loss import compare
from denoise_wrapper.training.rnnoise.model import ClassicNetwork

CHECKPOINT = "checkpoint.pt"
LOG = "log.csv"
LOG_COLUMNS = ("step", "hours", "rate", "loss", "gain", "loudness", "voice", "gradient", "hours_a_minute",
               "validation_loss", "validation_gain", "validation_loudness", "validation_voice",
               "validation_voice_right")  # fmt: skip
FREE = {("features", "processes"), ("train", "threads"), ("train", "log_every"), ("train", "evaluate_every")}


def main(config_path: Path, resume: bool = False) -> int:
    """Train as a TOML file says, and write the model, its card and a log into its work_dir.

    resume: go on from the checkpoint in work_dir. Ctrl-C saves one and leaves. Returns 0 when the training is done,
    1 when it was interrupted. Raises ConfigError, DataError, FileError.
    """
    config = load_config(config_path, RNNoiseConfig)
    make_folder(config.work_dir)
    torch.set_num_threads(config.train.threads)
    torch.set_flush_denormal(True)
    checkpoint = loop.open_checkpoint(config.work_dir / CHECKPOINT, resume, plain(config), FREE)
    files = make_features(config)
    batches = Batches(FeatureSet(files, "train"), config.train, config.seed)
    validation = FeatureSet(files, "validation")
    network, optimiser, state, step = start(config, checkpoint)
    log = loop.Log(config.work_dir / LOG, LOG_COLUMNS, step)
    with loop.stop_request() as asked:
        began, counted = time.perf_counter(), step
        while step < config.train.steps and not asked():
            rows, fresh = batches.read(step)
            state = tuple(part * ~fresh[:, None] for part in state)
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(config.train, step)
            quantise = step >= config.train.quantise_from * config.train.steps
            gains, voice, state = network(rows[:, :, FEATURES], state, quantise)
            loss = compare(gains, voice, rows, config.train)
            optimiser.zero_grad()
            loss.total.backward()  # type: ignore[no-untyped-call]
            norm = torch.nn.utils.clip_grad_norm_(network.parameters(), config.train.clip_norm)
            if not math.isfinite(float(norm)):
                raise DataError(f"step {step}: the gradient is not finite; lower [train] rate, or look at the features")
            optimiser.step()
            network.clip_weights()
            step += 1
            evaluating = step % config.train.evaluate_every == 0 or step == config.train.steps
            if step % config.train.log_every == 0 or evaluating:
                pace = (step - counted) * batches.hours_a_step / (time.perf_counter() - began) * 60.0
                began, counted = time.perf_counter(), step
                values = [step * batches.hours_a_step, optimiser.param_groups[0]["lr"], loss.total, loss.gain,
                          loss.loudness, loss.voice, norm, pace]  # fmt: skip
                log.add(step, values + (evaluate(network, validation, config.train) if evaluating else []))
                began = time.perf_counter()
            if evaluating:
                save_checkpoint(config, network, optimiser, state, step)
        save_checkpoint(config, network, optimiser, state, step)
    if step < config.train.steps:
        print(f"stopped at step {step} and saved; go on with -R", file=sys.stderr)
        return 1
    export_network(config, network, step, config.work_dir)
    return 0


def start(
    config: RNNoiseConfig, checkpoint: dict[str, Any] | None
) -> tuple[ClassicNetwork, torch.optim.Optimizer, tuple[Tensor, ...], int]:
    """The network, its optimiser, the recurrent state and the steps done: new, or as they were saved."""
    torch.manual_seed(config.seed)
    network = ClassicNetwork(config.network)
    if config.train.start_from is not None:
        network.load_model(read_model(config.train.start_from))
    optimiser = torch.optim.AdamW(
        network.parameters(),
        lr=config.train.rate,
        betas=(0.9, 0.98),
        weight_decay=config.train.weight_decay,
        fused=True,
    )
    if checkpoint is None:
        return network, optimiser, network.new_state(config.train.batch), 0
    network.load_state_dict(checkpoint["network"])
    optimiser.load_state_dict(checkpoint["optimiser"])
    torch.set_rng_state(checkpoint["random"])
    return network, optimiser, tuple(checkpoint["state"]), int(checkpoint["step"])


def learning_rate(config: TrainConfig, step: int) -> float:
    """A straight rise over warm_up steps, then a cosine down to final_rate."""
    if step < config.warm_up:
        return config.rate * (step + 1) / config.warm_up
    done = (step - config.warm_up) / max(1, config.steps - config.warm_up)
    return config.final_rate + (config.rate - config.final_rate) * 0.5 * (1.0 + math.cos(math.pi * min(done, 1.0)))


class Batches:
    """Which frames a step learns from: a function of the step alone, so that a resumed training sees the same.

    Each of the batch's rows walks through clips, frames of them a step, its recurrent state carried on; rows begin at
    different places, so that every step holds beginnings and ends. All clips pass before any comes again.
    """

    def __init__(self, features: FeatureSet, config: TrainConfig, seed: int) -> None:
        self.features, self.batch, self.frames, self.seed = features, config.batch, config.frames, seed
        self.chunks = features.frames // config.frames
        if self.chunks == 0:
            raise ConfigError(f"[train] frames is {config.frames}, but a clip has {features.frames}; lower it")
        self.hours_a_step = config.batch * config.frames / 360000.0
        self._order: tuple[int, np.ndarray[Any, np.dtype[np.int64]]] = (-1, np.zeros(0, np.int64))

    def clip(self, number: int) -> int:
        """The clip that comes at a place in the endless sequence of passes over all of them."""
        cycle, place = divmod(number, len(self.features))
        if self._order[0] != cycle:
            self._order = (cycle, np.random.default_rng([self.seed, cycle]).permutation(len(self.features)))
        return int(self._order[1][place])

    def read(self, step: int) -> tuple[Tensor, Tensor]:
        """rows float32 (frames, batch, 87), and bool (batch,): the rows whose state starts anew."""
        rows = np.empty((self.frames, self.batch, COLUMNS), np.float32)
        fresh = np.zeros(self.batch, bool)
        for row in range(self.batch):
            turn, chunk = divmod(step + row % self.chunks, self.chunks)
            clip = self.clip(turn * self.batch + row)
            rows[:, row] = self.features.read(clip, chunk * self.frames, self.frames)
            fresh[row] = chunk == 0
        return torch.from_numpy(rows), torch.from_numpy(fresh)


@torch.no_grad()
def evaluate(network: ClassicNetwork, features: FeatureSet, config: TrainConfig) -> list[float]:
    """Losses over whole validation clips with the weights as they will be stored, and the share of voice labels met."""
    sums, clips = np.zeros(5), len(features)
    for first in range(0, clips, config.batch):
        chosen = range(first, min(first + config.batch, clips))
        stacked = np.stack([features.read(clip, 0, features.frames) for clip in chosen], axis=1)
        rows = torch.from_numpy(stacked.astype(np.float32))
        gains, voice, _ = network(rows[:, :, FEATURES], network.new_state(len(chosen)), quantise=True)
        loss = compare(gains, voice, rows, config)
        label = rows[:, :, VOICE]
        right = ((voice > 0.0) == (label > 0.5))[label != 0.5].float().mean()
        parts = (loss.total, loss.gain, loss.loudness, loss.voice, right)
        sums += len(chosen) * np.array([float(part) for part in parts])
    return [float(value) for value in sums / clips]


def save_checkpoint(
    config: RNNoiseConfig,
    network: ClassicNetwork,
    optimiser: torch.optim.Optimizer,
    state: tuple[Tensor, ...],
    step: int,
) -> None:
    """Write all that the loop needs to go on as if it had never stopped."""
    content = {
        "config": plain(config),
        "step": step,
        "network": network.state_dict(),
        "optimiser": optimiser.state_dict(),
        "state": list(state),
        "random": torch.get_rng_state(),
    }
    loop.save_checkpoint(config.work_dir / CHECKPOINT, content)


def export(config_path: Path, target: Path) -> None:
    """Write the model and its card from the checkpoint in work_dir, however far it is, into the folder target."""
    config = load_config(config_path, RNNoiseConfig)
    checkpoint = loop.load_checkpoint(config.work_dir / CHECKPOINT)
    network, _, _, step = start(config, checkpoint)
    export_network(config, network, step, target)
