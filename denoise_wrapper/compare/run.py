"""The measuring program: every candidate cleans every clip, and each result is brought in time, measured and kept.

comparison = compare(["calls"], ["rnnoise", "dtln-16k", "other/librnnoise.so"], jobs=2)
print(comparison.mean(comparison.candidates[0], "PESQ"))

comparison = evaluate("dev", "rnnoise")
print(comparison.mean(comparison.results[0], "PESQ"))
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import os
import tempfile
import weakref
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise_wrapper.atomic import make_folder, transient
from denoise_wrapper.audio import to_float
from denoise_wrapper.backends import backend_names
from denoise_wrapper.compare.candidates import Candidate, Denoising, hashes, make_candidates
from denoise_wrapper.compare.clips.cleaned import CleanedFolder
from denoise_wrapper.compare.clips.clip import Clip
from denoise_wrapper.compare.clips.inputs import find_inputs
from denoise_wrapper.compare.clips.sets import read_set
from denoise_wrapper.compare.comparison import NOISY, Comparison, Cost, Result
from denoise_wrapper.compare.cost import measure_cost
from denoise_wrapper.compare.measure import metrics
from denoise_wrapper.compare.pools import Report, ignore, run_in_processes, run_in_threads
from denoise_wrapper.compare.track import Raw, finish
from denoise_wrapper.denoiser import Denoiser
from denoise_wrapper.errors import AudioError, ConfigError, DenoiseError, ExistingFileError, FileError, ModelError
from denoise_wrapper.files.transform import read_file, read_floats
from denoise_wrapper.machine import check_jobs, processor_name
from denoise_wrapper.stream.align import aligned

Array = NDArray[Any]
Float32 = NDArray[np.float32]
Path_ = str | os.PathLike[str]
Targets = dict[tuple[str, str], Path]  # by candidate and clip

FILE, STREAM = "file", "stream"  # modes
BUFFER_S = 0.020  # of a stream's buffer
COST_S = 10  # seconds of a clip with which costs are measured


def compare(
    inputs: Path_ | Sequence[Path_],
    candidates: Denoising | Sequence[Denoising] | None = None,
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
    jobs = check_jobs(jobs)
    metrics.check_resampler()
    named = [inputs] if isinstance(inputs, str | os.PathLike) else list(inputs)
    chosen = [one for one in make_candidates(backend_names() if candidates is None else candidates) if one.cleaned]
    if not chosen:
        raise ConfigError("nothing was named to compare; name a backend, a model, a library or a folder")
    clips, skipped = find_inputs([Path(path) for path in named], None if clean is None else Path(clean))
    chosen = [Candidate(NOISY), *chosen]
    scratch = _Scratch()
    folder = scratch.path if keep is None else Path(keep)
    targets = {(one.name, clip.id): folder / one.name / f"{clip.id}.wav" for one in chosen for clip in clips}
    plan = _Plan(chosen, clips, targets, mode, match_levels, jobs=jobs, report=progress or ignore)
    return _run(plan, scratch, overwrite, named, skipped)


def evaluate(
    folder: Path_,
    candidates: Denoising | Sequence[Denoising] = "rnnoise",
    *,
    only: str | None = None,
    keep: Path_ | None = None,
    overwrite: bool = False,
    jobs: int = 1,
    progress: Report | None = None,
) -> Comparison:
    """Measure a complete set as each candidate cleans it, and nothing else: no costs, no noisy clips unasked.

    folder: the set, only: a part of it, see `read_set`. candidates: one or several, as `compare` takes them, "noisy"
    for the clips as they came; folders of clips that another program has cleaned must hold all of the set's.
    keep: folder in which the first candidate's clips are kept, CLIP.wav; None to keep none. overwrite, jobs, progress:
    as those of `compare`.
    A clip that cannot be read, cleaned or measured is in the result with the reason.
    Raises DataError if the set is none or not complete, FileError if keep cannot be written, ModelError or FileError if
    a candidate cannot be opened, ConfigError for settings that do not go together or a package that nothing can be
    measured without.
    """
    jobs = check_jobs(jobs)
    metrics.check_resampler()
    chosen = make_candidates(candidates)
    if not chosen:
        raise ConfigError("nothing was named to measure; name a backend, a model, a folder, or 'noisy'")
    clips = read_set(Path(folder), noisy=any(one.folder is None for one in chosen), only=only)
    for one in chosen:
        if one.folder is None and one.cleaned:
            one.open()  # so that the last one's model is refused before the first is measured
    targets = {} if keep is None else {(chosen[0].name, clip.id): Path(keep) / f"{clip.id}.wav" for clip in clips}
    plan = _Plan(chosen, clips, targets, strict=True, jobs=jobs, report=progress or ignore)
    return _run(plan, _Scratch(), overwrite, [folder], [])


class _Scratch:
    """A folder that is gone with this object, or when the program ends."""

    def __init__(self) -> None:
        stack = contextlib.ExitStack()
        self.path = stack.enter_context(transient(Path(tempfile.mkdtemp(prefix="denoise-"))))
        self._end = weakref.finalize(self, stack.close)

    def remove(self) -> None:
        self._end()


@dataclasses.dataclass(frozen=True)
class _Plan:
    """Everything that is to be done.

    targets: WAV files to write. strict: a candidate that cannot be opened, or that lacks clips, and a reference that
    cannot be read are errors, and no costs are measured.
    """

    candidates: Sequence[Candidate]
    clips: Sequence[Clip]
    targets: Targets
    mode: str = FILE
    match_levels: bool = False
    strict: bool = False
    jobs: int = 1
    report: Report = ignore


@dataclasses.dataclass(frozen=True)
class _Part:
    """A candidate that is ready, or why it is not. denoiser: None for what is not cleaned here."""

    candidate: Candidate
    denoiser: Denoiser | None = None
    folder: CleanedFolder | None = None
    cost: Cost | None = None
    error: str | None = None


def _run(
    plan: _Plan, scratch: _Scratch, overwrite: bool, inputs: Sequence[Path_], skipped: Sequence[str]
) -> Comparison:
    try:
        _check_targets(plan, overwrite)
        parts = _open_all(plan)
        raws = _clean_all(plan, parts, scratch.path)
        results = _finish_all(plan, parts, raws)
    except BaseException:
        scratch.remove()
        raise
    return Comparison(
        tuple(plan.clips),
        tuple(results),
        plan.mode,
        plan.match_levels,
        datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        processor_name(),
        tuple(os.fspath(path) for path in inputs),
        tuple(skipped),
        scratch,
    )


def _check_targets(plan: _Plan, overwrite: bool) -> None:
    """Make the folders of the results. Raises FileError, before any work, if one of them cannot be written."""
    own = {
        os.path.realpath(path.parent) for clip in plan.clips for path in (clip.noisy, clip.clean) if path is not None
    }
    own |= {os.path.realpath(one.folder) for one in plan.candidates if one.folder is not None}
    for path in plan.targets.values():
        if os.path.realpath(path.parent) in own:
            raise FileError(f"{path.parent} holds clips that are compared; choose another folder for the results")
        if path.exists() and not overwrite:
            raise ExistingFileError(f"{path} exists; overwrite=True (--overwrite) replaces it")
    for folder in {path.parent for path in plan.targets.values()}:
        make_folder(folder)


def _open_all(plan: _Plan) -> list[_Part]:
    """Each candidate, opened.

    Strictly, raises what keeps one from that, DataError if it is a folder that lacks clips. Else their costs are
    measured before, and what fails is in the part; raises ModelError if none can be used.
    """
    if plan.strict:
        parts = [_open(candidate) for candidate in plan.candidates]
        for part in parts:
            if part.folder is not None:
                part.folder.check(plan.clips)
        return parts
    noisy, *candidates = plan.candidates
    rate = Counter(clip.rate for clip in plan.clips).most_common(1)[0][0]
    sample = _sample(plan.clips, rate)
    parts = [_open(noisy)]
    for number, candidate in enumerate(candidates):
        plan.report("timing", number, len(candidates))
        parts.append(_try_open(candidate, sample, rate))
    plan.report("timing", len(candidates), len(candidates))
    if all(part.error is not None for part in parts[1:]):
        errors = "; ".join(f"{part.candidate.name}: {part.error}" for part in parts[1:])
        raise ModelError(f"no candidate can be used: {errors}")
    return parts


def _open(candidate: Candidate, cost: Cost | None = None) -> _Part:
    if candidate.folder is not None:
        return _Part(candidate, folder=CleanedFolder(candidate.folder))
    return _Part(candidate, candidate.open() if candidate.cleaned else None, cost=cost)


def _try_open(candidate: Candidate, sample: Float32, rate: int) -> _Part:
    """A candidate with its cost, or with the reason why it cannot be used."""
    cost = None if candidate.folder is not None else measure_cost(candidate, sample, rate)
    if cost is not None and cost.crashed:
        return _Part(candidate, cost=cost, error=cost.error)
    try:
        return _open(candidate, cost)
    except Exception as error:
        return _Part(candidate, error=_words(error))


def _sample(clips: Sequence[Clip], rate: int) -> Float32:
    """Some seconds of the clips of that rate, mono, for measuring costs; a faint noise if none can be read."""
    for clip in clips:
        if clip.rate == rate:
            try:
                samples, _ = read_floats(clip.noisy)
            except DenoiseError:
                continue
            if len(samples):
                return np.resize(samples[:, 0], COST_S * rate)
    return (np.random.default_rng(0).standard_normal(COST_S * rate) * 1e-3).astype(np.float32)


def _clean_all(plan: _Plan, parts: Sequence[_Part], folder: Path) -> list[Raw]:
    """Each clip as each candidate cleans it, candidate by candidate."""
    pairs = [(part, clip) for part in parts for clip in plan.clips]
    items = [(part, clip, folder / f"{number}.npy") for number, (part, clip) in enumerate(pairs)]
    return run_in_threads(
        partial(_clean, plan.mode), items, min(plan.jobs, len(items)), partial(plan.report, "cleaning")
    )


def _clean(mode: str, item: tuple[_Part, Clip, Path]) -> Raw:
    """One clip by one candidate; whatever it raises is the result's error."""
    part, clip, file = item
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
            samples, rate = read_floats(clip.noisy if part.folder is None else part.folder.find(clip))
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
        chunks = (samples[at : at + size] for at in range(0, len(samples), size))
        return np.concatenate(list(aligned(stream, chunks))), stream.latency


