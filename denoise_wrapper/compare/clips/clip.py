"""A clip to measure on, and the groups that clips of one signal-to-noise ratio make."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence
from pathlib import Path

from denoise_wrapper.files.transform import open_source, read_file

MOST_GROUPS = 8  # more different ratios than this are no groups to take means of


@dataclasses.dataclass(frozen=True)
class Clip:
    """A clip that the candidates clean.

    id: its name, of which no other clip has the same. noisy: the file; the reference in a set that has no noisy clips.
    clean: its reference, None without one. snr_db: its ratio of signal to noise, None if that is not known.
    rate: Hz, frames: how many, of the noisy file; 0 of a file that cannot be read.
    problem: the reason why it has no reference although it should have one.
    source_rate: Hz of the recordings that it was made of, as a manifest has it; None if that is not known.
    """

    id: str
    noisy: Path
    clean: Path | None = None
    snr_db: float | None = None
    rate: int = 0
    frames: int = 0
    problem: str | None = None
    source_rate: int | None = None

    @property
    def seconds(self) -> float:
        """Length in seconds, 0 of a file that cannot be read."""
        return self.frames / self.rate if self.rate else 0.0


def with_size(clip: Clip) -> Clip:
    """A clip with the rate and the length of its noisy file. Raises FileError if that cannot be read."""
    with contextlib.ExitStack() as stack:
        source = open_source(clip.noisy, stack)
        if source.total:
            return dataclasses.replace(clip, rate=source.rate, frames=source.total)
    samples, rate = read_file(clip.noisy)  # some formats do not say how long they are
    return dataclasses.replace(clip, rate=rate, frames=len(samples))


def ratio_groups(ratios: Sequence[float | None]) -> dict[str, list[int]]:
    """Indices of the clips of each signal-to-noise ratio, by names like "0 dB", in rising order.

    Empty if all known ratios are alike, or more than eight differ. None: a clip whose ratio is not known, in no group.
    """
    names = sorted({ratio for ratio in ratios if ratio is not None})
    groups = {f"{name:g} dB": [at for at, ratio in enumerate(ratios) if ratio == name] for name in names}
    return groups if 1 < len(groups) <= MOST_GROUPS else {}
