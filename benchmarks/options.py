"""Options of the command line, as all sections get them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from denoise_wrapper.backends.engine import ModelSource


@dataclass(frozen=True)
class Effort:
    """Amount of work. seconds: of a clip. calls: of a live stream. frames: of the C programs."""

    seconds: int
    rounds: int
    calls: int
    frames: int
    most_streams: int
    minutes: tuple[int, ...]  # files whose peak of memory is measured
    starts: int  # fresh processes of each kind
    optimised: bool  # whether C is compiled as for use, or just quickly


FULL = Effort(
    seconds=60, rounds=5, calls=20000, frames=2000, most_streams=64, minutes=(1, 60), starts=7, optimised=True
)
QUICK = Effort(seconds=1, rounds=1, calls=50, frames=50, most_streams=2, minutes=(1,), starts=1, optimised=False)


@dataclass(frozen=True)
class Options:
    """models: RNNoise models by what to call them, timed beside the shipped ones. pair: a DTLN's, timed beside the
    shipped ones as the backend called dtln. published: the folder of the published pair, if it is there. cores: those
    that the process may use; it is kept on one of them, but for what is timed on all."""

    effort: Effort = FULL
    models: dict[str, ModelSource | None] = field(default_factory=dict)
    dtln: str = "dtln-16k"
    pair: Any = None
    published: Path | None = None
    cores: frozenset[int] = frozenset()
