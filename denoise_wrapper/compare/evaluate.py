"""A denoiser on a set of clips: clean each, measure it against its reference, take means.

result = evaluate("dev", Denoiser("rnnoise"))
print(result.means()["mean"]["PESQ"])
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import math
import os
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise_wrapper.audio import to_float
from denoise_wrapper.compare.clips.sets import SetClip, check_complete, find_clips, ratio_groups, read_set
from denoise_wrapper.compare.measure import metrics
from denoise_wrapper.compare.measure.metrics import METRICS, Measures
from denoise_wrapper.compare.pools import Report, ignore, run_all, run_in_processes
from denoise_wrapper.denoiser import Denoiser
from denoise_wrapper.errors import AudioError, ConfigError, DenoiseError, FileError
from denoise_wrapper.files.transform import read_file

Path_ = str | os.PathLike[str]

UNPROCESSED = "noisy"  # what a set is called as it came


@dataclass(frozen=True)
class ClipResult:
    """A clip of a set and what was measured: None if it could not be read or cleaned, and error says why.

    delay: samples at 16 kHz by which this clip lags, found by itself; None if that cannot be told.
    """

    clip: SetClip
    measures: Measures | None
    delay: int | None
    error: str | None = None

    def value(self, metric: str) -> float:
        """One metric, NaN if it could not be told."""
        return math.nan if self.measures is None else self.measures.values[metric]


@dataclass(frozen=True)
class Evaluation:
    """What was measured on a set.

    name: of the backend, or the folder of clips that were clean already. delay_ms: the median of the clips' delays,
    taken away from each. model_sha256: of each of the model's files, empty if not known. settings: those of the
    denoiser, empty without one.
    """

    folder: Path
    name: str
    clips: tuple[ClipResult, ...]
    delay_ms: float
    model_sha256: dict[str, str]
    settings: dict[str, Any]

    def means(self) -> dict[str, dict[str, float]]:
        """A row of means for each signal-to-noise ratio, if these are few, and in the end "mean" of all clips.

        A clip that a metric could not judge is left out of that mean; NaN if it judged none.
        """
        groups = ratio_groups([result.clip.snr_db for result in self.clips])
        rows = {name: _means([self.clips[at] for at in places]) for name, places in groups.items()}
        return {**rows, "mean": _means(self.clips)}


def _means(results: Sequence[ClipResult]) -> dict[str, float]:
    row = {}
    for metric in METRICS:
        known = [value for value in (result.value(metric) for result in results) if not math.isnan(value)]
        row[metric] = float(np.mean(known)) if known else math.nan
    return row


@dataclass(frozen=True)
class _Job:
    """A clip to be measured: the file that is judged, or why there is none."""

    clip: SetClip
    path: Path | None
    delay: int | None = None
    error: str | None = None


def evaluate(
    folder: Path_,
    denoiser: Denoiser | None = None,
    *,
    denoised: Path_ | None = None,
    only: str | None = None,
    out: Path_ | None = None,
    overwrite: bool = False,
    jobs: int = 1,
    progress: Report | None = None,
) -> Evaluation:
    """Measure a set as a denoiser cleans it; without one, as it lies cleaned in a folder; or else as it came.

    folder: the set, see `read_set`. denoised: folder with a clip for each of the set's, of the same name, any rate.
    only: a part of the set, see `choose_entries`.
    out: folder to keep the cleaned clips in, as ID.wav. overwrite: whether it may replace clips there.
    jobs: processes that measure; the result is the same for any number. With more than one, a script that calls this
    needs its `if __name__ == "__main__":`. progress: called with (what is being done, clips done, clips in all).
    A clip that cannot be read, cleaned or measured is in the result with the reason.
    Raises DataError if the set is none or not complete, FileError if out cannot be written, ConfigError for settings
    that do not go together or a package that nothing can be measured without.
    """
    if denoiser is not None and denoised is not None:
        raise ConfigError("evaluate takes a denoiser, or a folder of clips that are cleaned already, not both")
    if denoiser is None and out is not None:
        raise ConfigError("out is for clips that a denoiser cleans; without one there are none to keep")
    if jobs < 1:
        raise ConfigError(f"jobs is 1 or more processes, not {jobs}")
    metrics.check_resampler()
    clips = read_set(Path(folder), noisy=denoised is None, only=only)
    jobs = min(jobs, len(clips))
    with contextlib.ExitStack() as stack:
        get: Callable[[SetClip], Path]
        if denoiser is not None:
            get = partial(_clean, denoiser, _target_folder(stack, out, clips, overwrite), overwrite)
        else:
            get = partial(_find, None if denoised is None else _find_denoised(Path(denoised), clips))
        threads = stack.enter_context(ThreadPoolExecutor(jobs))
        prepared = run_all(threads, partial(_prepare, get), clips, partial(progress or ignore, "cleaning"))
        delays = [job.delay for job in prepared if job.delay is not None]
        delay = int(np.median(delays)) if delays else 0
        results = run_in_processes(partial(_measure, delay), prepared, jobs, partial(progress or ignore, "measuring"))
    return Evaluation(
        Path(folder),
        denoiser.backend_name if denoiser is not None else UNPROCESSED if denoised is None else str(denoised),
        tuple(results),
        1000.0 * delay / metrics.RATE,
        {} if denoiser is None else model_hashes(denoiser),
        {} if denoiser is None else dataclasses.asdict(denoiser.settings),
    )


def _target_folder(stack: contextlib.ExitStack, out: Path_ | None, clips: Sequence[SetClip], overwrite: bool) -> Path:
    """Where cleaned clips go: out, or a folder that is gone in the end."""
    if out is None:
        return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="denoise-")))
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        own = {path.parent.resolve() for clip in clips for path in (clip.clean, clip.noisy) if path is not None}
        there = [path for path in (folder / f"{clip.id}.wav" for clip in clips) if path.exists()]
    except OSError as error:
        raise FileError(f"cannot make the folder {out}: {error.strerror}") from error
    if folder.resolve() in own:
        raise FileError(f"{out} holds clips of the set; choose another folder for the cleaned ones")
    if there and not overwrite:
        raise FileError(f"{there[0]} exists; overwrite=True (--overwrite) replaces it")
    return folder


def _clean(denoiser: Denoiser, folder: Path, overwrite: bool, clip: SetClip) -> Path:
    assert clip.noisy is not None
    return denoiser.filter_file(clip.noisy, folder / f"{clip.id}.wav", overwrite=overwrite)


def _find(denoised: dict[str, Path] | None, clip: SetClip) -> Path:
    path = clip.noisy if denoised is None else denoised[clip.id]
    assert path is not None
    return path


def _find_denoised(folder: Path, clips: Sequence[SetClip]) -> dict[str, Path]:
    """The cleaned clips of another program. Raises DataError if one is missing."""
    found = {**find_clips(folder, by_file_id=False), **find_clips(folder)}
    check_complete([clip.id for clip in clips], found, folder)
    return found


def _prepare(get: Callable[[SetClip], Path], clip: SetClip) -> _Job:
    """Get a clip cleaned, and by how much it lags."""
    path = None
    try:
        path = get(clip)
        estimate, clean = (metrics.to_rate(*read_audio(file)) for file in (path, clip.clean))
    except DenoiseError as error:
        return _Job(clip, path, error=str(error))
    try:
        return _Job(clip, path, metrics.find_delay(estimate, clean))
    except AudioError:  # silence, which measuring finds too
        return _Job(clip, path)


def read_audio(path: Path) -> tuple[NDArray[np.float32], int]:
    """A whole file, float32 (frames, channels) with full scale 1, and its rate. Raises FileError or AudioError."""
    samples, rate = read_file(path)
    try:
        return to_float(samples), rate
    except AudioError as error:
        raise AudioError(f"{path}: {error}") from error


def _measure(delay: int, job: _Job) -> ClipResult:
    if job.path is None or job.error is not None:
        return ClipResult(job.clip, None, None, job.error)
    try:
        (estimate, estimate_rate), (clean, rate) = read_audio(job.path), read_audio(job.clip.clean)
    except DenoiseError as error:  # it could be read a moment ago
        return ClipResult(job.clip, None, job.delay, str(error))
    full_band = (job.clip.rate or rate) >= metrics.FULL_BAND_FROM
    measures = metrics.measure(estimate, clean, rate, estimate_rate=estimate_rate, delay=delay, full_band=full_band)
    return ClipResult(job.clip, measures, job.delay)


def model_hashes(denoiser: Denoiser) -> dict[str, str]:
    """SHA-256 of each file of a denoiser's model, as its backend has it; empty if the backend does not show it."""
    data, name = getattr(denoiser.backend, "data", ()), denoiser.backend_name
    files = {name: data} if isinstance(data, bytes) else {f"{name}_{at}": part for at, part in enumerate(data, 1)}
    return {name: hashlib.sha256(part).hexdigest() for name, part in files.items()}
