"""Trains the networks of RNNoise: one flat loop. `main` is what `denoise-wrapper train rnnoise` calls."""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from denoise_wrapper.atomic import make_folder
from denoise_wrapper.backends.convert import read_any_model
from denoise_wrapper.errors import ConfigError, DataError
from denoise_wrapper.training.config import RNNoiseConfig, TrainConfig, load_config, plain
from denoise_wrapper.training.mix.walk import Walk
from denoise_wrapper.training.rnnoise.export import LOG, export_network
from denoise_wrapper.training.rnnoise.feature_files import open_feature_file
from denoise_wrapper.training.rnnoise.features import LAYOUTS, FeatureSet, Layout, make_features
from denoise_wrapper.training.rnnoise.loss import Judge
from denoise_wrapper.training.rnnoise.model import ClassicNetwork
from denoise_wrapper.training.rnnoise.online import OnlineBatches
from denoise_wrapper.training.rnnoise.v02 import V02Network
from denoise_wrapper.training.run import loop
from denoise_wrapper.training.run.optim import Averaged, has_bf16, make_optimisers, set_rates

Network = ClassicNetwork | V02Network


class Rows(Protocol):
    """Clips as rows of features and targets, all of as many frames."""

    layout: Layout
    frames: int

    def __len__(self) -> int: ...
    def read(self, clip: int, first: int, count: int) -> NDArray[Any]:
        """Frames first to first + count of a clip: (count, layout.columns)."""


CHECKPOINT = "checkpoint.pt"
LOSSES = ("loss", "gain", "loudness", "perceptual", "pesq", "voice", "spectral")
VALIDATED = LOSSES[:-1]  # the shards of validation hold no spectra
LOG_COLUMNS = ("step", "hours", "rate", *LOSSES, "gradient", "hours_a_minute",
               *(f"validation_{name}" for name in VALIDATED), "validation_voice_right")  # fmt: skip
FREE = {("features", "processes"), *(("train", name) for name in (
    "threads", "log_every", "evaluate_every", "steps", "decay_share", "final_rate", "quantise_from"))}  # fmt: skip


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
    batches, validation = open_batches(config)
    run = Run(config, batches)
    run.start(checkpoint)
    log = loop.Log(config.work_dir / LOG, LOG_COLUMNS, run.step)
    with loop.stop_request() as asked:
        began, counted = time.perf_counter(), run.step
        while run.step < config.train.steps and not asked():
            values = run.learn()
            evaluating = run.step % config.train.evaluate_every == 0 or run.step == config.train.steps
            if run.step % config.train.log_every == 0 or evaluating:
                hours = run.batches.hours_a_step
                pace = (run.step - counted) * hours / (time.perf_counter() - began) * 60.0
                found = run.evaluate(validation) if evaluating else []
                log.add(run.step, [run.step * hours, *values, pace, *found])
                began, counted = time.perf_counter(), run.step
            if evaluating:
                run.save()
        run.save()
    if run.step < config.train.steps:
        print(f"stopped at step {run.step} and saved; go on with -R", file=sys.stderr)
        return 1
    export_network(config, run.averaged.network, run.step, config.work_dir)
    return 0


def export(config_path: Path, target: Path) -> None:
    """Write the model and its card from the checkpoint in work_dir, however far it is, into the folder target."""
    config = load_config(config_path, RNNoiseConfig)
    run = Run(config, None)
    run.start(loop.load_checkpoint(config.work_dir / CHECKPOINT))
    export_network(config, run.averaged.network, run.step, target)


def open_batches(config: RNNoiseConfig) -> tuple[Batches | OnlineBatches, Rows]:
    """What is learned from, and what validates: the feature file that the settings name, or shards, made if need be, or
    clips that are mixed as they are needed."""
    if config.features.file is None:
        files, layout = make_features(config), LAYOUTS[config.network.family]
        validation = FeatureSet(files, "validation", layout)
        if config.features.online:
            return OnlineBatches(config), validation
        return Batches(FeatureSet(files, "train", layout), config.train, config.seed), validation
    learned, held_out = open_feature_file(config.features.file, config.network.family)
    return Batches(learned, config.train, config.seed), held_out


def make_network(config: RNNoiseConfig) -> Network:
    """A network of the settings' family and sizes, with random weights, or those of start_from."""
    kind: type[Network] = ClassicNetwork if config.network.family == "classic" else V02Network
    network = kind(config.network, config.train.dropout)
    if config.train.start_from is not None:
        network.load_model(read_any_model(config.train.start_from))
    return network


def learning_factor(config: TrainConfig, step: int) -> float:
    """Of the rate: a straight rise over warm_up steps, 1, and in the last decay_share straight down to final_rate."""
    least = min(1.0, config.final_rate / config.rate)
    left = (config.steps - step) / max(1.0, config.decay_share * config.steps)
    rise = (step + 1) / config.warm_up if step < config.warm_up else 1.0
    return min(rise, least + (1.0 - least) * min(1.0, left))


