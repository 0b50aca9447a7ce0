"""Trains the DTLN: one flat loop. `main` is what `denoise-wrapper train dtln` calls.

Under torchrun each process has its share of every batch, and gradients are averaged over all.
"""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from denoise_wrapper.atomic import atomic_path, make_folder
from denoise_wrapper.errors import ConfigError, DataError
from denoise_wrapper.training.config import load_config, plain
from denoise_wrapper.training.dtln.batches import Batch, Walk, batches, open_clips
from denoise_wrapper.training.dtln.config import DTLNConfig
from denoise_wrapper.training.dtln.lift import double_rate
from denoise_wrapper.training.dtln.lineage import LOG, Stage, history, stages
from denoise_wrapper.training.dtln.loss import Loss, compare
from denoise_wrapper.training.dtln.model import DTLN, DTLNState
from denoise_wrapper.training.dtln.publish import publish
from denoise_wrapper.training.dtln.schedule import Progress, learning_factor
from denoise_wrapper.training.run.loop import Log, open_checkpoint, save_checkpoint, stop_request
from denoise_wrapper.training.run.optim import Averaged, has_bf16, make_optimisers, set_rates

LAST, BEST, COPY = "checkpoints/last.pt", "checkpoints/best.pt", "config.toml"
LOG_COLUMNS = ("step", "hours", "rate", "loss", "snr_db", "magnitude", "gradient", "hours_a_minute",
               "validation_loss", "validation_snr_db", "validation_magnitude")  # fmt: skip
FREE = (("meta", "num_epochs"), ("meta", "num_workers"), ("meta", "threads"), ("meta", "log_every"), ("scheduler",),
        ("meta", "preload_model_path"), ("meta", "save_model_dir"), ("trainer", "early_stop"),
        ("trainer", "export_from"))  # fmt: skip
PROFILE_STEPS = 50
STAGES = ("loading", "forward", "backward", "update")


def export(config_path: Path, target: Path) -> None:
    """Write the weights of a run so far as `publish` does, into the folder target."""
    publish(load_config(config_path, DTLNConfig), target)


def main(config_path: Path, resume: bool = False, pretrained: Path | None = None, profile: bool = False) -> int:
    """Train as a TOML file says; checkpoints, logs and at last the pair go into save_model_dir/experiment_name.

    resume: go on from checkpoints/last.pt. Ctrl-C saves it and leaves. pretrained: weights to start from, in place of
    preload_model_path. profile: take a few steps, say what of them is loading, forward and backward, and keep nothing.
    Returns 0 when the training is done, 1 when it was interrupted. Raises ConfigError, DataError, FileError and
    ModelError.
    """
    config = load_config(config_path, DTLNConfig)
    if pretrained is not None:
        config = replace(config, meta=replace(config.meta, preload_model_path=pretrained))
    torch.set_num_threads(config.meta.threads)
    torch.set_flush_denormal(True)
    with processes() as (rank, world, device):
        run = Run(config, rank, world, device)
        if profile:
            return run.profile()
        checkpoint = open_checkpoint(config.run_dir / LAST, resume, plain(config), FREE)
        if rank == 0:
            make_folder((config.run_dir / LAST).parent)
            make_folder((config.run_dir / LOG).parent)
            with atomic_path(config.run_dir / COPY, overwrite=True) as temporary:
                shutil.copyfile(config_path, temporary)
        run.start(checkpoint)
        code = run.train()
        if code == 0 and rank == 0:
            publish(config, config.run_dir)
        return code


@contextlib.contextmanager
def processes() -> Iterator[tuple[int, int, torch.device]]:
    """This process's number, how many there are (torchrun tells), and the device that it computes on."""
    cuda = torch.cuda.is_available()
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield 0, 1, torch.device("cuda" if cuda else "cpu")
        return
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if cuda:
        torch.cuda.set_device(local)
    torch.distributed.init_process_group("nccl" if cuda else "gloo")
    try:
        yield torch.distributed.get_rank(), world, torch.device("cuda", local) if cuda else torch.device("cpu")
    finally:
        torch.distributed.destroy_process_group()


