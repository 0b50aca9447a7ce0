"""A training of any family: all that changes while a network learns, and one flat loop."""

from __future__ import annotations

import abc
import contextlib
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import torch
from torch import Tensor, nn

from denoise_wrapper.atomic import atomic_path, make_folder
from denoise_wrapper.errors import DataError
from denoise_wrapper.machine import idle_cores
from denoise_wrapper.training.config import RunConfig, load_config, plain
from denoise_wrapper.training.run.card import settings_toml
from denoise_wrapper.training.run.checkpoint import (
    BEST,
    LAST,
    LOG,
    Name,
    flatten,
    map_tensors,
    open_checkpoint,
    save_checkpoint,
)
from denoise_wrapper.training.run.lineage import Stage, stages
from denoise_wrapper.training.run.log import Clock, Log, Stopped, StopRequest, duration, open_board, stop_request
from denoise_wrapper.training.run.optim import Averaged, has_bf16, make_optimisers, set_rates
from denoise_wrapper.training.run.processes import Processes, processes
from denoise_wrapper.training.run.rates import Progress, learning_factor
from denoise_wrapper.training.run.start import begun_with, freeze

C = TypeVar("C", bound=RunConfig)
N = TypeVar("N", bound=nn.Module)
COPY = "config.toml"  # the settings that the run was started or last resumed with
PROFILE_STEPS = 20
LENGTH = ("steps", "epochs", "minutes", "early_stop")
SHOWN_S = 10.0  # a line at least every so many seconds
FREE: frozenset[Name] = frozenset({("work_dir",), ("cache_dir",)}) | {
    ("train", name) for name in (*LENGTH, "threads", "log_every")
}


