"""A clip's part of the report: all its tracks read, made equally long, drawn and compressed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from denoise_wrapper.compare.clips.clip import Clip
from denoise_wrapper.compare.comparison import REFERENCE, Comparison
from denoise_wrapper.compare.report import images, plots, sound
from denoise_wrapper.errors import DenoiseError

_KEYS = 9  # candidates that have a digit of their own


@dataclass(frozen=True)
class Source:
    """A track to be drawn. path: None if there is nothing, and error says why. loudness_db: gain that evens it out."""

    name: str
    key: str | None
    path: Path | None
    loudness_db: float = 0.0
    error: str | None = None


@dataclass(frozen=True)
class ClipJob:
    """A clip to be drawn. seconds: at most. audio: "opus" or "flac". figure: the PNG file to write."""

    clip: Clip
    sources: tuple[Source, ...]
    seconds: float
    audio: str
    figure: Path

    def draw(self) -> DrawnClip:
        """Make a clip's part, and write its figure."""
        rate = self.clip.rate
        frames = max(1, min(self.clip.frames, round(self.seconds * rate)))
        read = [_read(source, rate, frames) for source in self.sources]
        known = {at: audio for at, audio in enumerate(read) if not isinstance(audio, str)}
        peaks = {at: float(np.abs(audio).max()) for at, audio in known.items()}
        scale = 1.0 / max([1.0, *peaks.values()])
        means = {at: audio.mean(axis=1) for at, audio in known.items()}
        pictures = images.Pictures(
            {at: images.spectrogram_db(mono, rate) for at, mono in means.items()},
            {at: images.extremes(mono) for at, mono in means.items()},
        )
        played_db = [_db(scale * peak) + self.sources[at].loudness_db for at, peak in peaks.items()]
        lower_db = max([0.0, *played_db])

        def track(at: int, source: Source) -> DrawnTrack:
            if at not in known:
                return DrawnTrack(source.name, source.key, error=str(read[at]))
            return DrawnTrack(
                source.name,
                source.key,
                pictures.spectrogram(at),
                pictures.waveform(at),
                sound.encode(scale * known[at], rate, self.audio),
                source.loudness_db - lower_db,
                pictures.filled(at),
                peaks[at],
                _db(math.sqrt(float(np.mean(np.square(known[at], dtype=np.float64))))),
            )

        names = [source.name for source in self.sources]
        plots.draw_clip(self.figure, self.clip.id, names, rate, frames / rate, pictures)
        tracks = tuple(track(at, source) for at, source in enumerate(self.sources))
        return DrawnClip(frames / rate, _db(scale), tracks)


@dataclass(frozen=True)
class DrawnTrack:
    """A track as the page has it: WebP pictures and an audio file; all None, and an error, if there is none.

    loudness_db: gain with which it is as loud as the clip's others, and none of them passes full scale.
    filled: share of the spectrogram that is not black. peak: its loudest sample, with full scale 1. rms_db: dBFS.
    """

    name: str
    key: str | None
    spectrogram: bytes | None = None
    waveform: bytes | None = None
    audio: bytes | None = None
    loudness_db: float = 0.0
    filled: float = 0.0
    peak: float = 0.0
    rms_db: float = -math.inf
    error: str | None = None


@dataclass(frozen=True)
class DrawnClip:
    """Clip as the page has it.

    seconds: that are shown of it. scale_db: by which all its tracks were turned down, 0 or less, to full scale.
    """

    seconds: float
    scale_db: float
    tracks: tuple[DrawnTrack, ...]


def make_jobs(comparison: Comparison, seconds: float, audio: str, figures: Sequence[Path]) -> list[ClipJob]:
    """A job for each clip: as it came, what the candidates made of it, and its reference."""
    jobs = []
    for at, (clip, figure) in enumerate(zip(comparison.clips, figures, strict=True)):
        sources = []
        for number, result in enumerate(comparison.results):
            track = result.tracks[at]
            error = track.error or result.error
            if track.audio is None and error is None:
                error = "there is no audio of it"
            key = str(number) if number <= _KEYS else None
            sources.append(Source(result.name, key, track.audio, track.loudness_db, error))
        if clip.clean is not None:
            sources.append(Source(REFERENCE, "c", clip.clean))
        jobs.append(ClipJob(clip, tuple(sources), seconds, audio, figure))
    return jobs


def _read(source: Source, rate: int, frames: int) -> sound.Float32 | str:
    """A track at the clip's rate and of its length, or why there is none."""
    if source.path is None:
        return source.error or ""
    try:
        audio, own = sound.read_start(source.path, frames / rate)
    except DenoiseError as error:
        return str(error)
    return sound.fit(audio, own, rate, frames)


def _db(factor: float) -> float:
    return 20.0 * math.log10(factor) if factor else -math.inf