def _delay(samples: Float32, rate: int, clip: Clip) -> int | None:
    """Samples at 16 kHz by which a result lags the reference, or the clip; None if that is not known, as of silence."""
    try:
        original, original_rate = read_floats(clip.noisy if clip.clean is None else clip.clean)
        return metrics.find_delay(metrics.to_rate(samples, rate), metrics.to_rate(original, original_rate))
    except DenoiseError:
        return None


def _finish_all(plan: _Plan, parts: Sequence[_Part], raws: Sequence[Raw]) -> list[Result]:
    """Each candidate's results, in time with the clips and measured."""
    size = len(plan.clips)
    ready: list[Raw] = []
    delays_ms = []
    for number, part in enumerate(parts):
        own = raws[number * size : (number + 1) * size]
        lags = [raw.delay for raw in own if raw.delay is not None]
        lag = int(np.median(lags)) if lags else 0
        latencies = [raw.latency_s for raw in own if raw.file is not None]
        delays_ms.append(1000.0 * lag / metrics.RATE + 1000.0 * float(np.median(latencies or [0.0])))
        ready += [
            dataclasses.replace(
                raw,
                lag=lag,
                target=plan.targets.get((part.candidate.name, raw.clip.id)),
                match_level=plan.match_levels,
                strict=plan.strict,
            )
            for raw in own
        ]
    tracks = run_in_processes(finish, ready, plan.jobs, partial(plan.report, "measuring"))
    return [
        Result(
            part.candidate.name,
            part.candidate.description,
            tuple(tracks[number * size : (number + 1) * size]),
            delays_ms[number],
            part.cost,
            {} if part.denoiser is None else hashes(part.denoiser),
            {} if part.denoiser is None else dataclasses.asdict(part.denoiser.settings),
            part.error,
        )
        for number, part in enumerate(parts)
    ]


def _words(error: Exception) -> str:
    """An error in words: one of ours speaks for itself."""
    return str(error) if isinstance(error, DenoiseError) else f"{type(error).__name__}: {error}"