class Run(abc.ABC, Generic[C, N]):
    """One training: the network and all that changes while it learns. A family says how its network is made, fed,
    judged and validated."""

    last: ClassVar[str] = LAST  # files in work_dir
    best: ClassVar[str | None] = BEST
    log: ClassVar[str] = LOG
    losses: ClassVar[tuple[str, ...]]  # names of what `compare` returns
    results: ClassVar[tuple[str, ...]]  # names of what `validate` returns
    free: ClassVar[frozenset[Name]] = FREE  # settings that may differ from those of the checkpoint that a run resumes
    hours_a_step: float  # of audio, over all processes
    state: Any  # of the network in each row: tensors in tuples or lists

    def __init__(self, config: C, group: Processes | None = None) -> None:
        """group: the processes that share the work; None: this one alone, on the CPU."""
        self.config, self.group = config, group or Processes()
        self.device, chosen = self.group.device, config.train
        torch.manual_seed(config.seed)
        self.network: N = self.make_network().to(self.device)
        freeze(self.network, chosen.freeze)
        self.averaged = Averaged(self.network, chosen.average)
        self.kept: dict[str, Any] = {}  # what its checkpoints hold beside what each has
        self.optimisers = make_optimisers(
            self.network, chosen.method, chosen.rate, chosen.vector_rate, chosen.weight_decay
        )
        self.half = chosen.bf16 and has_bf16(self.device)
        self.progress = Progress()
        self.history: list[Stage] = []  # the runs that the weights come from
        self.clock = Clock(self.device)

    @abc.abstractmethod
    def make_network(self) -> N:
        """A network with random weights."""

    @abc.abstractmethod
    def batches(self, step: int) -> Iterator[Any]:
        """The batches of this process's rows from step on, endless: tensors in tuples."""

    @abc.abstractmethod
    def compare(self, batch: Any) -> tuple[Tensor, ...]:
        """Go through a batch on the device, from `state` on, which is set anew; returns the loss, then its parts.

        The clock's lap "forward" ends before the loss.
        """

    @abc.abstractmethod
    def open_validation(self) -> Any:
        """The clips to validate on."""

    @abc.abstractmethod
    def validate(self, clips: Any) -> tuple[list[float], float | None]:
        """Compare the averaged network's answers, without gradients; returns `results`, and the number of them that the
        best weights have the least of, or None where these cannot be the best."""

    def begin(self) -> None:
        """Take over what a new run starts from."""

    def constrain(self) -> None:
        """Bring weights back into their range after an update."""

    def publish(self, target: Path) -> list[Path]:
        """Write the finished model into a folder; returns its files."""
        return [path for path in (target / name for name in (self.best, self.last) if name) if path.is_file()]

    @classmethod
    def epoch_steps(cls, config: C) -> int:
        """Steps of an epoch."""
        return config.train.evaluate_every

    @classmethod
    def upgrade(cls, checkpoint: dict[str, Any]) -> dict[str, Any]:
        """A checkpoint as it is written now, of one as it may have been written before."""
        return checkpoint

    def train(self) -> int:
        """The loop. Returns 0 when it is done, 1 when it was interrupted."""
        chosen, progress, first = self.config.train, self.progress, self.group.rank == 0
        clips = self.open_validation() if first else None
        log = self.open_log() if first else None
        feed = self.batches(progress.step)
        with stop_request() as stop:
            ticked = began = shown = time.perf_counter()
            counted, over = progress.step, progress.done(chosen) >= 1.0
            clock = Countdown(progress.done(chosen))
            while not over and not self.group.any(stop()):
                learned = self.learn(feed, stop)
                if learned is None:
                    break
                loss, norm = learned
                self.update()
                now = time.perf_counter()
                progress.seconds, ticked = progress.seconds + now - ticked, now
                over = self.group.any(progress.done(chosen) >= 1.0)
                epoch_ends = over or progress.step % chosen.evaluate_every == 0
                better = False
                if log and (epoch_ends or progress.step % chosen.log_every == 0):
                    pace = (progress.step - counted) * self.hours_a_step / (time.perf_counter() - began) * 60.0
                    values: list[float | Tensor] = [progress.step * self.hours_a_step, self.rate, *loss, norm, pace]
                    if epoch_ends:
                        try:
                            with self.cutting(stop):
                                results, better = self.evaluate(clips)
                        except Stopped:
                            break
                        values += results
                    log.add(progress.step, values, clock.note(progress.done(chosen)))
                    began = shown = time.perf_counter()
                    counted = progress.step
                elif log and (clock.first or now - shown > SHOWN_S):
                    part: list[float | Tensor] = [progress.step * self.hours_a_step, self.rate, *loss, norm]
                    log.show(progress.step, part, clock.note(progress.done(chosen)))
                    shown = time.perf_counter()
                if epoch_ends:
                    self.group.share(vars(progress))
                    self.save(better)
                    if chosen.early_stop and progress.epochs_since_best >= chosen.early_stop:
                        return 0
            self.save()
        if not over or stop():
            print(f"stopped at step {progress.step} and saved; go on with -R", file=sys.stderr)
            return 1
        return 0

    def cutting(self, stop: StopRequest) -> contextlib.AbstractContextManager[None]:
        """Let a signal cut what is done within; not where other processes would wait for this one."""
        return stop.cutting() if self.group.world == 1 else contextlib.nullcontext()

    def learn(self, feed: Iterator[Any], stop: StopRequest) -> tuple[tuple[Tensor, ...], Tensor] | None:
        """Make the gradients of a step, as `gradients` does; None, with all as it was, if a signal asks to stop."""
        random, state, buffers = torch.get_rng_state(), self.state, [part.clone() for part in self.network.buffers()]
        try:
            with self.cutting(stop):
                return self.gradients(feed)
        except Stopped:
            pass
        except RuntimeError:  # as of a process that mixes, which the signal has reached first
            if not stop.is_near():
                raise
        self.state = state
        torch.set_rng_state(random)
        for part, before in zip(self.network.buffers(), buffers, strict=True):
            part.copy_(before)
        return None

    def step(self, feed: Iterator[Any]) -> tuple[tuple[Tensor, ...], Tensor]:
        """One update; returns its loss, with its parts, and the norm of its gradient."""
        learned = self.gradients(feed)
        self.update()
        return learned

    def gradients(self, feed: Iterator[Any]) -> tuple[tuple[Tensor, ...], Tensor]:
        """Make the gradients of the next batch; returns the loss, with its parts, and the gradient's norm."""
        self.clock.start()
        batch = map_tensors(lambda part: part.to(self.device), next(feed))
        self.clock.lap("loading")
        set_rates(self.optimisers, learning_factor(self.config.train, self.progress))
        loss = self.compare(batch)
        self.clock.lap("loss")
        self.network.zero_grad()
        loss[0].backward()  # type: ignore[no-untyped-call]
        self.clock.lap("backward")
        self.group.average_gradients(self.network)
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.config.train.clip_norm)
        if not math.isfinite(float(norm)):
            raise DataError(f"step {self.progress.step}: the gradient is not finite; lower the rate and go on with -R "
                            "from the last checkpoint, or look at the data")  # fmt: skip
        return loss, norm

    def update(self) -> None:
        """Move the weights by the gradients."""
        for optimiser in self.optimisers:
            optimiser.step()
        self.constrain()
        self.averaged.update(self.network, self.progress.step)
        self.progress.step += 1
        self.clock.lap("update")

    @torch.no_grad()
    def evaluate(self, clips: Any) -> tuple[list[float], bool]:
        """Validate; returns what the log has of it, and True if the weights are the best so far."""
        self.averaged.network.eval()
        results, result = self.validate(clips)
        return results, result is not None and self.progress.judge(result, self.config.train.patience)

    @property
    def rate(self) -> float:
        """The learning rate of the last step."""
        return float(self.optimisers[0].param_groups[0]["lr"])

    def open_log(self) -> Log:
        columns = ("step", "hours", "rate", *self.losses, "gradient", "hours_a_minute")
        columns += tuple(f"validation_{name}" for name in self.results)
        path = self.config.work_dir / self.log
        return Log(path, columns, self.progress.step, open_board(self.config.work_dir / "logs"))

    def start(self, checkpoint: dict[str, Any] | None) -> None:
        """Take up a run where its checkpoint was written; None begins one."""
        if checkpoint is None:
            self.begin()
            return
        checkpoint = self.upgrade(checkpoint)
        training = checkpoint["training"]
        self.history = stages(checkpoint)
        self.averaged.network.load_state_dict(checkpoint["network"])
        self.network.load_state_dict(training["network"])
        for optimiser, state in zip(self.optimisers, training["optimisers"], strict=True):
            optimiser.load_state_dict(state)
        self.progress = Progress(**checkpoint["progress"])
        torch.set_rng_state(training["random"])
        states = training["states"]
        if len(states) == self.group.world:  # otherwise the clips in progress go on from silence
            kept = iter(states[self.group.rank])
            self.state = map_tensors(lambda _: next(kept).to(self.device), self.state)

    def save(self, best: bool = False) -> None:
        """Write what the loop needs to go on as if it had never stopped; best: and the weights for themselves."""
        states = self.group.gather([part.cpu() for part in flatten(self.state)])
        if self.group.rank > 0:
            return
        content = {
            "network": self.averaged.network.state_dict(),
            "config": plain(self.config),
            "progress": vars(self.progress),
            "history": [stage._asdict() for stage in self.history],
        } | self.kept
        if best and self.best is not None:
            save_checkpoint(self.config.work_dir / self.best, content)
        training = {
            "network": self.network.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "states": states,
            "random": torch.get_rng_state(),
        }
        save_checkpoint(self.config.work_dir / self.last, content | {"training": training})

    def profile(self) -> int:
        """Print how fast a step is, then what it consists of, in milliseconds and shares, and keep nothing."""
        feed = self.batches(0)
        self.step(feed)
        self.clock.seconds.clear()
        for _ in range(PROFILE_STEPS):
            self.step(feed)
        chosen, total = self.config.train, sum(self.clock.seconds.values())
        pace, kind = PROFILE_STEPS * self.hours_a_step / total * 60.0, "bf16" if self.half else "float32"
        whole = "" if chosen.minutes else f": {duration(chosen.steps * total / PROFILE_STEPS)} for {chosen.steps} steps"
        print(f"{pace:.2f} h of audio a minute, {kind} on {self.device}{whole}")
        print(f"a step takes {1e3 * total / PROFILE_STEPS:.1f} ms, of which")
        for stage, seconds in self.clock.seconds.items():
            print(f"    {stage:<9}{1e3 * seconds / PROFILE_STEPS:8.1f} ms {100.0 * seconds / total:5.1f} %")
        return 0


