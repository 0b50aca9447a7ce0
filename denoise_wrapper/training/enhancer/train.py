"""Training of the enhancer: what it learns from, and how its answers are judged; the loop is `run.run`'s."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from denoise_wrapper.backends.enhancer import holds_enhancer
from denoise_wrapper.compare.clips.clip import Clip
from denoise_wrapper.errors import ConfigError, FileError, ModelError
from denoise_wrapper.progress import tracked
from denoise_wrapper.training.enhancer import scoring
from denoise_wrapper.training.enhancer.bands import BLOCK, HOP
from denoise_wrapper.training.enhancer.batches import Batch, batches, make_batch, make_clip, make_schedule, open_clips
from denoise_wrapper.training.enhancer.budget import check_budget
from denoise_wrapper.training.enhancer.config import EnhancerConfig
from denoise_wrapper.training.enhancer.loss import Judge, Loss
from denoise_wrapper.training.enhancer.network import Enhancer
from denoise_wrapper.training.enhancer.publish import check_engine, publish
from denoise_wrapper.training.run.checkpoint import load_checkpoint, map_tensors
from denoise_wrapper.training.run.lineage import history, run_checkpoint
from denoise_wrapper.training.run.optim import written_weights
from denoise_wrapper.training.run.processes import Processes
from denoise_wrapper.training.run.run import FREE, load_run, train
from denoise_wrapper.training.run.share import SharedRun
from denoise_wrapper.training.run.start import find_start

VALIDATED = ("loss", "magnitude", "complex", "over", "voice")
AT_ONCE = 4  # clips of a validation


class EnhancerRun(SharedRun[EnhancerConfig, Enhancer]):
    """One training of an enhancer."""

    losses = ("loss", *Loss._fields[1:])
    results = (*VALIDATED, *scoring.COLUMNS)
    free = FREE | {("train", "processes"), ("train", "start_from"), ("validation",)}

    def __init__(self, config: EnhancerConfig, group: Processes | None = None) -> None:
        super().__init__(config, group)
        self.norms = [part for part in self.network.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
        self.judge = Judge(config.loss, self.network)
        self.schedule = make_schedule(config, self.group.rows(config.train.batch))
        self.state = self.network.new_state(len(self.schedule.rows))
        self.hours_a_step = config.train.batch * config.train.seconds / 3600.0

    def make_network(self) -> Enhancer:
        """A network with random weights, within its budget."""
        network = Enhancer(self.config.body)
        check_budget(network.cost(), self.config.budget, network.is_guided)
        return network

    def begin(self) -> None:
        """Say if the engine cannot run a network of these sizes, and take the weights that start_from names."""
        try:
            check_engine(self.network)
        except ModelError as error:
            print(f"the engine cannot run this [body], so no model file will be written: {error}", file=sys.stderr)
        if (path := self.config.train.start_from) is not None:
            path = find_start(path)
            self.history = history(path)
            self.take_up(load_weights(path, self.network))

    def batches(self, step: int) -> Iterator[Batch]:
        return batches(self.config, self.schedule, step)

    def compare(self, batch: Batch) -> Loss:
        """Loss of the answers to stretches of clips; the states are carried on."""
        for norm in self.norms:
            norm.train(self.progress.done(self.config.train) < self.config.train.freeze_norms)
        state = self.state.reset(batch.fresh)
        spectrum, newest = self.network.analyse(batch.noisy, state.recent)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            answer = self.network.estimate(spectrum, state.body, guide_spectrum(batch, self.network.window))
        self.state = state._replace(recent=newest, body=answer.body).detach()
        self.clock.lap("forward")
        return self.judge.compare(answer, batch.target, batch.noisy)

    def open_validation(self) -> tuple[list[Batch], list[Clip]]:
        """The mixed clips that every validation compares, whole, and those of the set."""
        config = self.config.validation
        _, source = open_clips(self.config)
        clips = [make_clip(source.clip(index), self.config.body.guide) for index in range(config.clips)]
        groups = [clips[first : first + AT_ONCE] for first in range(0, len(clips), AT_ONCE)]
        mixed = [make_batch([(clip, 0, len(clip.noisy) // HOP) for clip in group]) for group in groups]
        return mixed, scoring.chosen_clips(config)

    def validate(self, clips: tuple[list[Batch], list[Clip]]) -> tuple[list[float], float | None]:
        """The means of VALIDATED, in full precision, and of the set's metrics in the epochs that score it.

        With a set the best weights are those of the highest score, and epochs without a scoring are never the best.
        """
        (mixed, scored), progress, config = clips, self.progress, self.config
        network = self.written()
        results = validate(network, mixed, self.judge)
        if not scored:
            return results, results[0]
        epoch = -(-progress.step // config.train.evaluate_every)
        if epoch % config.validation.every and progress.done(config.train) < 1.0:
            return results, None
        means = scoring.score_set(network, scored, config.validation.processes, config.body.guide)
        return results + [means[name] for name in scoring.COLUMNS], -means["score"]

    def publish(self, target: Path) -> list[Path]:
        """Write the engine's file, its card and its curves; of what the engine cannot run, say so."""
        try:
            return publish(self.config, target)
        except ModelError as error:
            print(f"no model file is written: {error}", file=sys.stderr)
            return super().publish(target)

    @classmethod
    def upgrade(cls, checkpoint: dict[str, Any]) -> dict[str, Any]:
        """A checkpoint as it is written now; before, the best was the highest, and there was one process."""
        progress, training = checkpoint["progress"], checkpoint["training"]
        if "epochs_since_best" not in progress:
            progress = {**progress, "best": -progress["best"]}
        if training["states"] and isinstance(training["states"][0], Tensor):
            training = {**training, "states": [training["states"]]}
        return {**checkpoint, "progress": progress, "training": training}

    def profile(self) -> int:
        """Print how fast a step is and what it consists of, then the network's cost a hop, and keep nothing."""
        code = super().profile()
        weights, cost = sum(part.numel() for part in self.network.parameters()), self.network.cost()
        print(f"{weights:,} weights; a hop takes {cost.multiply_adds:,} multiply-adds, {cost.exponentials:,} "
              f"exponentials, {cost.steps} steps")  # fmt: skip
        return code