class Run:
    """One training: the network, and all that changes while it learns."""

    def __init__(self, config: RNNoiseConfig, batches: Batches | OnlineBatches | None) -> None:
        """batches None: for its weights alone."""
        settings = config.train
        torch.manual_seed(config.seed)
        self.config = config
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.network = make_network(config).to(self.device)
        self.averaged: Averaged[Network] = Averaged(self.network, settings.average)
        self.optimisers = make_optimisers(
            self.network, settings.method, settings.rate, settings.vector_rate, settings.weight_decay
        )
        self.state: tuple[Tensor, ...] = self.network.new_state(settings.batch)
        self.judge = Judge(self.network.layout, settings, self.network.look_ahead, self.device)
        self.half = settings.bf16 and config.network.family == "v0.2" and has_bf16(self.device)
        self.step = 0
        if batches is not None:
            self.batches = batches

    def start(self, checkpoint: dict[str, Any] | None) -> None:
        """Take up a run where its checkpoint was written; None begins one."""
        if checkpoint is None:
            return
        self.network.load_state_dict(checkpoint["network"])
        self.averaged.network.load_state_dict(checkpoint["averaged"])
        for optimiser, state in zip(self.optimisers, checkpoint["optimisers"], strict=True):
            optimiser.load_state_dict(state)
        torch.set_rng_state(checkpoint["random"])
        self.state = tuple(part.to(self.device) for part in checkpoint["state"])
        self.step = int(checkpoint["step"])

    def save(self) -> None:
        """Write all that the loop needs to go on as if it had never stopped."""
        content = {
            "config": plain(self.config),
            "step": self.step,
            "network": self.network.state_dict(),
            "averaged": self.averaged.network.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "state": [part.cpu() for part in self.state],
            "random": torch.get_rng_state(),
        }
        loop.save_checkpoint(self.config.work_dir / CHECKPOINT, content)

    def learn(self) -> list[Any]:
        """One update. Returns the rate, the parts of the loss and the norm of the gradient."""
        settings, layout = self.config.train, self.network.layout
        rows, fresh, *spectra = (part.to(self.device) for part in self.batches.read(self.step))
        state = tuple(part * ~fresh[:, None] for part in self.state)
        set_rates(self.optimisers, learning_factor(settings, self.step))
        quantise = self.step >= settings.quantise_from * settings.steps
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            gains, voice, self.state = self.network(rows[:, :, layout.features], state, quantise)
        loss = self.judge.compare(gains, voice, rows, *spectra)
        self.network.zero_grad()
        loss.total.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), settings.clip_norm)
        if not math.isfinite(float(norm)):
            raise DataError(
                f"step {self.step}: the gradient is not finite; lower [train] rate, or look at the features"
            )
        for optimiser in self.optimisers:
            optimiser.step()
        self.network.clip_weights()
        self.averaged.update(self.network, self.step)
        self.step += 1
        return [self.optimisers[0].param_groups[0]["lr"], *loss, norm]

    @torch.no_grad()
    def evaluate(self, features: Rows) -> list[float]:
        """Losses over whole validation clips with the weights as they will be stored, and the share of voice labels
        met."""
        network, layout, batch = self.averaged.network.eval(), self.network.layout, self.config.train.batch
        sums, clips = np.zeros(len(VALIDATED) + 1), len(features)
        for first in range(0, clips, batch):
            chosen = range(first, min(first + batch, clips))
            stacked = np.stack([features.read(clip, 0, features.frames) for clip in chosen], axis=1)
            rows = torch.from_numpy(stacked.astype(np.float32)).to(self.device)
            gains, voice, _ = network(rows[:, :, layout.features], network.new_state(len(chosen)), quantise=True)
            loss = self.judge.compare(gains, voice, rows)
            label = rows[: len(rows) - network.look_ahead, :, layout.voice]
            right = ((voice[network.look_ahead :] > 0.0) == (label > 0.5))[label != 0.5].float().mean()
            sums += len(chosen) * np.array([float(part) for part in (*loss[: len(VALIDATED)], right)])
        return [float(value) for value in sums / clips]


class Batches:
    """Which frames a step learns from: a function of the step alone, so that a resumed training sees the same.

    Each of the batch's rows walks through clips, frames of them a step, its recurrent state carried on; rows begin at
    different places, so that every step holds beginnings and ends. All clips pass before any comes again.
    """

    def __init__(self, features: Rows, config: TrainConfig, seed: int) -> None:
        self.features, self.frames, self.seed = features, config.frames, seed
        self.walk = Walk(config.batch, features.frames // config.frames)
        if self.walk.chunks == 0:
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
        """rows float32 (frames, batch, columns), and bool (batch,): the rows whose state starts anew."""
        rows = np.empty((self.frames, self.walk.batch, self.features.layout.columns), np.float32)
        fresh = np.zeros(self.walk.batch, bool)
        for row in self.walk.rows:
            number, chunk = self.walk.place(step, row)
            rows[:, row] = self.features.read(self.clip(number), chunk * self.frames, self.frames)
            fresh[row] = chunk == 0
        return torch.from_numpy(rows), torch.from_numpy(fresh)
