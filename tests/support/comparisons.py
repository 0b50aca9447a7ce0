"""A small comparison for tests of tables and pages: WAV files, values by formula, and things that went wrong."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from sets import RATE, noise, voice

from denoise_wrapper.compare.clips.clip import Clip
from denoise_wrapper.compare.comparison import MEASURES, Comparison, Cost, Result, Track
from denoise_wrapper.compare.measure.metrics import METRICS, NEED_NO_REFERENCE, NO_REFERENCE

NOISY = "noisy"
CANDIDATES = ("strong", "weak", "other")  # from the best to the worst; the last is another program's, without costs
NEEDS_NO_REFERENCE = (*NEED_NO_REFERENCE, *(name for name in MEASURES if name not in METRICS))
# Of clips as they came, and what the best candidate adds to it.
START = {
    "PESQ": (1.6, 1.0), "STOI": (0.8, 0.12), "ESTOI": (0.65, 0.2), "SISDR": (5.0, 9.0),
    "SIG": (3.0, 0.5), "BAK": (2.4, 1.5), "OVRL": (2.3, 0.8), "LFLSD": (14.0, -6.0), "HFLSD": (16.0, -5.0),
    "PAUSES": (-40.0, -25.0), "SPEECH": (0.0, -0.8), "RMS": (-25.0, -2.0),
}  # fmt: skip


def draw_one_plot(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the first plot of a report stand for all others, in tests that are not about what plots show."""
    from denoise_wrapper.compare.report import plots

    draw = plots.PlotJob.draw
    drawn: list[tuple[plots.DrawnPlot, bytes]] = []

    def draw_once(job: plots.PlotJob) -> plots.DrawnPlot:
        if not drawn:
            drawn.append((draw(job), job.figure.read_bytes()))
        first, figure = drawn[0]
        job.figure.write_bytes(figure)
        return dataclasses.replace(first, title=job.plot.title, alt=job.plot.alt)

    monkeypatch.setattr(plots.PlotJob, "draw", draw_once)


def make_comparison(
    folder: Path,
    ratios: Sequence[float | None] = (0.0, 0.0, 0.0, 10.0, 10.0, 10.0),
    candidates: Sequence[str] = CANDIDATES,
    *,
    seconds: float = 1.5,
    rate: int = RATE,
    channels: int = 1,
    faults: bool = True,
) -> Comparison:
    """A clip for each ratio in dB, named clip-0, clip-1 ...; None: a clip without a reference, whose ratio is unknown.

    folder: gets the files, noisy/, clean/ and one for each candidate. candidates: the further back, the more noise it
    leaves; the last has no costs.
    faults: adds a clip "silent", of which PESQ and the like cannot be measured; the first candidate fails on the first
    clip, the second hands the second back at another length; and there is a candidate "absent" of which there is
    nothing, and an input that could not be read.
    """
    ids = [f"clip-{number}" for number in range(len(ratios))] + ["silent"] * faults
    known = [*ratios, *[None] * faults]
    clips = tuple(
        _write_clip(folder, id, ratio, seconds, rate, channels, number)
        for number, (id, ratio) in enumerate(zip(ids, known, strict=True))
    )
    results = [Result(NOISY, "the clips as they came", tuple(_track(folder, clip, 0.0, NOISY, 0) for clip in clips))]
    for number, name in enumerate(candidates):
        share = 1.0 - (number + 0.5) / (len(candidates) + 1)
        tracks = [_track(folder, clip, share, f"candidate-{number}", at) for at, clip in enumerate(clips)]
        if faults and number == 0:
            tracks[0] = Track(clips[0], None, error="the model failed: a sample is not finite")
        if faults and number == 1:
            problem = "it came back 160 samples longer; the end was cut off"
            tracks[1] = Track(**{**vars(tracks[1]), "extra": 160, "problems": (problem,)})
        other = number == len(candidates) - 1
        results.append(_result(name, number, tuple(tracks), other))
    if faults:
        missing = "there is no model file missing.rnnn"
        tracks = [Track(clip, None, error=missing) for clip in clips]
        results.append(Result("absent", "a model file that is not there", tuple(tracks), error=missing))
    return Comparison(
        clips,
        tuple(results),
        mode="file",
        level_matched=False,
        date="2026-01-31T12:00:00+00:00",
        processor="a processor of tests",
        inputs=(str(folder),),
        skipped=("notes.wav: it is no wav file that can be read",) if faults else (),
    )


