"""Training of RNNoise's networks: what they learn from, and how their answers are judged; the loop is `run.run`'s."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from denoise_wrapper.progress import tracked
from denoise_wrapper.training.mix.mixing import HOPS_PER_SECOND
from denoise_wrapper.training.mix.stretches import RowSchedule
from denoise_wrapper.training.rnnoise.config import RNNoiseConfig
from denoise_wrapper.training.rnnoise.export import LOG, export_network, fitted, read_start
from denoise_wrapper.training.rnnoise.feature_files import SEQUENCE, open_feature_file
from denoise_wrapper.training.rnnoise.features import LAYOUTS, FeatureSet, Layout, make_features, train_clips
from denoise_wrapper.training.rnnoise.loss import Judge, Loss
from denoise_wrapper.training.rnnoise.model import ClassicNetwork
from denoise_wrapper.training.rnnoise.online import Batch, online_batches
from denoise_wrapper.training.rnnoise.v02 import V02Network
from denoise_wrapper.training.run.checkpoint import load_checkpoint
from denoise_wrapper.training.run.optim import with_start
from denoise_wrapper.training.run.processes import Processes
from denoise_wrapper.training.run.run import FREE, Run, train

Network = ClassicNetwork | V02Network
CHECKPOINT = "checkpoint.pt"


class Rows(Protocol):
    """Clips as rows of features and targets, all of as many frames."""

    layout: Layout
    frames: int

    def __len__(self) -> int: ...
    def read(self, clip: int, first: int, count: int) -> NDArray[Any]:
        """Frames first to first + count of a clip: (count, layout.columns)."""


class RNNoiseRun(Run[RNNoiseConfig, Network]):
    """One training of an RNNoise network, from shards, a feature file, or clips that are mixed as they are needed."""

    last, best, log = CHECKPOINT, None, LOG
    losses = ("loss", "gain", "loudness", "perceptual", "pesq", "voice", "spectral")
    results = (*losses[:-1], "voice_right")  # the shards of validation hold no spectra
    free = FREE | {("features", "processes"), ("train", "evaluate_every"), ("train", "decay_share"),
                   ("train", "final_rate"), ("train", "quantise_from"), ("train", "start_share")}  # fmt: skip

    def __init__(self, config: RNNoiseConfig, group: Processes | None = None) -> None:
        super().__init__(config, group)
        self.rows = self.group.rows(config.train.batch)
        self.state = self.network.new_state(len(self.rows))
        self.judge = Judge(self.network.layout, config.train, self.network.look_ahead, self.device)
        self.half = self.half and config.network.family == "v0.2"
        self.hours_a_step = config.train.batch * config.train.frames / 3600.0 / HOPS_PER_SECOND

    def make_network(self) -> Network:
        """A network of the settings' family and sizes, with random weights, or those of start_from."""
        chosen = self.config.train
        kind: type[Network] = ClassicNetwork if self.config.network.family == "classic" else V02Network
        network = kind(self.config.network, chosen.dropout)
        if chosen.start_from is not None:
            network.load_model(read_start(chosen.start_from))
        return network

    @torch.no_grad()
    def written(self) -> Network:
        """The network that is validated and written: the averaged one, with its share of what the run began with."""
        share = self.config.train.start_share
        if not share:
            return self.averaged.network
        with torch.random.fork_rng():
            torch.manual_seed(self.config.seed)  # a network that has grown began with random weights, too: the same
            network = self.make_network().to(self.device)
        network.load_state_dict(with_start(self.averaged.network.state_dict(), network.state_dict(), share))
        return network.eval()

    @classmethod
    def epoch_steps(cls, config: RNNoiseConfig) -> int:
        """Steps of one pass over the rows of a feature file, or over [features] hours."""
        chosen = config.train
        if config.features.file is not None:
            clips, frames = len(open_feature_file(config.features.file, config.network.family)[0]), SEQUENCE
        else:
            clips, frames = train_clips(config), int(config.mix.clip_s * HOPS_PER_SECOND)
        return max(1, -(-clips * (frames // chosen.frames) // chosen.batch))

    @cached_property
    def sides(self) -> tuple[Rows | None, Rows]:
        """The rows to learn from, unless their clips are mixed as they are needed, and those to validate on; made if
        need be."""
        config, family = self.config, self.config.network.family
        if config.features.file is not None:
            return open_feature_file(config.features.file, family)
        files, layout = make_features(config), LAYOUTS[family]
        learned = None if config.features.online else FeatureSet(files, "train", layout)
        return learned, FeatureSet(files, "validation", layout)

    def batches(self, step: int) -> Iterator[Batch]:
        """The batches from step on: rows float32 (frames, rows of the batch, columns); bool (rows,), those whose state
        starts anew; with [train] spectral the spectra."""
        chosen = self.config.train
        if self.sides[0] is None:
            yield from online_batches(self.config, self.rows, step)
        else:
            clips = ShardClips(self.sides[0], self.config.seed)
            schedule = RowSchedule(chosen.batch, self.sides[0].frames // chosen.frames, self.rows)
            while True:
                yield clips.read(schedule, step, chosen.frames)
                step += 1

    def compare(self, batch: Batch) -> Loss:
        """Loss of the answers to rows of features; the states are carried on."""
        rows, fresh, *spectra = batch
        chosen = self.config.train
        state = tuple(part * ~fresh[:, None] for part in self.state)
        quantise = self.progress.step >= chosen.quantise_from * chosen.steps
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            gains, voice, self.state = self.network(rows[:, :, self.network.layout.features], state, quantise)
        self.clock.lap("forward")
        return self.judge.compare(gains, voice, rows, *spectra)

    def constrain(self) -> None:
        self.network.clip_weights()

    def open_validation(self) -> Rows:
        return self.sides[1]

    def validate(self, clips: Rows) -> tuple[list[float], float]:
        """Losses over whole clips with the weights as they will be stored, and the share of voice labels met."""
        network, layout, batch = self.written(), self.network.layout, self.config.train.batch
        sums, count = np.zeros(len(self.results)), len(clips)
        starts = range(0, count, batch)
        for first in tracked(starts, len(starts), "validation"):
            chosen = range(first, min(first + batch, count))
            stacked = np.stack([clips.read(clip, 0, clips.frames) for clip in chosen], axis=1)
            rows = torch.from_numpy(stacked.astype(np.float32)).to(self.device)
            gains, voice, _ = network(rows[:, :, layout.features], network.new_state(len(chosen)), quantise=True)
            loss = self.judge.compare(gains, voice, rows)
            label = rows[: len(rows) - network.look_ahead, :, layout.voice]
            right = ((voice[network.look_ahead :] > 0.0) == (label > 0.5))[label != 0.5].float().mean()
            sums += len(chosen) * np.array([float(part) for part in (*loss[: len(self.results) - 1], right)])
        means = [float(value) for value in sums / count]
        return means, means[0]

    def publish(self, target: Path) -> list[Path]:
        """Write the model in each form, and its card."""
        return export_network(self.config, self.written(), self.progress.step, target)

    @classmethod
    def upgrade(cls, checkpoint: dict[str, Any]) -> dict[str, Any]:
        """A checkpoint as it is written now; before there was one level, and one process."""
        if "training" in checkpoint:
            return checkpoint
        training = {key: checkpoint[key] for key in ("network", "optimisers", "random")}
        return {
            "network": checkpoint["averaged"],
            "config": checkpoint["config"],
            "progress": {"step": checkpoint["step"]},
            "training": training | {"states": [checkpoint["state"]]},
        }


class ShardClips:
    """Clips by their places in an endless row: all pass in random order before any comes again."""

    def __init__(self, features: Rows, seed: int) -> None:
        self.features, self.seed = features, seed
        self._order: tuple[int, np.ndarray[Any, np.dtype[np.int64]]] = (-1, np.zeros(0, np.int64))

    def clip(self, number: int) -> int:
        """The clip at a place."""
        cycle, place = divmod(number, len(self.features))
        if self._order[0] != cycle:
            self._order = (cycle, np.random.default_rng([self.seed, cycle]).permutation(len(self.features)))
        return int(self._order[1][place])

    def read(self, schedule: RowSchedule, step: int, frames: int) -> tuple[Tensor, Tensor]:
        """The batch of a step: rows float32 (frames, rows of the batch, columns), and bool (rows,), those whose
        state starts anew."""
        rows = np.empty((frames, len(schedule.rows), self.features.layout.columns), np.float32)
        fresh = np.zeros(len(schedule.rows), bool)
        for index, row in enumerate(schedule.rows):
            number, chunk = schedule.place(step, row)
            rows[:, index] = self.features.read(self.clip(number), chunk * frames, frames)
            fresh[index] = chunk == 0
        return torch.from_numpy(rows), torch.from_numpy(fresh)


def main(config: RNNoiseConfig, resume: bool = False, profile: bool = False, toml: str | None = None) -> int:
    """Train as a config says: see `run.train`."""
    return train(RNNoiseRun, fitted(config), resume, profile, toml)


def export(config: RNNoiseConfig, target: Path) -> list[Path]:
    """Write the model and its card from the checkpoint in work_dir, however far it is, into the folder target."""
    run = RNNoiseRun(fitted(config))
    run.start(load_checkpoint(config.work_dir / CHECKPOINT))
    return run.publish(target)
