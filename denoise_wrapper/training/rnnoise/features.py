"""Features on disk: mixtures seen through the engine's own front end, in shards that are made once.

A shard is float16 (clips, frames, columns), whose columns a Layout tells. Which shards belong to a set of settings is
in their folder's name; one that is missing is made again, to the same bytes.
"""

from __future__ import annotations

import math
import multiprocessing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import TextColumn

from denoise_wrapper.atomic import atomic_path, make_folder
from denoise_wrapper.backends.features import Extracted, FeatureExtractor, Spectra
from denoise_wrapper.backends.native import FRAME
from denoise_wrapper.errors import DataError
from denoise_wrapper.progress import make_bars
from denoise_wrapper.signals import leave_to_parent, unwind_on_terminate
from denoise_wrapper.training.config import fingerprint
from denoise_wrapper.training.data.corpus import open_corpora
from denoise_wrapper.training.data.packs import held_out_names
from denoise_wrapper.training.mix.mixing import Mix, Mixer
from denoise_wrapper.training.rnnoise.config import RNNoiseConfig

RATE = 48000
FEATURES_VERSION = 3
SIDES = ("train", "validation")
KNOWN_SHARE = 0.37  # of a band that lies below the end of the speech: above it, something can be said of the band


@dataclass(frozen=True)
class Layout:
    """Columns of a row: those of the network's features, then of its bands, then the voice label."""

    family: str
    feature_count: int
    band_hz: tuple[tuple[int, int], ...]  # where each band begins and ends, which is where its neighbours' middles are

    @property
    def bands(self) -> int:
        return len(self.band_hz)

    @property
    def features(self) -> slice:
        return slice(0, self.feature_count)

    @property
    def gains(self) -> slice:
        """Wanted, 0 to 1; -1 where nothing can be said."""
        return slice(self.feature_count, self.feature_count + self.bands)

    @property
    def energy(self) -> slice:
        """log10(0.001 + energy of the clean band), on the scale of the features."""
        return slice(self.feature_count + self.bands, self.feature_count + 2 * self.bands)

    @property
    def voice(self) -> int:
        """1 where speech is heard, 0 where it is not, 0.5 where nobody can say."""
        return self.feature_count + 2 * self.bands

    @property
    def columns(self) -> int:
        return self.voice + 1

    def unknown_bands(self, bandwidth_hz: float) -> NDArray[np.intp]:
        """Bands that lie too far above bandwidth_hz, where the speech ends."""
        low, high = np.array(self.band_hz).T
        return np.flatnonzero((bandwidth_hz - low) / (high - low) < KNOWN_SHARE)


_CLASSIC_HZ = (0, 200, 400, 600, 800, 1000, 1200, 1400, 1600, 2000, 2400, 2800, 3200, 4000, 4800, 5600, 6800, 8000,
               9600, 12000, 15600, 20000)  # fmt: skip
_V02_HZ = (0, 100, 200, 300, 400, 500, 600, 750, 900, 1050, 1200, 1400, 1600, 1800, 2050, 2350, 2650, 3000, 3400, 3850,
           4350, 4900, 5500, 6200, 7000, 7850, 8800, 9900, 11150, 12550, 14100, 15850, 17800, 20000)  # fmt: skip
LAYOUTS = {
    "classic": Layout("classic", 42, tuple(zip((0, *_CLASSIC_HZ[:-1]), (*_CLASSIC_HZ[1:], 20000), strict=True))),
    "v0.2": Layout("v0.2", 65, tuple(zip(_V02_HZ[:-2], _V02_HZ[2:], strict=True))),
}

worker_mixers: dict[str, Mixer] = {}  # of each side, in a process that mixes


@dataclass(frozen=True)
class Shard:
    """One file of clips first to first + count."""

    path: Path
    side: str
    layout: Layout
    first: int
    count: int


def mix_features(mix: Mix, layout: Layout) -> NDArray[np.float16]:
    """A clip as rows of a shard: float16 (frames, layout.columns).

    Gains are unknown, -1, also above the bandwidth of the speech while it sounds.
    """
    return mix_spectra(mix, layout, spectra=False)[0]


def mix_spectra(mix: Mix, layout: Layout, spectra: bool = True) -> tuple[NDArray[np.float16], Spectra | None]:
    """A clip as rows of a shard, as `mix_features`, and the spectra that they come from."""
    extracted, bins = extract_mix(mix, layout, spectra)
    rows = np.empty((len(extracted.features), layout.columns), np.float32)
    rows[:, layout.features], rows[:, layout.gains], rows[:, layout.voice] = (
        extracted.features,
        extracted.gains,
        mix.voice,
    )
    rows[:, layout.energy] = np.log10(extracted.clean_energy + 1e-3)
    return check_finite(rows).astype(np.float16), bins