def _result(name: str, number: int, tracks: tuple[Track, ...], other: bool) -> Result:
    cost = Cost(
        latency_ms=20.0 + 10.0 * number,
        load_ms=4.0 * (number + 1),
        file_factor=0.02 / 4.0**number,
        buffer_factor=0.03 / 4.0**number,
        buffer_p99_factor=0.05 / 4.0**number,
        memory_mb=30.0 / (number + 1),
    )
    what = "cleaned by another program" if other else f"candidate number {number} of the tests"
    hashes = {} if other else {f"model-{number}": f"{number:064x}"}
    return Result(name, what, tracks, 10.0 * number, None if other else cost, hashes)


def _write_clip(
    folder: Path, id: str, ratio: float | None, seconds: float, rate: int, channels: int, number: int
) -> Clip:
    """The files noisy/ID.wav and, if it has a reference, clean/ID.wav. The one called silent is all zeros."""
    clean = voice(seconds, rate, number) if id != "silent" else np.zeros(round(seconds * rate))
    noisy = clean + (noise(clean, 5.0 if ratio is None else ratio, 100 + number) if id != "silent" else 0.0)
    problem, reference = None, folder / "clean" / f"{id}.wav"
    if ratio is None and id != "silent":
        problem, path = "it has no reference in clean/", None
    else:
        path = _write(reference, clean, rate, channels)
    return Clip(
        id, _write(folder / "noisy" / f"{id}.wav", noisy, rate, channels), path, ratio, rate, len(clean), problem
    )


def _track(folder: Path, clip: Clip, share: float, name: str, at: int) -> Track:
    """The clip without so much of its noise, 0 to 1, and values to go with it."""
    noisy, rate = soundfile.read(clip.noisy)
    if share:
        clean = 0.9 * noisy if clip.clean is None else soundfile.read(clip.clean)[0]
        path = _write(folder / name / f"{clip.id}.wav", share * clean + (1.0 - share) * noisy, rate)
    else:
        path = clip.noisy
    rng = np.random.default_rng([at, round(1000 * share)])
    values = {
        measure: start + gain * share + 0.03 * abs(gain) * float(rng.standard_normal())
        for measure, (start, gain) in START.items()
    }
    reasons: dict[str, str] = {}
    if clip.rate < 44100:
        values["HFLSD"] = math.nan
    if clip.id == "silent":
        reasons = dict.fromkeys((name for name in MEASURES if name != "HFLSD"), "the clip is silent")
    elif clip.clean is None:
        reasons = {name: NO_REFERENCE for name in MEASURES if name not in (*NEEDS_NO_REFERENCE, "HFLSD")}
    values.update(dict.fromkeys(reasons, math.nan))
    return Track(clip, path, values, reasons, delay_ms=None if clip.id == "silent" else 0.0, loudness_db=2.0 * share)


def _write(path: Path, audio: NDArray[np.float64], rate: int, channels: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    shaped = audio if channels == 1 or audio.ndim == 2 else np.stack([audio] * channels, axis=1)
    soundfile.write(path, shaped, rate, "FLOAT")
    return path


def small_comparison(measures: dict[str, dict[str, list[float]]], costs: dict[str, Cost] | None = None) -> Comparison:
    """Make a comparison of these values, by result, measure and clip."""
    count = len(next(iter(next(iter(measures.values())).values())))
    clips = tuple(Clip(f"clip-{at}", Path(f"{at}.wav"), None, None, 16000, 16000) for at in range(count))
    results = []
    for name, values in measures.items():
        tracks = [Track(clip, None, {key: of[at] for key, of in values.items()}) for at, clip in enumerate(clips)]
        results.append(Result(name, name, tuple(tracks), cost=(costs or {}).get(name)))
    return Comparison(clips, tuple(results), "file", False, "2026-01-01T00:00:00+00:00", "a processor", ("set",))
