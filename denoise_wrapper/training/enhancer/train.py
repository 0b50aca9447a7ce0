"""Trains the enhancer: one flat loop. `main` is what `denoise-wrapper train enhancer` calls."""

from __future__ import annotations

import math
import shutil
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from denoise_wrapper.atomic import atomic_path, make_folder
from denoise_wrapper.compare.clips.clip import Clip
from denoise_wrapper.errors import ConfigError, DataError, FileError
from denoise_wrapper.training.config import load_config, plain
from denoise_wrapper.training.enhancer import scoring
from denoise_wrapper.training.enhancer.bands import HOP
from denoise_wrapper.training.enhancer.batches import Batch, batches, make_batch, make_walk, open_clips, take_clip
from denoise_wrapper.training.enhancer.budget import check_budget
from denoise_wrapper.training.enhancer.config import EnhancerConfig, EnhancerTrainConfig
from denoise_wrapper.training.enhancer.loss import Judge, Loss
from denoise_wrapper.training.enhancer.network import Enhancer, EnhancerState
from denoise_wrapper.training.run.loop import (
    Clock,
    Log,
    load_checkpoint,
    open_checkpoint,
    save_checkpoint,
    stop_request,
)
from denoise_wrapper.training.run.optim import Averaged, has_bf16, make_optimisers, set_rates

LAST, BEST, COPY, LOG = "checkpoints/last.pt", "checkpoints/best.pt", "config.toml", "logs/log.csv"
VALIDATED = ("loss", "magnitude", "complex", "over", "voice")
LOG_COLUMNS = ("step", "hours", "rate", *Loss._fields, "gradient", "hours_a_minute",
               *(f"validation_{name}" for name in (*VALIDATED, *scoring.COLUMNS)))  # fmt: skip
LOG_COLUMNS = tuple("loss" if name == "total" else name for name in LOG_COLUMNS)
FREE = (("train", "steps"), ("train", "minutes"), ("train", "processes"), ("train", "threads"), ("train", "log_every"),
        ("train", "start_from"), ("validation",), ("work_dir",), ("cache_dir",))  # fmt: skip
PROFILE_STEPS = 20
STAGES = ("loading", "forward", "loss", "backward", "update")
AT_ONCE = 4  # clips of a validation
MOMENTUM = (
    0.02  # of the statistics of batch norms, which are means over some 50 steps: a few clips differ much in level
)


def main(config_path: Path, resume: bool = False, profile: bool = False) -> int:
    """Train as a TOML file says; checkpoints and logs go into work_dir.

    resume: go on from checkpoints/last.pt. Ctrl-C saves it and leaves. profile: take a few steps, print what of them is
    loading, forward and backward, and keep nothing. Returns 0 when the training is done, 1 when it was interrupted.
    Raises ConfigError (also for a network over budget), DataError and FileError.
    """
    config = load_config(config_path, EnhancerConfig)
    torch.set_num_threads(config.train.threads)
    torch.set_flush_denormal(True)
    run = Run(config)
    if profile:
        return run.profile()
    checkpoint = open_checkpoint(config.work_dir / LAST, resume, plain(config), FREE)
    for part in (LAST, LOG):
        make_folder((config.work_dir / part).parent)
    with atomic_path(config.work_dir / COPY, overwrite=True) as temporary:
        shutil.copyfile(config_path, temporary)
    run.start(checkpoint)
    return run.train()


@dataclass
class Progress:
    """Where a run is."""

    step: int = 0
    best: float = -math.inf  # the highest score, or the lowest validation loss times -1
    seconds: float = 0.0  # by the clock, validations too; counted only where [train] minutes ends the run

    def done(self, config: EnhancerTrainConfig) -> float:
        """The share of the run that is over, 1 at its end."""
        return self.seconds / (60.0 * config.minutes) if config.minutes else self.step / config.steps


