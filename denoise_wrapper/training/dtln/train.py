"""Training of the DTLN: what it learns from, and how its answers are judged; the loop is `run.run`'s."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from denoise_wrapper.errors import ConfigError
from denoise_wrapper.progress import tracked
from denoise_wrapper.training.config import plain
from denoise_wrapper.training.dtln.batches import Batch, batches, make_schedule, open_clips, stretch_samples
from denoise_wrapper.training.dtln.config import DTLNConfig, check_runnable, stored
from denoise_wrapper.training.dtln.importers import import_network
from denoise_wrapper.training.dtln.lift import double_rate
from denoise_wrapper.training.dtln.loss import Loss, compare
from denoise_wrapper.training.dtln.model import DTLN
from denoise_wrapper.training.dtln.publish import publish
from denoise_wrapper.training.run.lineage import history
from denoise_wrapper.training.run.processes import Processes
from denoise_wrapper.training.run.run import FREE, load_run, train
from denoise_wrapper.training.run.share import SharedRun
from denoise_wrapper.training.run.start import find_start, second_of_pair

SCHEDULE = ("decay", "decay_share", "final_rate", "warm_up", "gamma", "step_size", "patience")


class DTLNRun(SharedRun[DTLNConfig, DTLN]):
    """One training of a DTLN."""

    losses = ("loss", "snr_db", "magnitude", "over", "perceptual", "pesq")
    results = losses
    free = FREE | {("train", name) for name in (*SCHEDULE, "processes", "start_from", "export_from")}

    def __init__(self, config: DTLNConfig, group: Processes | None = None) -> None:
        super().__init__(config, group)
        self.schedule = make_schedule(config, self.group.rows(config.train.batch))
        self.state = self.network.new_state(len(self.schedule.rows))
        self.hours_a_step = config.train.batch * stretch_samples(config) / config.sample_rate / 3600.0

    def make_network(self) -> DTLN:
        return DTLN(self.config.network)

    def begin(self) -> None:
        """Take the weights that start_from names."""
        if (path := self.config.train.start_from) is not None:
            path = find_start(path)
            self.history = history(path, stored)
            self.take_up(preload(path, self.config).state_dict())

    def batches(self, step: int) -> Iterator[Batch]:
        return batches(self.config, self.schedule, self.network.delay, step)

    def compare(self, batch: Batch) -> Loss:
        """Loss of the answers to stretches of clips; the states are carried on."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            estimate, state = self.network(batch.noisy, self.state.reset(batch.fresh))
        self.state = state.detach()
        self.clock.lap("forward")
        return compare(
            estimate, batch.clean, batch.noisy, self.config.loss, self.progress.step, self.config.sample_rate
        )

    def open_validation(self) -> list[tuple[Tensor, Tensor]]:
        """The clips that every validation compares, in batches: [(noisy, clean)], float32 (clips, n)."""
        _, source = open_clips(self.config)
        clips = [source.clip(index) for index in range(self.config.validation.clips)]
        size = self.config.train.batch
        return [
            (
                torch.stack([torch.from_numpy(mix.noisy) for mix in clips[first : first + size]]),
                torch.stack([torch.from_numpy(mix.clean) for mix in clips[first : first + size]]),
            )
            for first in range(0, len(clips), size)
        ]

    def validate(self, clips: list[tuple[Tensor, Tensor]]) -> tuple[list[float], float]:
        """The means of `losses` over whole clips, in full precision."""
        rows, network = [], self.written()
        for turn, batch in enumerate(tracked(clips, len(clips), "validation")):
            noisy, clean = (part.to(self.device) for part in batch)
            cleaned = network.denoise(noisy)
            loss = compare(cleaned, clean, noisy, self.config.loss, turn, self.config.sample_rate)
            rows.append([float(part) for part in loss])
        means = [float(value) for value in torch.tensor(rows).nanmean(dim=0)]
        return means, means[0]

    def publish(self, target: Path) -> list[Path]:
        """Write the pair of ONNX files, its card and its curves."""
        return publish(self.config, target)


def load(path: Path, start_from: Path | None = None, epochs: int | None = None, resume: bool = False) -> DTLNConfig:
    """Read the settings of a TOML file: see `run.load_run`."""
    return load_run(path, DTLNConfig.read, DTLNRun.last, start_from, epochs, resume)


def main(config: DTLNConfig, resume: bool = False, profile: bool = False, toml: str | None = None) -> int:
    """Train as a config says: see `run.train`.

    Raises ConfigError for a run by a user's settings, toml, of a network that no backend could run.
    """
    if toml is not None and not profile:
        check_runnable(config)
    return train(DTLNRun, config, resume, profile, toml)


def export(config: DTLNConfig, target: Path) -> list[Path]:
    """Write the weights of a run so far as `publish` does, into the folder target; returns the files."""
    return publish(config, target)


def preload(path: Path, config: DTLNConfig) -> DTLN:
    """The network in a file, a run or a pair (by its first model), which must be of the config's sizes, or for half the
    rate.

    Raises ConfigError for another architecture, ModelError or FileError for what is no DTLN.
    """
    second = second_of_pair(path)
    network, _ = import_network([path, second] if second is not None and second.is_file() else [path])
    wanted = config.network
    if 2 * network.block == wanted.frame_length and 2 * network.hop == wanted.hop_length:
        print(f"{path} is for half the rate; its lower band is taken over, the upper is to be learned", file=sys.stderr)
        network = double_rate(network)
    ours, theirs = plain(wanted), plain(network.config)
    names = [f"{name} {theirs[name]} ({ours[name]} is wanted)" for name in ours
             if name != "dropout" and ours[name] != theirs[name]]  # fmt: skip
    if names:
        raise ConfigError(f"{path} holds another architecture: {', '.join(names)}; set [network] so, or choose another")
    return network
