"""Behaviour of a denoiser that means over noisy clips do not show: clean speech, word beginnings, silence, music.

    result = behaviour("dev", Denoiser("rnnoise"))
    print(result.figures["onset_mean_db"], result.missed())

Of a set it takes the clean clips, denoised, against themselves, and the noisy ones for how well the probability of
speech tells where the clean ones hold it; the rest are signals made by formula, see `probes`.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise_wrapper.compare.candidates import hashes
from denoise_wrapper.compare.clips.clip import Clip
from denoise_wrapper.compare.clips.sets import read_set
from denoise_wrapper.compare.measure import metrics, probes
from denoise_wrapper.compare.measure.metrics import Float64
from denoise_wrapper.compare.measure.speech import (
    Labels,
    at_labels,
    best_lag,
    find_onsets,
    roc_area,
    speech_labels,
    without_hum,
)
from denoise_wrapper.compare.pools import Report, ignore, run_in_threads
from denoise_wrapper.denoiser import Denoiser
from denoise_wrapper.errors import DenoiseError
from denoise_wrapper.files.transform import read_floats
from denoise_wrapper.machine import check_jobs

ONSET_S = 0.030  # of a word's beginning is looked at
KEPT_DB = 3.0  # a beginning that changes by no more is kept
GONE_DB = -60.0  # what less is left of in noise, or of the opposite sign, counts as that


@dataclass(frozen=True)
class Figure:
    """A figure: what it is in words, and the bar, which is the least or the most that is good; None for none."""

    what: str
    bar: float | None = None
    least: bool = True

    def met(self, value: float) -> bool | None:
        """True if a value is good enough; None if there is no bar, or no value."""
        if self.bar is None or math.isnan(value):
            return None
        return value >= self.bar if self.least else value <= self.bar


FIGURES = {
    "clean_pesq": Figure("mean PESQ of clean clips, denoised", 4.0),
    "clean_stoi": Figure("mean STOI of them"),
    "clean_sisdr_db": Figure("mean SI-SDR of them"),
    "onsets": Figure("beginnings of speech after 200 ms of pause"),
    "onset_mean_db": Figure("change of their first 30 ms, clean, mean", -3.0),
    "onset_p5_db": Figure("5th percentile of that"),
    "onset_kept": Figure("share within 3 dB", 0.9),
    "noisy_onset_db": Figure("what noisy clips keep of it, median"),
    "vad_auc": Figure("area under the ROC curve, noisy, all frames", 0.95),
    "vad_auc_clip": Figure("mean over clips of their own"),
    "vad_lag_ms": Figure("by which the probability is late"),
    "silence_peak_db": Figure("loudest sample made of silence", -90.0, least=False),
    "noise_wander_db": Figure("steady noise: deviation of its level", 3.0, least=False),
    "noise_cut_db": Figure("steady noise: turned down by"),
    "music_swing_db": Figure("music: what comes and goes of it", -20.0, least=False),
    "music_cut_db": Figure("music: turned down by"),
    "click_tail_db": Figure("loudest sample 200 ms after a click", -90.0, least=False),
    "click_ms": Figure("click in low noise: level is back after", 200.0, least=False),
}


@dataclass(frozen=True)
class ClipBehaviour:
    """A clip's part: error says why the rest is empty.

    values: clean_pesq, clean_stoi, clean_sisdr_db and vad_auc, NaN if it could not be measured.
    onsets_db: change of each beginning in the clean clip; noisy_onsets_db: what is left of it in the noisy one.
    labels: of the clean clip. voice: probabilities of speech in the noisy clip, empty if the backend has none.
    """

    clip: Clip
    values: dict[str, float]
    onsets_db: Float64
    noisy_onsets_db: Float64
    labels: Labels
    voice: NDArray[np.floating]
    error: str | None = None


@dataclass(frozen=True)
class Behaviour:
    """figures: a value for each of FIGURES, NaN for what does not apply. The rest is as in `Result`."""

    folder: Path
    name: str
    clips: tuple[ClipBehaviour, ...]
    figures: dict[str, float]
    model_sha256: dict[str, str]
    settings: dict[str, Any]

    def missed(self) -> list[str]:
        """The figures that are not good enough."""
        return [name for name, value in self.figures.items() if FIGURES[name].met(value) is False]


def behaviour(
    folder: str | os.PathLike[str],
    denoiser: Denoiser,
    *,
    only: str | None = None,
    jobs: int = 1,
    progress: Report | None = None,
) -> Behaviour:
    """Measure how a denoiser behaves, on a set and on the signals of `probes`.

    folder: the set, only: a part of it, see `read_set`. jobs: threads.
    progress: called with (what is being done, steps done, in all).
    Raises DataError if the set is none or not complete, ConfigError if a package is missing.
    """
    jobs = check_jobs(jobs)
    metrics.check_resampler()
    clips, report = read_set(Path(folder), only=only), progress or ignore
    backend = denoiser.backend
    hop_s = backend.hop / backend.sample_rate
    parts = run_in_threads(partial(_measure_clip, denoiser), clips, jobs, partial(report, "cleaning"))
    lags = range(-(-backend.delay // backend.hop) + 1)
    area, lag = _voice_area(parts, hop_s, lags)
    for result in parts:
        if len(result.voice):
            result.values["vad_auc"] = roc_area(at_labels(result.voice, hop_s, len(result.labels), lag), result.labels)
    report("probing", 0, 1)
    answers = probes.probe(partial(_clean, denoiser, probes.RATE))
    report("probing", 1, 1)
    figures = {
        **_clip_figures(parts),
        "vad_auc": area,
        "vad_lag_ms": 1000.0 * hop_s * lag if not math.isnan(area) else math.nan,
        **dataclasses.asdict(answers),
    }
    return Behaviour(
        Path(folder),
        denoiser.backend_name,
        tuple(parts),
        {name: figures[name] for name in FIGURES},
        hashes(denoiser),
        dataclasses.asdict(denoiser.settings),
    )


def _clean(denoiser: Denoiser, rate: int, signal: Float64) -> Float64:
    return np.asarray(denoiser.filter(signal, rate), np.float64)


def _measure_clip(denoiser: Denoiser, clip: Clip) -> ClipBehaviour:
    nothing = np.zeros(0)
    try:
        assert clip.clean is not None
        (clean, rate), (noisy, noisy_rate) = (_read_mono(path) for path in (clip.clean, clip.noisy))
        labels = speech_labels(metrics.to_rate(clean, rate))
        kept, cleaned = _clean(denoiser, rate, clean), _clean(denoiser, noisy_rate, noisy)
        voice = denoiser.speech_probability(noisy, noisy_rate)[1] if denoiser.backend.has_vad else nothing
        cleaned = metrics.to_rate(cleaned, noisy_rate, rate)
        before, after, left = (without_hum(signal, rate) for signal in (clean, kept, cleaned))
        onsets = find_onsets(before, rate)
        changes = [change_db(_onset(before, at, rate), _onset(after, at, rate)) for at in onsets]
        kept_noisy = [kept_db(_onset(before, at, rate), _onset(left, at, rate)) for at in onsets]
    except DenoiseError as error:
        return ClipBehaviour(clip, {}, nothing, nothing, nothing.astype(np.bool_), nothing, str(error))
    measures = metrics.measure(kept, clean, rate, delay=0, metrics=("PESQ", "STOI", "SISDR")).values
    names = {"PESQ": "clean_pesq", "STOI": "clean_stoi", "SISDR": "clean_sisdr_db"}
    values = {name: measures[metric] for metric, name in names.items()}
    return ClipBehaviour(clip, values, np.array(changes), np.array(kept_noisy), labels, voice)


def _read_mono(path: Path) -> tuple[Float64, int]:
    audio, rate = read_floats(path)
    return metrics.to_rate(audio, rate, rate), rate


def _onset(signal: Float64, first: int, rate: int) -> Float64:
    """The beginning of a word; zeros where a clip ends before."""
    count = round(ONSET_S * rate)
    part = signal[first : first + count]
    return np.pad(part, (0, count - len(part)))


def change_db(before: Float64, after: Float64) -> float:
    """Change of energy, GONE_DB at least."""
    return _decibels(float(after @ after) / float(before @ before), 10.0)


def kept_db(clean: Float64, estimate: Float64) -> float:
    """The part of a signal that an estimate with other things in it holds, in dB: by projection, GONE_DB at least."""
    return _decibels(float(estimate @ clean) / float(clean @ clean), 20.0)


def _decibels(ratio: float, times: float) -> float:
    return max(GONE_DB, times * math.log10(ratio)) if ratio > 0.0 else GONE_DB


def _voice_area(parts: Sequence[ClipBehaviour], hop_s: float, lags: range) -> tuple[float, int]:
    """The area under the ROC curve of all clips' labels at once, at the best of the lags, one for all; and the lag.

    A backend that looks ahead, or whose window reaches back, says of a hop later whether it was speech; no later than
    when it gives that hop out.
    """
    pairs = [(result.voice, result.labels) for result in parts if len(result.voice)]
    if not pairs:
        return math.nan, 0
    lag, area = best_lag(pairs, hop_s, lags)
    return area, lag


def _clip_figures(parts: Sequence[ClipBehaviour]) -> dict[str, float]:
    onsets = np.concatenate([np.zeros(0), *(result.onsets_db for result in parts)])
    noisy = np.concatenate([np.zeros(0), *(result.noisy_onsets_db for result in parts)])
    means = {
        name: _mean([result.values.get(value, math.nan) for result in parts])
        for name, value in {
            "clean_pesq": "clean_pesq",
            "clean_stoi": "clean_stoi",
            "clean_sisdr_db": "clean_sisdr_db",
            "vad_auc_clip": "vad_auc",
        }.items()
    }
    return {
        **means,
        "onsets": float(len(onsets)),
        "onset_mean_db": float(onsets.mean()) if len(onsets) else math.nan,
        "onset_p5_db": float(np.percentile(onsets, 5)) if len(onsets) else math.nan,
        "onset_kept": float(np.mean(np.abs(onsets) <= KEPT_DB)) if len(onsets) else math.nan,
        "noisy_onset_db": float(np.median(noisy)) if len(noisy) else math.nan,
    }


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan
