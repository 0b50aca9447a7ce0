"""Sources of clips: mixing, pairs and own recordings, each in its share, behind one method."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np

from denoise_wrapper.errors import DataError
from denoise_wrapper.training.config import BlendConfig, DataConfig, MixConfig, Range
from denoise_wrapper.training.data.corpus import open_corpora, split
from denoise_wrapper.training.data.pairs import PairGroup, read_pairs
from denoise_wrapper.training.mix.mixing import HOPS_PER_SECOND, Mix, Mixer, gain, speech_labels

Folders = tuple[Path, ...]


class ClipSource(Protocol):
    """Clips of length samples at rate Hz, as many as wanted; the same index gives the same clip in any process."""

    @property
    def rate(self) -> int: ...
    @property
    def length(self) -> int: ...
    def clip(self, index: int) -> Mix: ...


Sides = tuple[ClipSource, ClipSource]  # training and validation


class PairSource:
    """Makes clips of pairs. The same pairs, settings, seed and index give the same clip."""

    def __init__(
        self, groups: Sequence[PairGroup], rate: int, clip_s: float, seed: int, level_db: Range = (0.0, 0.0)
    ) -> None:
        self.pairs = [pair for group in groups for pair in group.pairs]
        if not self.pairs:
            raise DataError("there is no pair to take clips from; see [data] pairs")
        self.rate, self.seed, self.level_db = rate, seed, level_db
        self.length = round(clip_s * HOPS_PER_SECOND) * (rate // HOPS_PER_SECOND)
        self.ends = np.cumsum([pair.length for pair in self.pairs])

    def clip(self, index: int) -> Mix:
        """Clip number index: a stretch of a pair, or several short ones one after the other, at a level of its own."""
        rng = np.random.default_rng([self.seed, index])
        noisy, clean = np.zeros(self.length, np.float32), np.zeros(self.length, np.float32)
        position, bandwidth_hz = 0, self.rate / 2
        while position < self.length:
            pair = self.pairs[int(np.searchsorted(self.ends, rng.integers(self.ends[-1]), side="right"))]
            room = self.length - position
            spare = pair.length - room
            offset = int(rng.integers(spare + 1)) if spare > 0 and position == 0 else 0
            stop = position + min(pair.length, room)
            noisy[position:stop] = pair.noisy.read(offset, stop - position)
            if pair.clean is not None:
                clean[position:stop] = pair.clean.read(offset, stop - position)
                bandwidth_hz = min(bandwidth_hz, pair.clean.bandwidth_hz)
            position = stop
        peak = max(float(np.max(np.abs(noisy))), float(np.max(np.abs(clean))), 1e-6)
        level = min(gain(rng.uniform(*self.level_db)), np.float32(max(1.0, 0.99 / peak)))
        clean *= level
        noisy *= level
        return Mix(noisy, clean, speech_labels(clean, self.rate // HOPS_PER_SECOND), bandwidth_hz)


class Blend:
    """Two sources in a fixed ratio, evenly interleaved: of n clips in a row, share * n are of first, but for one."""

    def __init__(self, first: ClipSource, second: ClipSource, share: float) -> None:
        if (first.rate, first.length) != (second.rate, second.length):
            raise DataError("sources of one training have clips of one rate and one length")
        self.first, self.second, self.share = first, second, share
        self.rate, self.length = first.rate, first.length

    def clip(self, index: int) -> Mix:
        before = math.floor(index * self.share)
        if math.floor((index + 1) * self.share) > before:
            return self.first.clip(before)
        return self.second.clip(index - before)


def open_sources(
    data: BlendConfig, mix: MixConfig, rate: int, work_dir: Path, seed: int
) -> tuple[ClipSource, ClipSource]:
    """The clips to train on and those to validate on, which share no voice, no reader and no noise.

    rate: Hz to which everything is brought. work_dir: where the decoded audio is kept; 115 MB an hour at 16 kHz.
    Both sides blend as the shares of [data] say. Raises DataError for folders that are absent, unusable or too small
    to be split.
    """
    opener = _Opener(data, mix, rate, work_dir, seed)
    base: Sides | None = None
    if data.speech:
        base = opener.mixing(data.speech, data.noise, data.rooms)
    if data.pairs:
        pairs = opener.pairs(data.pairs)
        base = pairs if base is None else _blend(pairs, base, data.pairs_share)
    if base is None:
        raise DataError("there is nothing to train on; give [data] speech and noise, or pairs, folders of audio")
    own = opener.own()
    return base if own is None else _blend(own, base, data.own_share)


def _blend(first: Sides, second: Sides, share: float) -> Sides:
    return Blend(first[0], second[0], share), Blend(first[1], second[1], share)


@dataclass
class _Opener:
    """Opens the sources of one training, and holds what they have in common."""

    data: BlendConfig
    mix: MixConfig
    rate: int
    work_dir: Path
    seed: int
    opened: int = 0  # sources; each is drawn from by a seed of its own

    def seeds(self) -> tuple[int, int]:
        self.opened += 1
        return 8 * self.seed + 2 * (self.opened - 1), 8 * self.seed + 2 * (self.opened - 1) + 1

    def mixing(self, speech: Folders, noise: Folders, rooms: Folders) -> Sides:
        """Speech and noise mixed as they are asked for."""
        config = DataConfig(speech, noise, rooms, self.data.validation)
        corpora = open_corpora(config, self.rate, self.work_dir, self.seed)
        one, other = (Mixer(corpus, self.mix, seed) for corpus, seed in zip(corpora, self.seeds(), strict=True))
        return one, other

    def pairs(self, folders: Folders) -> Sides:
        groups = tuple(group for folder in folders for group in read_pairs(folder, self.rate, self.work_dir))
        sides = split(groups, self.data.validation, self.seed)
        make = partial(PairSource, rate=self.rate, clip_s=self.mix.clip_s, level_db=self.data.pairs_db)
        one, other = (make(side, seed=seed) for side, seed in zip(sides, self.seeds(), strict=True))
        return one, other

    def own(self) -> Sides | None:
        """Own recordings: folders of pairs, and of speech, noise or both, with what they lack taken from the others."""
        folders = self.data.own
        paired = tuple(folder for folder in folders if (folder / "noisy").is_dir())
        parts = tuple(
            folder
            for folder in folders
            if (folder / "speech").is_dir() or ((folder / "noise").is_dir() and folder not in paired)
        )
        for folder in folders:
            if folder not in paired + parts:
                raise DataError(
                    f"{folder} holds no own recordings; they lie in clean/ and noisy/, or in speech/, noise/ or both"
                )
        own: Sides | None = self.pairs(paired) if paired else None
        if parts:
            speech, noise, rooms = (
                tuple(folder / name for folder in parts if (folder / name).is_dir())
                for name in ("speech", "noise", "rooms")
            )
            for name, found, others in (("speech", speech, self.data.speech), ("noise", noise, self.data.noise)):
                if not found and not others:
                    raise DataError(
                        f"{parts[0]} has no folder {name}, and [data] names no {name} either; give one of them"
                    )
            mixed = self.mixing(speech or self.data.speech, noise or self.data.noise, rooms or self.data.rooms)
            own = mixed if own is None else _blend(own, mixed, len(paired) / (len(paired) + len(parts)))
        return own
