"""Results of a comparison: candidates, clips, and what each candidate made of each clip."""

from __future__ import annotations

import dataclasses
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise_wrapper.compare.clips.clip import Clip, ratio_groups
from denoise_wrapper.compare.measure.measures import QUALITY

MEASURES = tuple(QUALITY)
NOISY = "noisy"  # name of the clips as they came
REFERENCE = "clean"  # name of the references beside the candidates
AS_IT_CAME = "the clips as they came"


@dataclass(frozen=True)
class Track:
    """A clip as a candidate cleaned it.

    audio: WAV of floats, at the clip's rate, mono or with its channels, in time with it and as long; None if it was not
    to be kept, or there is no result, and error says why. values: each of MEASURES, NaN if it could not be measured.
    reasons: why, for those that could not; one that is NaN without a reason does not apply.
    delay_ms: by which this clip lagged by itself, with the latency of the stream that it came through; None if that is
    not known. extra: frames, at the clip's rate, by which the result was longer than the clip; negative if it was
    shorter. lost: samples at 16 kHz by which it was too short once it was in time; None without a result.
    gain_db: by which its level was changed, 0 if that was not asked for. loudness_db: gain with which its speech is as
    loud as that of the clip's other tracks.
    problems: what was not as it should be, in words: another rate, another length.
    """

    clip: Clip
    audio: Path | None = None
    values: dict[str, float] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    delay_ms: float | None = None
    extra: int = 0
    lost: int | None = None
    gain_db: float = 0.0
    loudness_db: float = 0.0
    problems: tuple[str, ...] = ()
    error: str | None = None

    def value(self, measure: str) -> float:
        """One measure, NaN if it could not be measured."""
        return self.values.get(measure, math.nan)

    def faults(self) -> Iterator[str]:
        """Faults of it in words, with the measures that it lacks: a line for each reason."""
        yield from self.problems
        if self.error:
            yield self.error
        missing: dict[str, list[str]] = defaultdict(list)
        for measure, reason in self.reasons.items():
            if reason != self.clip.problem:  # which is the clip's own
                missing[reason].append(QUALITY[measure].label)
        yield from (f"no {', '.join(labels)}: {reason}" for reason, labels in missing.items())


@dataclass(frozen=True)
class Cost:
    """Time and memory that a candidate takes on this machine, one thread. NaN: not measured.

    latency_ms: of a stream at the clips' usual rate. load_ms: to open its model. file_factor: seconds of computing a
    second of audio, a whole file; buffer_factor: the same of buffers of 20 ms through a stream, their median, and
    buffer_p99_factor their 99th percentile. memory_mb: by which the process grew, at most, in MB (10^6 bytes).
    error: why nothing could be measured. crashed: whether the process in which that was tried has died of it.
    """

    latency_ms: float = math.nan
    load_ms: float = math.nan
    file_factor: float = math.nan
    buffer_factor: float = math.nan
    buffer_p99_factor: float = math.nan
    memory_mb: float = math.nan
    error: str | None = None
    crashed: bool = False


@dataclass(frozen=True)
class Result:
    """A candidate's part.

    name: as it is shown, of which no other candidate has the same. description: of the candidate, in words. tracks: one
    for each clip, in their order. delay_ms: the median of the tracks' delays, which is taken away from all.
    cost: None if it was not measured. model_sha256: of each of the model's files, empty if not known.
    settings: those of the Denoiser, empty without one. error: why there is nothing of it at all.
    """

    name: str
    description: str
    tracks: tuple[Track, ...]
    delay_ms: float = 0.0
    cost: Cost | None = None
    model_sha256: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    error: str | None = None

    def values(self, measure: str) -> NDArray[np.float64]:
        """A measure of every clip, NaN where it could not be measured: float64 (clips,)."""
        return np.array([track.value(measure) for track in self.tracks], np.float64)


@dataclass(frozen=True)
class Comparison:
    """Everything that was compared, and how.

    clips: as they are shown. results: of `compare` the clips as they came first, under the name "noisy", then each
    candidate; of `evaluate` what was asked for, in that order.
    mode: "file" or "stream". level_matched: whether the tracks' levels were matched before they were measured.
    date: ISO 8601. processor: its name. inputs: as they were named. skipped: inputs that could not be read, and why.
    folder: keeps the tracks' files, which are gone with it unless they were to be kept; None if they need no keeping.
    """

    clips: tuple[Clip, ...]
    results: tuple[Result, ...]
    mode: str
    level_matched: bool
    date: str
    processor: str
    inputs: tuple[str, ...]
    skipped: tuple[str, ...] = ()
    folder: object = field(default=None, repr=False, compare=False)

    @property
    def candidates(self) -> tuple[Result, ...]:
        """The results but the clips as they came."""
        return tuple(result for result in self.results if result.name != NOISY)

    @property
    def noisy(self) -> Result:
        """The clips as they came; without values if they were not measured."""
        unmeasured = Result(NOISY, AS_IT_CAME, tuple(Track(clip) for clip in self.clips))
        return next((result for result in self.results if result.name == NOISY), unmeasured)

    def with_names(self, shape: Callable[[str], str]) -> Comparison:
        """The comparison, where each name of a clip and of a result is as shape makes it."""
        clips = tuple(dataclasses.replace(clip, id=shape(clip.id)) for clip in self.clips)
        results = []
        for result in self.results:
            named = (dataclasses.replace(track.clip, id=shape(track.clip.id)) for track in result.tracks)
            tracks = tuple(
                dataclasses.replace(track, clip=clip) for track, clip in zip(result.tracks, named, strict=True)
            )
            results.append(dataclasses.replace(result, name=shape(result.name), tracks=tracks))
        return dataclasses.replace(self, clips=clips, results=tuple(results))

    def groups(self) -> dict[str, list[int]]:
        """Indices of the clips of each signal-to-noise ratio, if these are few, by names like "0 dB"; then of "all"."""
        return {**ratio_groups([clip.snr_db for clip in self.clips]), "all": list(range(len(self.clips)))}

    def mean(self, result: Result, measure: str, clips: Iterable[int] | None = None) -> float:
        """The mean of a measure over clips (None: all) that it could judge; NaN if it judged none."""
        values = result.values(measure)
        known = values if clips is None else values[list(clips)]
        known = known[~np.isnan(known)]
        return float(known.mean()) if len(known) else math.nan

    def faults(self) -> Iterator[tuple[str, str]]:
        """(where, what) of all that went wrong or could not be measured; where is "" of what was skipped."""
        yield from (("", line) for line in self.skipped)
        for clip in self.clips:
            if clip.problem:
                yield clip.id, clip.problem
        for result in self.results:
            if result.error:
                yield result.name, result.error
                continue
            if result.cost is not None and result.cost.error:
                yield result.name, f"its cost was not measured: {result.cost.error}"
            for track in result.tracks:
                yield from ((f"{result.name} on {track.clip.id}", fault) for fault in track.faults())

    def problems(self) -> Iterator[str]:
        """Faults and measures that are missing, a line each; nothing if all is well."""
        yield from (f"{where}: {what}" if where else what for where, what in self.faults())