def load(path: Path, start_from: Path | None = None, epochs: int | None = None, resume: bool = False) -> EnhancerConfig:
    """Read the settings of a TOML file: see `run.load_run`."""
    return load_run(path, EnhancerConfig.read, EnhancerRun.last, start_from, epochs, resume)


def main(config: EnhancerConfig, resume: bool = False, profile: bool = False, toml: str | None = None) -> int:
    """Train as a config says: see `run.train`. Raises ConfigError for a network over its budget, too."""
    return train(EnhancerRun, config, resume, profile, toml)


def export(config: EnhancerConfig, target: Path) -> list[Path]:
    """Write the weights of a run so far as `publish` does, into the folder target; returns the files."""
    return publish(config, target)


def load_weights(path: Path, network: Enhancer) -> dict[str, Tensor]:
    """The weights of a checkpoint, or of a run's best, which must be of a network of the same sizes.

    It may have fewer taps, or no guide; the others then begin with weights of 0, which change nothing but that the
    guide has half of what comes out.
    """
    if path.is_file() and holds_enhancer(path):
        raise ConfigError(
            f"{path} is a file for the engine, with the norms in its weights; training goes on from a checkpoint: a "
            "run's folder, or weights/enhancer.pt of the repository"
        )
    learned = written_weights(load_checkpoint(run_checkpoint(path) if path.is_dir() else path))
    if learned is None:
        raise FileError(f"{path} holds no network; [train] start_from is a checkpoint of 'train enhancer'")
    wanted = network.state_dict()
    heads = [(f"{head}.{part}", 0) for head in ("low_head", "upper_head") for part in ("weight", "bias")]
    for name, along in (*heads, ("body.first.conv.weight", 1)):
        lacking = wanted[name].shape[along] - learned[name].shape[along] if name in learned else 0
        if lacking > 0:
            fresh = torch.zeros_like(wanted[name]).narrow(along, 0, lacking).to(learned[name].device)
            learned = {**learned, name: torch.cat([learned[name], fresh], dim=along)}
    if {name: part.shape for name, part in learned.items()} != {name: part.shape for name, part in wanted.items()}:
        raise ConfigError(
            f"{path} holds a network of other sizes; set [body] as its config.toml has it, or choose another"
        )
    return learned


def guide_spectrum(batch: Batch, window: Tensor) -> Tensor | None:
    """The spectra of a batch's guide, complex64 (rows, T, BINS); None without one."""
    return torch.fft.rfft(batch.guide.unfold(1, BLOCK, HOP) * window) if batch.guide.shape[1] else None


@torch.no_grad()
def validate(network: Enhancer, clips: list[Batch], judge: Judge) -> list[float]:
    """The means of VALIDATED over whole clips, in full precision."""
    rows = []
    for batch in tracked(clips, len(clips), "validation"):
        batch = map_tensors(lambda part: part.to(network.window.device), batch)
        state = network.new_state(len(batch.fresh))
        spectrum, _ = network.analyse(batch.noisy, state.recent)
        answer = network.estimate(spectrum, state.body, guide_spectrum(batch, network.window))
        loss = judge.compare(answer, batch.target, batch.noisy)
        rows.append([float(getattr(loss, "total" if name == "loss" else name)) for name in VALIDATED])
    return [sum(column) / len(rows) for column in zip(*rows, strict=True)]
