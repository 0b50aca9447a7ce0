"""A comparison: every candidate cleans every clip, and each result is brought in time, measured and kept to be heard.

comparison = compare(["dev"], ["rnnoise", "dtln-16k", "other/librnnoise.so"], jobs=2)
print(comparison.mean(comparison.results[1], "PESQ"))
"""

from __future__ import annotations

import dataclasses
import datetime
import os
import shutil
import tempfile
import weakref
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise_wrapper.audio import to_float
from denoise_wrapper.backends import backend_names
from denoise_wrapper.compare.candidates import Candidate, Given, hashes, make_candidates
from denoise_wrapper.compare.clips.inputs import find_inputs
from denoise_wrapper.compare.clips.others import Others
from denoise_wrapper.compare.comparison import Clip, Comparison, Cost, Result, Track
from denoise_wrapper.compare.cost import measure_cost
from denoise_wrapper.compare.evaluate import UNPROCESSED, Path_, read_audio
from denoise_wrapper.compare.measure import metrics
from denoise_wrapper.compare.pools import Report, ignore, run_all, run_in_processes
from denoise_wrapper.compare.track import Raw, finish
from denoise_wrapper.denoiser import Denoiser
from denoise_wrapper.errors import AudioError, ConfigError, DenoiseError, FileError, ModelError
from denoise_wrapper.files.transform import read_file
from denoise_wrapper.machine import processor_name

Array = NDArray[Any]
Float32 = NDArray[np.float32]

FILE, STREAM = "file", "stream"  # modes
BUFFER_S = 0.020  # of a stream's buffer
COST_S = 10  # seconds of a clip with which costs are measured


def compare(
    inputs: Path_ | Sequence[Path_],
    candidates: Sequence[Given] | None = None,
    *,
    clean: Path_ | None = None,
    mode: str = FILE,
    match_levels: bool = False,
    keep: Path_ | None = None,
    overwrite: bool = False,
    jobs: int = 1,
    progress: Report | None = None,
) -> Comparison:
    """Clean clips by each candidate, bring the results in time with the clips, and measure them.

    inputs: audio files, folders of them, and sets, folders with noisy/ and clean/. candidates: names of backends, paths
    of models, of foreign libraries and of folders that another program has cleaned, Denoisers, Candidates, or words as
    `parse_candidate` takes; None for all backends. clean: the reference of one file, or a folder of references of the
    same names, for clips that are in no set.
    mode: "file" gives each clip to a denoiser as a whole, "stream" by buffers of 20 ms to a live stream.
    match_levels: whether each result is made as loud as the reference (without one, as the clip), by its speech.
    keep: folder in which the results are kept, CANDIDATE/CLIP.wav; None to have them as long as the Comparison lives.
    overwrite: whether files there may be replaced. jobs: threads that clean, and processes that measure; with more than
    one, a script that calls this needs its `if __name__ == "__main__":`. progress: called with (what, done, in all).

    A clip that cannot be read, a missing reference, a candidate that raises, crashes or answers with another length are
    in the result with the reason, see `Comparison.problems`. Raises DataError or FileError if there is nothing to
    compare on, ConfigError for settings that do not go together or a package that nothing can be measured without, and
    ModelError if no candidate can be used at all.
    """
    if mode not in (FILE, STREAM):
        raise ConfigError(f"mode is {FILE!r} or {STREAM!r}, not {mode!r}")
    if jobs < 1:
        raise ConfigError(f"jobs is 1 or more processes, not {jobs}")
    metrics.check_resampler()
    named = [inputs] if isinstance(inputs, str | os.PathLike) else list(inputs)
    chosen = make_candidates(backend_names() if candidates is None else candidates)
    if not chosen:
        raise ConfigError("nothing was named to compare; name a backend, a model, a library or a folder")
    clips, skipped = find_inputs([Path(path) for path in named], None if clean is None else Path(clean))
    report = progress or ignore
    scratch = _Scratch()
    try:
        targets = _targets(scratch.path if keep is None else Path(keep), chosen, clips, overwrite, keep is not None)
        parts = _open_all(chosen, clips, report)
        raws = _clean_all(parts, clips, mode, scratch.path, jobs, report)
        results = _finish_all(parts, raws, targets, match_levels, jobs, report)
    except BaseException:
        scratch.remove()
        raise
    return Comparison(
        tuple(clips),
        tuple(results),
        mode,
        match_levels,
        datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        processor_name(),
        tuple(os.fspath(path) for path in named),
        tuple(skipped),
        scratch,
    )