class Run:
    """One training: the network and all that changes while it learns."""

    def __init__(self, config: DTLNConfig, rank: int = 0, world: int = 1, device: torch.device | None = None) -> None:
        self.config, self.rank, self.world = config, rank, world
        self.device = device or torch.device("cpu")
        self.walk = Walk(config, rank, world)
        self.hours_a_step = config.meta.batch_size * self.walk.samples / config.audio.samplerate / 3600.0
        self.half = config.meta.use_amp and has_bf16(self.device)
        torch.manual_seed(config.meta.seed)
        self.network = DTLN(config.model)
        self.network.to(self.device)
        self.averaged = Averaged(self.network, config.trainer.average)
        chosen = config.optimizer
        self.optimisers = make_optimisers(self.network, chosen.method, chosen.lr, chosen.vector_lr, chosen.weight_decay)
        self.state = self.network.new_state(len(self.walk.rows))
        self.progress = Progress()
        self.history: list[Stage] = []  # the runs that the weights come from
        self.seconds: dict[str, float] = defaultdict(float)  # spent in each stage of the steps

    def start(self, checkpoint: dict[str, Any] | None) -> None:
        """Take up a run where its checkpoint was written; None begins one, from preload_model_path if that is set."""
        if checkpoint is None:
            if (path := self.config.meta.preload_model_path) is not None:
                self.history = history(path)
                learned = preload(self.config).state_dict()
                self.network.load_state_dict(learned)
                self.averaged.network.load_state_dict(learned)
            return
        self.history = stages(checkpoint)
        training = checkpoint["training"]
        self.averaged.network.load_state_dict(checkpoint["network"])
        self.network.load_state_dict(training["network"])
        for optimiser, state in zip(self.optimisers, training["optimisers"], strict=True):
            optimiser.load_state_dict(state)
        self.progress = Progress(**checkpoint["progress"])
        torch.set_rng_state(training["random"])
        kept = training["states"]
        if len(kept) == self.world:  # otherwise the clips in progress go on from silence
            self.state = DTLNState.join([part.to(self.device) for part in kept[self.rank]])

    def train(self) -> int:
        """The loop. Returns 0 when it is done, 1 when it was interrupted."""
        config, progress = self.config, self.progress
        steps = config.meta.num_epochs * config.meta.steps_per_epoch
        validation = validation_clips(config) if self.rank == 0 else []
        log = Log(config.run_dir / LOG, LOG_COLUMNS, progress.step) if self.rank == 0 else None
        board = open_board(config) if self.rank == 0 else None
        feed = batches(config, self.walk, self.network.delay, progress.step)
        with stop_request() as asked:
            began, counted = time.perf_counter(), progress.step
            while progress.step < steps and not self.agree(asked()):
                loss, norm = self.step(feed)
                epoch_ends = progress.step % config.meta.steps_per_epoch == 0
                if log and (progress.step % config.meta.log_every == 0 or epoch_ends):
                    pace = (progress.step - counted) * self.hours_a_step / (time.perf_counter() - began) * 60.0
                    values = [progress.step * self.hours_a_step, self.optimisers[0].param_groups[0]["lr"],
                              *(part.item() for part in loss), norm.item(), pace]  # fmt: skip
                    if epoch_ends:
                        result = validate(self.averaged.network, validation, config)
                        values += result
                        better = progress.judge(result[0], config)
                    log.add(progress.step, values)
                    if board:
                        for name, value in zip(LOG_COLUMNS[1:], values, strict=False):
                            board.add_scalar(name, value, progress.step)
                    began, counted = time.perf_counter(), progress.step
                if epoch_ends:
                    self.share_progress()
                    self.save(best=self.rank == 0 and better)
                    if config.trainer.early_stop and progress.epochs_since_best >= config.trainer.early_stop:
                        return 0
            self.save()
        if progress.step < steps:
            print(f"stopped at step {progress.step} and saved; go on with -R", file=sys.stderr)
            return 1
        return 0

    def step(self, feed: Iterator[Batch]) -> tuple[Loss, Tensor]:
        """One update; returns its loss and the norm of its gradient."""
        clock = Clock(self.seconds, self.device)
        batch = next(feed)
        noisy, clean, fresh = (part.to(self.device) for part in batch)
        clock.lap("loading")
        set_rates(self.optimisers, learning_factor(self.config, self.progress))
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            estimate, state = self.network(noisy, self.state.reset(fresh))
        self.state = state.detach()
        loss = compare(estimate, clean, noisy, self.config.loss, self.progress.step)
        clock.lap("forward")
        self.network.zero_grad()
        loss.total.backward()  # type: ignore[no-untyped-call]
        clock.lap("backward")
        self.average_gradients()
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.config.trainer.clip_grad_norm)
        if not math.isfinite(float(norm)):
            raise DataError(f"step {self.progress.step}: the gradient is not finite; lower [optimizer] lr and go on "
                            "with -R from the last checkpoint")  # fmt: skip
        for optimiser in self.optimisers:
            optimiser.step()
        self.averaged.update(self.network, self.progress.step)
        self.progress.step += 1
        clock.lap("update")
        return loss, norm

    def average_gradients(self) -> None:
        """The mean over all processes, where there are several."""
        if self.world > 1:
            gradients = [part.grad for part in self.network.parameters() if part.grad is not None]
            joined = torch.cat([gradient.flatten() for gradient in gradients])
            torch.distributed.all_reduce(joined)
            joined /= self.world
            pieces = joined.split([gradient.numel() for gradient in gradients])
            for gradient, piece in zip(gradients, pieces, strict=True):
                gradient.copy_(piece.view_as(gradient))

    def agree(self, asked: bool) -> bool:
        """Whether any process was asked to stop."""
        if self.world == 1:
            return asked
        vote = torch.tensor(float(asked), device=self.device)
        torch.distributed.all_reduce(vote)
        return bool(vote > 0)

    def share_progress(self) -> None:
        """Tell the other processes what the first one's validation gave."""
        if self.world > 1:
            content = [self.progress]
            torch.distributed.broadcast_object_list(content, src=0, device=self.device)
            vars(self.progress).update(vars(content[0]))  # in place, as the loop holds it too

    def save(self, best: bool = False) -> None:
        """Write what the loop needs to go on as if it had never stopped; best: and the weights for themselves."""
        states: list[Any] = [[part.cpu() for part in self.state.parts()]]
        if self.world > 1:
            gathered: list[Any] | None = [None] * self.world if self.rank == 0 else None
            torch.distributed.gather_object(states[0], gathered, dst=0)
            states = gathered or []
        if self.rank > 0:
            return
        content = {
            "network": self.averaged.network.state_dict(),
            "config": plain(self.config),
            "progress": vars(self.progress),
            "history": [stage._asdict() for stage in self.history],
        }
        if best:
            save_checkpoint(self.config.run_dir / BEST, content)
        training = {
            "network": self.network.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "states": states,
            "random": torch.get_rng_state(),
        }
        save_checkpoint(self.config.run_dir / LAST, content | {"training": training})

    def profile(self) -> int:
        """Print what a step consists of, in milliseconds and shares."""
        feed = batches(self.config, self.walk, self.network.delay, 0)
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
            f"step     {1e3 * total / PROFILE_STEPS:8.1f} ms, {pace:.1f} h of audio a minute, {kind} on {self.device}"
        )
        return 0


