"""A run's log: CSV lines and, where it is installed, TensorBoard; signals that cut no step in two; a step's clock."""

from __future__ import annotations

import contextlib
import csv
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor

from denoise_wrapper.atomic import atomic_path
from denoise_wrapper.errors import file_error
from denoise_wrapper.signals import numbers, patience


class Log:
    """The course of the training: a CSV file, a line on stderr, and a board's curves."""

    def __init__(self, path: Path, columns: tuple[str, ...], step: int, board: Any = None) -> None:
        """Take out lines later than step, of a run that was not saved in time. board: as `open_board` makes it."""
        kept: list[list[str]] = []
        if step and path.is_file():
            with path.open(newline="", encoding="utf-8") as stream:
                kept = [row for row in list(csv.reader(stream))[1:] if int(row[0]) <= step]
        self.path, self.columns, self.board = path, columns, board
        with (
            atomic_path(path, overwrite=True) as temporary,
            temporary.open("w", newline="", encoding="utf-8") as stream,
        ):
            csv.writer(stream).writerows([columns, *kept])

    def show(self, step: int, values: Sequence[float | Tensor], note: str = "") -> list[float]:
        """Print one line, values in the order of the columns after the step, and return them. note: stands before."""
        numbers = [float(torch.as_tensor(value).detach()) for value in values]
        texts = [str(step), *(f"{number:.6g}" for number in numbers)]
        line = "  ".join(f"{name} {text}" for name, text in zip(self.columns, texts, strict=False))
        print(f"{note}  {line}" if note else line, file=sys.stderr)
        return numbers

    def add(self, step: int, values: Sequence[float | Tensor], note: str = "") -> None:
        """Write and print one line, as `show` does."""
        numbers = self.show(step, values, note)
        texts = [str(step), *(f"{number:.6g}" for number in numbers)]
        try:
            with self.path.open("a", newline="", encoding="utf-8") as stream:
                csv.writer(stream).writerow(texts)
        except OSError as error:
            raise file_error(
                f"{self.path} cannot be written ({error.strerror}); make room, go on with -R", error
            ) from error
        for name, number in zip(self.columns[1:], numbers, strict=False) if self.board else ():
            self.board.add_scalar(name, number, step)


def open_board(folder: Path) -> Any:
    """A TensorBoard writer into a folder, or None where tensorboard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder))


STOP_S = 9.0  # in which a run that a signal has asked to stop saves itself


class Stopped(BaseException):
    """The work in hand is given up, because a signal asked the run to stop."""


class StopRequest:
    """What signals that ask to end do to a run: its loop looks if one came, so that no update is cut in two.

    A second one ends the run as it would have done without this.
    """

    def __init__(self) -> None:
        self._asked = self._cuttable = False
        self._before: dict[int, Any] = {}

    def __call__(self) -> bool:
        """True once a signal came."""
        return self._asked

    def is_near(self) -> bool:
        """True if a signal came, or comes at once: one that is sent to all processes may reach others first."""
        deadline = time.monotonic() + 0.3
        while not self._asked and time.monotonic() < deadline:
            time.sleep(0.01)
        return self._asked

    @contextlib.contextmanager
    def cutting(self) -> Iterator[None]:
        """Let a signal raise Stopped within the block, whose work may be done anew or left away."""
        self._cuttable = True
        try:
            if self._asked:
                raise Stopped
            yield
        finally:
            self._cuttable = False

    def listen(self) -> None:
        """Answer the signals from now on, in the main thread; none that this program ignores."""
        for number in numbers():
            if (before := signal.getsignal(number)) != signal.SIG_IGN:
                self._before[number] = before
                signal.signal(number, self._answer)

    def leave(self) -> None:
        """Have all signals answered as before."""
        for number, before in self._before.items():
            signal.signal(number, before)

    def _answer(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            self.leave()
            signal.raise_signal(number)
        self._asked = True
        if self._cuttable:
            self._cuttable = False
            raise Stopped


@contextlib.contextmanager
def stop_request() -> Iterator[StopRequest]:
    """Let INT, TERM, HUP and PIPE ask the run to stop, and to save itself in STOP_S seconds."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    with patience(STOP_S):
        request.listen()
        try:
            yield request
        finally:
            request.leave()


def duration(seconds: float) -> str:
    """A time in words that a glance takes in: 42 s, 3 min 04 s, 5 h 07 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60:02} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60:02} min"


class Clock:
    """Adds up the seconds that each stage of the steps takes."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.began = device, time.perf_counter()
        self.seconds: dict[str, float] = {}  # of each stage, in their order

    def start(self) -> None:
        """Begin a step."""
        self.began = time.perf_counter()

    def lap(self, stage: str) -> None:
        """End a stage and begin the next."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self.began
        self.began = now