class _Scratch:
    """A folder that is gone with this object, or when the program ends."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="denoise-"))
        self._end = weakref.finalize(self, shutil.rmtree, self.path, True)

    def remove(self) -> None:
        self._end()


@dataclasses.dataclass(frozen=True)
class _Part:
    """A candidate that is ready, or why it is not; the clips as they came if candidate is None.

    denoiser: None for what is not cleaned here.
    """

    candidate: Candidate | None
    denoiser: Denoiser | None = None
    others: Others | None = None
    cost: Cost | None = None
    error: str | None = None

    @property
    def name(self) -> str:
        return UNPROCESSED if self.candidate is None else self.candidate.name


def _targets(
    folder: Path, candidates: Sequence[Candidate], clips: Sequence[Clip], overwrite: bool, kept: bool
) -> dict[tuple[str, str], Path]:
    """Where each result goes, by candidate and clip. Raises FileError if that cannot be, before any work."""
    names = [UNPROCESSED, *(candidate.name for candidate in candidates)]
    targets = {(name, clip.id): folder / name / f"{clip.id}.wav" for name in names for clip in clips}
    own = {os.path.realpath(path) for clip in clips for path in (clip.noisy, clip.clean) if path is not None}
    own |= {os.path.realpath(path) for one in candidates if one.folder is not None for path in one.folder.iterdir()}
    try:
        for path in targets.values():
            if os.path.realpath(path) in own:
                raise FileError(f"{path} is one of the clips that are compared; choose another folder for the results")
            if path.exists() and not overwrite:
                raise FileError(f"{path} exists; overwrite=True (--overwrite) replaces it")
        if kept:
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"cannot make the folder {folder}: {error.strerror}") from error
    return targets


def _open_all(candidates: Sequence[Candidate], clips: Sequence[Clip], report: Report) -> list[_Part]:
    """The clips as they came, and each candidate, opened and its cost measured. Raises ModelError if none can be."""
    rate = Counter(clip.rate for clip in clips).most_common(1)[0][0]
    sample = _sample(clips, rate)
    parts = [_Part(None)]
    for number, candidate in enumerate(candidates):
        report("timing", number, len(candidates))
        parts.append(_open(candidate, sample, rate))
    report("timing", len(candidates), len(candidates))
    errors = [f"{part.name}: {part.error}" for part in parts[1:]]
    if all(part.error is not None for part in parts[1:]):
        raise ModelError(f"no candidate can be used: {'; '.join(errors)}")
    return parts


def _open(candidate: Candidate, sample: Float32, rate: int) -> _Part:
    if candidate.folder is not None:
        try:
            return _Part(candidate, others=Others(candidate.folder))
        except DenoiseError as error:
            return _Part(candidate, error=str(error))
    cost = measure_cost(candidate, sample, rate)
    if cost.crashed:
        return _Part(candidate, cost=cost, error=cost.error)
    try:
        return _Part(candidate, candidate.open(), cost=cost)
    except Exception as error:
        return _Part(candidate, error=_words(error))


def _sample(clips: Sequence[Clip], rate: int) -> Float32:
    """Some seconds of the clips of that rate, mono, for measuring costs; a faint noise if none can be read."""
    for clip in clips:
        if clip.rate == rate:
            try:
                samples, _ = read_audio(clip.noisy)
            except DenoiseError:
                continue
            if len(samples):
                return np.resize(samples[:, 0], COST_S * rate)
    return (np.random.default_rng(0).standard_normal(COST_S * rate) * 1e-3).astype(np.float32)


def _clean_all(
    parts: Sequence[_Part], clips: Sequence[Clip], mode: str, folder: Path, jobs: int, report: Report
) -> list[Raw]:
    """What each makes of each clip, candidate by candidate."""
    items = [(part, clip) for part in parts for clip in clips]
    files = [folder / f"{number}.npy" for number in range(len(items))]
    task: Callable[[tuple[tuple[_Part, Clip], Path]], Raw] = partial(_clean, mode)
    with ThreadPoolExecutor(jobs) as threads:
        return run_all(threads, task, list(zip(items, files, strict=True)), partial(report, "cleaning"))


def _clean(mode: str, item: tuple[tuple[_Part, Clip], Path]) -> Raw:
    """One clip by one candidate; whatever it raises is the result's error."""
    (part, clip), file = item
    if part.error is not None:
        return Raw(clip, error=part.error)
    try:
        latency = 0
        if part.denoiser is not None:
            noisy, rate = read_file(clip.noisy)
            if mode == STREAM:
                cleaned, latency = _stream(part.denoiser, noisy, rate)
            else:
                cleaned = part.denoiser.filter(noisy, rate)
            samples = to_float(cleaned)
        else:
            samples, rate = read_audio(clip.noisy if part.others is None else part.others.find(clip))
        bad = np.flatnonzero(~np.isfinite(samples).all(axis=1))
        if len(bad):
            raise AudioError(
                f"its result holds {len(bad)} frames that are not finite, the first at {bad[0] / rate:.3f} s"
            )
        np.save(file, samples)
        return Raw(clip, file, rate, _delay(samples, rate, clip), latency_s=latency / rate)
    except Exception as error:
        return Raw(clip, error=_words(error))


