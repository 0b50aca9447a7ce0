"""Scores of a network on a set of clips with references: the usual metrics, and one number of them."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from denoise_wrapper.compare.clips.clip import Clip
from denoise_wrapper.compare.clips.sets import read_set
from denoise_wrapper.compare.measure.levels import levels
from denoise_wrapper.compare.measure.metrics import measure, resample
from denoise_wrapper.compare.pools import run_in_processes
from denoise_wrapper.errors import DataError
from denoise_wrapper.progress import stages, tracked
from denoise_wrapper.training.data.decoding import read_mono
from denoise_wrapper.training.enhancer.bands import RATE
from denoise_wrapper.training.enhancer.batches import cleaned_by
from denoise_wrapper.training.enhancer.config import ValidationConfig
from denoise_wrapper.training.enhancer.network import Enhancer

Float64 = NDArray[np.float64]
METRICS = ("PESQ", "STOI", "SISDR", "OVRL")
COLUMNS = ("score", *METRICS, "SPEECH", "WORST_SPEECH")


class Answer(NamedTuple):
    """A clip and what a network made of it, at the clip's own rate."""

    estimate: Float64  # (n,), all three
    noisy: Float64
    clean: Float64
    rate: int


def chosen_clips(config: ValidationConfig) -> list[Clip]:
    """The clips of the set that are scored, evenly spread over it; none without a set. Raises DataError."""
    if config.set is None:
        return []
    clips = read_set(config.set)
    count = min(config.set_clips or len(clips), len(clips))
    return [clips[index * len(clips) // count] for index in range(count)]


def score_set(network: Enhancer, clips: list[Clip], processes: int, guide: str = "") -> dict[str, float]:
    """The means over clips of METRICS and of the speech's level against the clean one's, SPEECH, in dB; and `score`.

    WORST_SPEECH: the level of the clip that is furthest off. A clip that cannot be told a metric by is left out of it.
    guide: the backend that the network is guided by.
    """
    answers = [clean_clip(network, clip, guide) for clip in tracked(clips, len(clips), "cleaning the set")]
    with stages(quiet=False) as report:
        rows = run_in_processes(measure_answer, answers, processes, functools.partial(report, "scoring"))
    means = {}
    for name in (*METRICS, "SPEECH"):
        known = [row[name] for row in rows if math.isfinite(row[name])]
        if not known:
            raise DataError(f"no clip of the validation set can be told {name} by; choose another [validation] set")
        means[name] = sum(known) / len(known)
    worst = max((row["SPEECH"] for row in rows if math.isfinite(row["SPEECH"])), key=abs)
    return {"score": score(means), **means, "WORST_SPEECH": worst}


def score(means: Mapping[str, float]) -> float:
    """PESQ + OVRL + SI-SDR / 10 dB - |speech level| / 10 dB: 0.1 point is worth 1 dB."""
    return means["PESQ"] + means["OVRL"] + (means["SISDR"] - abs(means["SPEECH"])) / 10.0


@torch.no_grad()
def clean_clip(network: Enhancer, clip: Clip, guide: str = "") -> Answer:
    """Read a clip and denoise it in full precision, by a network in evaluation mode. guide: see `score_set`."""
    assert clip.clean is not None  # as `read_set` gives them
    (noisy, rate), (clean, clean_rate) = (read_mono(path) for path in (clip.noisy, clip.clean))
    if clean_rate != rate:
        raise DataError(f"{clip.noisy} is at {rate} Hz, {clip.clean} at {clean_rate}; both are at one rate")
    samples = resample(noisy, rate, RATE).astype(np.float32)
    heard = [samples, *([cleaned_by(guide, samples)] if guide else [])]
    answer = network.denoise(*(torch.from_numpy(part).unsqueeze(0).to(network.window.device) for part in heard))
    output = answer.squeeze(0).cpu().numpy().astype(np.float64)
    return Answer(resample(output, RATE, rate)[: len(noisy)], noisy, clean, rate)


def measure_answer(answer: Answer) -> dict[str, float]:
    """METRICS and SPEECH of one clip; NaN for what cannot be told."""
    measures = measure(answer.estimate, answer.clean, answer.rate, delay=0, metrics=METRICS)
    values, _ = levels(answer.estimate, answer.noisy, answer.clean, answer.rate)
    return measures.values | {"SPEECH": values["SPEECH"]}