class Run:
    """One training: the network and all that changes while it learns."""

    def __init__(self, config: EnhancerConfig) -> None:
        self.config = config
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.hours_a_step = config.train.batch * config.train.seconds / 3600.0
        self.half = config.train.bf16 and has_bf16(self.device)
        torch.manual_seed(config.seed)
        self.network = Enhancer(config.body).to(self.device)
        check_budget(self.network.cost(), config.budget)
        self.norms = [part for part in self.network.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
        self.judge = Judge(config.loss, self.network)
        self.averaged = Averaged(self.network, config.train.average)
        chosen = config.train
        self.optimisers = make_optimisers(
            self.network, chosen.method, chosen.rate, chosen.vector_rate, chosen.weight_decay
        )
        self.state = self.network.new_state(len(make_walk(config).rows))
        self.progress = Progress()
        self.seconds: dict[str, float] = defaultdict(float)  # spent in each stage of the steps

    def start(self, checkpoint: dict[str, Any] | None) -> None:
        """Take up a run where its checkpoint was written; None begins one, from [train] start_from if that is set."""
        if checkpoint is None:
            if self.config.train.start_from is not None:
                learned = load_weights(self.config.train.start_from, self.network)
                self.network.load_state_dict(learned)
                self.averaged.network.load_state_dict(learned)
            return
        training = checkpoint["training"]
        self.averaged.network.load_state_dict(checkpoint["network"])
        self.network.load_state_dict(training["network"])
        for optimiser, state in zip(self.optimisers, training["optimisers"], strict=True):
            optimiser.load_state_dict(state)
        self.progress = Progress(**checkpoint["progress"])
        torch.set_rng_state(training["random"])
        heard, pending, *body = (part.to(self.device) for part in training["states"])
        self.state = EnhancerState(heard, pending, body)

    def train(self) -> int:
        """The loop. Returns 0 when it is done, 1 when it was interrupted."""
        config, progress = self.config, self.progress
        validation = validation_clips(config)
        scored = scoring.chosen_clips(config.validation)
        log = Log(config.work_dir / LOG, LOG_COLUMNS, progress.step)
        feed = batches(config, progress.step)
        with stop_request() as asked:
            began, counted = time.perf_counter(), progress.step
            ticked = began
            while progress.done(config.train) < 1.0 and not asked():
                loss, norm = self.step(feed)
                if config.train.minutes:
                    now = time.perf_counter()
                    progress.seconds, ticked = progress.seconds + now - ticked, now
                epoch_ends = self.ends_epoch()
                if epoch_ends or progress.step % config.train.log_every == 0:
                    pace = (progress.step - counted) * self.hours_a_step / (time.perf_counter() - began) * 60.0
                    rate = self.optimisers[0].param_groups[0]["lr"]
                    values = [progress.step * self.hours_a_step, rate, *loss, norm, pace]
                    better = False
                    if epoch_ends:
                        results, better = self.evaluate(validation, scored)
                        values += results
                    log.add(progress.step, values)
                    began, counted = time.perf_counter(), progress.step
                    if epoch_ends:
                        self.save(better)
            self.save()
        if progress.done(config.train) < 1.0:
            print(f"stopped at step {progress.step} and saved; go on with -R", file=sys.stderr)
            return 1
        return 0

    def ends_epoch(self) -> bool:
        """Whether the last step was one after which there is a validation."""
        config = self.config.train
        return self.progress.step % config.evaluate_every == 0 or self.progress.done(config) >= 1.0

    def step(self, feed: Iterator[Batch]) -> tuple[Loss, Tensor]:
        """One update; returns its loss and the norm of its gradient."""
        clock = Clock(self.seconds, self.device)
        batch = next(feed).to(self.device)
        clock.lap("loading")
        set_rates(self.optimisers, learning_factor(self.config.train, self.progress))
        for layer in self.norms:
            layer.train(self.progress.done(self.config.train) < self.config.train.freeze_norms)
        state = self.state.reset(batch.fresh)
        spectrum, heard = self.network.analyse(batch.noisy, state.heard)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            answer = self.network.estimate(spectrum, state.body)
        clock.lap("forward")
        loss = self.judge.compare(answer, batch.target, batch.noisy)
        clock.lap("loss")
        self.state = EnhancerState(heard, state.pending, answer.body).detach()
        self.network.zero_grad()
        loss.total.backward()  # type: ignore[no-untyped-call]
        clock.lap("backward")
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.config.train.clip_norm)
        if not math.isfinite(float(norm)):
            raise DataError(f"step {self.progress.step}: the gradient is not finite; lower [train] rate and go on "
                            "with -R from the last checkpoint")  # fmt: skip
        for optimiser in self.optimisers:
            optimiser.step()
        self.averaged.update(self.network, self.progress.step)
        self.progress.step += 1
        clock.lap("update")
        return loss, norm

    def evaluate(self, validation: list[Batch], scored: list[Clip]) -> tuple[list[float], bool]:
        """What the log tells of an epoch's validation, and whether the weights are the best so far.

        With a set the best are those of the highest score, and epochs without a scoring are never the best.
        """
        network, config = self.averaged.network, self.config
        results = validate(network, validation, self.judge)
        value = -results[0]
        if scored:
            epoch = -(-self.progress.step // config.train.evaluate_every)
            value = -math.inf
            if epoch % config.validation.every == 0 or self.progress.done(config.train) >= 1.0:
                means = scoring.score_set(network, scored, config.validation.processes)
                results += [means[name] for name in scoring.COLUMNS]
                value = means["score"]
        better = value > self.progress.best
        if better:
            self.progress.best = value
        return results, better

    def save(self, best: bool = False) -> None:
        """Write what the loop needs to go on as if it had never stopped; best: and the weights for themselves."""
        content = {
            "network": self.averaged.network.state_dict(),
            "config": plain(self.config),
            "progress": vars(self.progress),
        }
        if best:
            save_checkpoint(self.config.work_dir / BEST, content)
        training = {
            "network": self.network.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "states": [part.cpu() for part in (*self.state[:2], *self.state.body)],
            "random": torch.get_rng_state(),
        }
        save_checkpoint(self.config.work_dir / LAST, content | {"training": training})

    def profile(self) -> int:
        """Print what the network costs a hop, and what a step consists of, in milliseconds and shares."""
        weights = sum(part.numel() for part in self.network.parameters())
        cost = self.network.cost()
        print(f"{weights:,} weights; a hop takes {cost.multiply_adds:,} multiply-adds, {cost.exponentials:,} "
              f"exponentials, {cost.steps} steps")  # fmt: skip
        feed = batches(self.config, 0)
        self.step(feed)
        self.seconds.clear()
        for _ in range(PROFILE_STEPS):
            self.step(feed)
        total = sum(self.seconds.values())
        for stage in STAGES:
            seconds = self.seconds[stage]
            print(f"{stage:<9}{1e3 * seconds / PROFILE_STEPS:8.1f} ms {100.0 * seconds / total:5.1f} %")
        pace = PROFILE_STEPS * self.hours_a_step / total * 60.0
        kind = "bf16" if self.half else "float32"
        print(
            f"step     {1e3 * total / PROFILE_STEPS:8.1f} ms, {pace:.2f} h of audio a minute, {kind} on {self.device}"
        )
        return 0


def learning_factor(config: EnhancerTrainConfig, progress: Progress) -> float:
    """What the rate is multiplied with in the step to come."""
    if progress.step < config.warm_up:
        return (progress.step + 1) / config.warm_up
    left = min(max(1.0 - progress.done(config), 0.0) / max(config.decay_share, 1e-6), 1.0)
    shape = left if config.decay == "linear" else 0.5 * (1.0 - math.cos(math.pi * left))
    lowest = min(config.final_rate / config.rate, 1.0)
    return lowest + (1.0 - lowest) * shape


def load_weights(path: Path, network: Enhancer) -> dict[str, Tensor]:
    """The weights of a checkpoint, which must be of a network of the same sizes."""
    learned = load_checkpoint(path).get("network")
    if not isinstance(learned, dict):
        raise FileError(f"{path} holds no network; [train] start_from is a checkpoint of 'train enhancer'")
    wanted = network.state_dict()
    if {name: part.shape for name, part in learned.items()} != {name: part.shape for name, part in wanted.items()}:
        raise ConfigError(
            f"{path} holds a network of other sizes; set [body] as its config.toml has it, or choose another"
        )
    return learned


def validation_clips(config: EnhancerConfig) -> list[Batch]:
    """The clips that every validation hears, whole."""
    _, source = open_clips(config)
    clips = [take_clip(source, index) for index in range(config.validation.clips)]
    groups = [clips[first : first + AT_ONCE] for first in range(0, len(clips), AT_ONCE)]
    return [make_batch([(clip, 0, len(clip.noisy) // HOP) for clip in group]) for group in groups]


@torch.no_grad()
def validate(network: Enhancer, clips: list[Batch], judge: Judge) -> list[float]:
    """The means of VALIDATED over whole clips, in full precision."""
    network.eval()
    rows = []
    for batch in clips:
        noisy, target, fresh = batch.to(network.window.device)
        state = network.new_state(len(fresh))
        spectrum, _ = network.analyse(noisy, state.heard)
        loss = judge.compare(network.estimate(spectrum, state.body), target, noisy)
        rows.append([float(getattr(loss, "total" if name == "loss" else name)) for name in VALIDATED])
    network.train()
    return [sum(column) / len(rows) for column in zip(*rows, strict=True)]