def _stream(denoiser: Denoiser, samples: Array, rate: int) -> tuple[Array, int]:
    """A clip through a live stream by buffers of 20 ms, its latency cut off; and that, in frames."""
    size = round(BUFFER_S * rate)
    with denoiser.stream(rate, samples.shape[1]) as stream:
        parts = [stream.process(samples[at : at + size]) for at in range(0, len(samples), size)]
        parts.append(stream.flush())
        return np.concatenate(parts)[stream.latency :], stream.latency


def _delay(samples: Float32, rate: int, clip: Clip) -> int | None:
    """Samples at 16 kHz by which a result lags the reference, or the clip; None if that cannot be told."""
    try:
        against, against_rate = read_audio(clip.noisy if clip.clean is None else clip.clean)
        return metrics.find_delay(metrics.to_rate(samples, rate), metrics.to_rate(against, against_rate))
    except DenoiseError:
        return None


def _finish_all(
    parts: Sequence[_Part],
    raws: Sequence[Raw],
    targets: dict[tuple[str, str], Path],
    match_levels: bool,
    jobs: int,
    report: Report,
) -> list[Result]:
    """Each candidate's results, in time with the clips and measured."""
    count = len(raws) // len(parts)
    ready, lags = [], []
    for number, part in enumerate(parts):
        own = raws[number * count : (number + 1) * count]
        known = [raw.delay for raw in own if raw.delay is not None]
        lag = int(np.median(known)) if known and part.candidate is not None else 0
        lags.append(lag)
        ready += [dataclasses.replace(raw, lag=lag, target=targets[part.name, raw.clip.id]) for raw in own]
    task: Callable[[Raw], Track] = partial(finish, match_levels)
    tracks = run_in_processes(task, ready, min(jobs, len(ready)), partial(report, "measuring"))
    results = []
    for number, part in enumerate(parts):
        own_tracks = tuple(tracks[number * count : (number + 1) * count])
        results.append(_result(part, own_tracks, lags[number]))
    return results


def _result(part: _Part, tracks: tuple[Track, ...], lag: int) -> Result:
    delays = [track.delay_ms for track in tracks if track.delay_ms is not None]
    if part.candidate is None:
        return Result(UNPROCESSED, "the clips as they came", tracks)
    return Result(
        part.name,
        part.candidate.description,
        tracks,
        float(np.median(delays)) if delays else 1000.0 * lag / metrics.RATE,
        part.cost,
        {} if part.denoiser is None else hashes(part.candidate, part.denoiser),
        part.error,
    )


def _words(error: Exception) -> str:
    """An error as it is told: one of ours speaks for itself."""
    return str(error) if isinstance(error, DenoiseError) else f"{type(error).__name__}: {error}"