class Clock:
    """Adds up what each stage of a step takes."""

    def __init__(self, seconds: dict[str, float], device: torch.device) -> None:
        self.seconds, self.device, self.began = seconds, device, time.perf_counter()

    def lap(self, stage: str) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        now = time.perf_counter()
        self.seconds[stage] += now - self.began
        self.began = now


def preload(config: DTLNConfig) -> DTLN:
    """The network that preload_model_path names, which must be of the config's sizes."""
    from denoise_wrapper.training.dtln.importers import import_network

    path = config.meta.preload_model_path
    assert path is not None
    network, _ = import_network([path])
    if 2 * network.block == config.model.frame_length and 2 * network.hop == config.model.hop_length:
        print(f"{path} is for half the rate; its lower band is taken over, the upper is to be learned", file=sys.stderr)
        network = double_rate(network)
    wanted, found = plain(config.model), plain(network.config)
    names = [f"{name} {found[name]} ({wanted[name]} is wanted)" for name in wanted
             if name != "dropout" and wanted[name] != found[name]]  # fmt: skip
    if names:
        raise ConfigError(f"{path} holds another architecture: {', '.join(names)}; set [model] so, or choose another")
    return network


def validation_clips(config: DTLNConfig) -> list[tuple[Tensor, Tensor]]:
    """The clips that every validation hears, in batches: [(noisy, clean)], float32 (clips, n)."""
    _, source = open_clips(config)
    clips = [source.clip(index) for index in range(config.meta.validation_clips)]
    size = config.meta.batch_size
    return [
        (
            torch.stack([torch.from_numpy(mix.noisy) for mix in clips[first : first + size]]),
            torch.stack([torch.from_numpy(mix.clean) for mix in clips[first : first + size]]),
        )
        for first in range(0, len(clips), size)
    ]


@torch.no_grad()
def validate(network: DTLN, clips: list[tuple[Tensor, Tensor]], config: DTLNConfig) -> list[float]:
    """Loss, ratio in dB and magnitude error over whole clips, in full precision."""
    device = next(network.parameters()).device
    network.eval()
    rows = []
    for turn, (noisy, clean) in enumerate(clips):
        on_device = noisy.to(device)
        loss = compare(network.denoise(on_device), clean.to(device), on_device, config.loss, turn)
        rows.append([float(part) for part in loss])
    network.train()
    means = torch.tensor(rows).nanmean(dim=0)
    return [float(value) for value in means]


def open_board(config: DTLNConfig) -> Any:
    """A TensorBoard writer in logs/, or None where tensorboard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(config.run_dir / "logs"))