@contextlib.contextmanager
def flushed_denormals() -> Iterator[None]:
    """Take denormals for zeros within the block: the mode of the whole thread, so it is put back."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def train(
    kind: type[Run[C, Any]], config: C, resume: bool = False, profile: bool = False, toml: str | None = None
) -> int:
    """Train as a config says; checkpoints, the log and at last the model go into its work_dir.

    resume: go on from the last checkpoint. Ctrl-C, or another signal to end, saves one and leaves. profile: take a few
    steps, print what of them is loading, forward and backward, and keep nothing. toml: the settings as the user wrote
    them, to be kept with the run; None: as they are. Returns 0 when the training is done, 1 when it was interrupted.
    Raises ConfigError, DataError, FileError and ModelError.
    """
    began = time.perf_counter()
    if config.train.epochs:
        steps = config.train.epochs * kind.epoch_steps(config)
        config = replace(config, train=replace(config.train, steps=steps))
    torch.set_num_threads(config.train.threads or max(1, min(2, idle_cores())))
    with processes() as group, flushed_denormals():
        run = kind(config, group)
        if profile:
            return run.profile()
        checkpoint = open_checkpoint(config.work_dir / kind.last, resume, config, kind.free)
        if group.rank == 0:
            for file in (kind.last, kind.log):
                make_folder((config.work_dir / file).parent)
            with atomic_path(config.work_dir / COPY, overwrite=True) as temporary:
                temporary.write_text(toml or settings_toml(plain(config)), encoding="utf-8")
        run.start(checkpoint)
        if group.rank == 0:
            announce(run)
        code = run.train()
        if code == 0 and group.rank == 0:
            report(run, run.publish(config.work_dir), time.perf_counter() - began)
        return code


def load_run(
    path: Path, read: Callable[[dict[str, Any], bool], C], last: str, start_from: Path | None, epochs: int | None,
    resume: bool,
) -> C:  # fmt: skip
    """Read the settings of a run from a TOML file.

    read: makes them of TOML's tables, as `RunConfig.read` does. last: its checkpoint, in work_dir. start_from, epochs:
    in place of its own. resume: of a run that has begun, with the weights that it began with where nothing names
    others.
    """
    config = load_config(path, lambda table: read(table, start_from is not None))
    if resume and start_from is None and config.train.start_from is None:
        start_from = begun_with(config.work_dir / last)
        if start_from is not None:
            config = load_config(path, lambda table: read(table, True))
    return config.changed(start_from, epochs)


def announce(run: Run[Any, Any]) -> None:
    """Say on stderr how long the run is, or that it is over already."""
    chosen, step = run.config.train, run.progress.step
    length = f"{chosen.minutes:g} minutes" if chosen.minutes else f"{chosen.steps} steps"
    epochs = f" ({chosen.epochs} epochs)" if chosen.epochs else ""
    if run.progress.done(chosen) >= 1.0:
        print(f"{run.config.name}: finished before, at step {step} of {length}{epochs}; to train longer, raise "
              "[train] steps, epochs or minutes", file=sys.stderr)  # fmt: skip
        return
    begun = f", from step {step} on" if step else ""
    print(f"{run.config.name}: {length}{epochs}{begun}, {run.hours_a_step * 3600.0:.4g} s of audio each, "
          f"in {run.config.work_dir}", file=sys.stderr)  # fmt: skip


def report(run: Run[Any, Any], files: list[Path], seconds: float) -> None:
    """Say what a finished run wrote, and how long it took."""
    hours = run.progress.step * run.hours_a_step
    print(f"{run.config.name}: {run.progress.step} steps, {hours:.3g} h of audio, {duration(run.progress.seconds)} of "
          f"training; this call took {duration(seconds)}", file=sys.stderr)  # fmt: skip
    for path in files:
        print(path)


class Countdown:
    """The share of a run that is over, and the time left at the pace of this process."""

    def __init__(self, done: float) -> None:
        self.began, self.done, self.first = time.perf_counter(), done, True

    def note(self, done: float) -> str:
        """A few words; done: the share, 0 to 1."""
        self.first = False
        passed, share = time.perf_counter() - self.began, done - self.done
        left = f", {duration(passed * (1.0 - done) / share)} left" if share > 0.0 and done < 1.0 else ""
        return f"{100.0 * min(done, 1.0):.3g} %{left}"