def extract_mix(mix: Mix, layout: Layout, spectra: bool = False) -> tuple[Extracted, Spectra | None]:
    """The engine's features and targets of a clip's whole frames; gains above sounding speech are unknown."""
    samples = len(mix.noisy) // FRAME * FRAME
    extractor = FeatureExtractor(layout.family)
    extracted, bins = extractor.extract_spectra(mix.noisy[:samples], mix.clean[:samples], spectra)
    sounding = np.maximum(mix.voice, np.append(0.0, mix.voice[:-1])) > 0.0
    extracted.gains[np.ix_(sounding, layout.unknown_bands(mix.bandwidth_hz))] = -1.0
    return extracted, bins


def check_finite(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows of a mixture, which are finite. Raises DataError if they are not."""
    if not np.isfinite(rows).all():
        raise DataError("a mixture gave features that are not finite; this is a fault of the program, please report it")
    return rows


def shards(config: RNNoiseConfig) -> list[Shard]:
    """All files that the settings ask for, whether they exist or not; on-line, those of validation alone."""
    family, per_file = config.network.family, config.features.shard_hours
    left_out = held_out_names((*config.data.speech, *config.data.noise, *config.data.rooms))
    settings = [FEATURES_VERSION, family, config.data, config.mix, config.seed, per_file]
    data = fingerprint(*settings, *([left_out] if left_out else []))
    files = []
    per_shard = max(1, round(config.features.shard_hours * 3600.0 / config.mix.clip_s))
    hours_of = {"validation": config.features.validation_hours, "train": config.features.hours}
    for side, hours in hours_of.items():
        if side == "train" and config.features.online:
            continue
        clips = clips_of(hours, config)
        for number, first in enumerate(range(0, clips, per_shard)):
            path = config.work_dir / f"features-{data}" / f"{side}-{number:04}.npy"
            files.append(Shard(path, side, LAYOUTS[family], first, min(per_shard, clips - first)))
    return files


def clips_of(hours: float, config: RNNoiseConfig) -> int:
    """Clips that so many hours are."""
    return max(1, math.ceil(hours * 3600.0 / config.mix.clip_s))


def train_clips(config: RNNoiseConfig) -> int:
    """Clips that are made to train on; on-line, as many as [features] hours are."""
    made = sum(shard.count for shard in shards(config) if shard.side == "train")
    return made or clips_of(config.features.hours, config)


def make_features(config: RNNoiseConfig) -> list[Shard]:
    """Make the shards that are missing, with as many processes as asked for; returns all of them."""
    wanted = shards(config)
    missing = [shard for shard in wanted if not shard.path.is_file()]
    if not missing:
        return wanted
    make_folder(missing[0].path.parent)
    open_corpora(config.data, RATE, config.cache, config.seed)  # decode once, before the workers all want to
    with make_bars(False, TextColumn("{task.fields[rate]}")) as progress:
        task = progress.add_task("mixing", total=len(missing), rate="")
        context = multiprocessing.get_context("spawn")
        with context.Pool(config.features.processes, start_worker, (config,)) as pool:
            for shard in pool.imap_unordered(make_shard, missing):
                progress.advance(task)
                pace = (progress.tasks[0].speed or 0.0) * shard.count * config.mix.clip_s / 60.0
                progress.update(task, rate=f"{pace:.1f} h a minute")
    return wanted


def start_worker(config: RNNoiseConfig) -> None:
    """Open the audio, once a process. Signals are left to the parent, which ends its workers."""
    leave_to_parent()
    unwind_on_terminate()
    worker_mixers.update(zip(SIDES, open_mixers(config), strict=True))


def open_mixers(config: RNNoiseConfig) -> tuple[Mixer, Mixer]:
    """Open what makes the clips of each side."""
    corpora = open_corpora(config.data, RATE, config.cache, config.seed)
    one, other = (Mixer(corpus, config.mix, config.seed * len(SIDES) + side) for side, corpus in enumerate(corpora))
    return one, other


def make_shard(shard: Shard) -> Shard:
    """Mix the clips of one shard and write it, whole or not at all."""
    mixer = worker_mixers[shard.side]
    clips = range(shard.first, shard.first + shard.count)
    rows = np.stack([mix_features(mixer.clip(index), shard.layout) for index in clips])
    with atomic_path(shard.path, overwrite=True) as temporary, temporary.open("wb") as stream:
        np.save(stream, rows)
    return shard


class FeatureSet:
    """The clips of one side, read from their shards as they are asked for."""

    def __init__(self, files: list[Shard], side: str, layout: Layout) -> None:
        self.layout = layout
        self.shards = [np.load(shard.path, mmap_mode="r") for shard in files if shard.side == side]
        if not self.shards:
            raise DataError(f"there are no features for {side}; make them first")
        self.starts = np.cumsum([0] + [len(shard) for shard in self.shards])
        self.frames = int(self.shards[0].shape[1])

    def __len__(self) -> int:
        return int(self.starts[-1])

    def read(self, clip: int, first: int, count: int) -> NDArray[np.float16]:
        """Frames first to first + count of a clip: float16 (count, layout.columns)."""
        shard = int(np.searchsorted(self.starts, clip, side="right")) - 1
        rows: NDArray[np.float16] = self.shards[shard][clip - self.starts[shard], first : first + count]
        return rows
