"""Speech in clean clips, found by their level, and how well a probability of speech agrees with it.

Levels are in dB relative to the active level, that of the clip's speech without its pauses. All is mono, float64 (n,).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from denoise_wrapper.compare.measure.metrics import RATE, Float64
from denoise_wrapper.errors import AudioError

Labels = NDArray[np.bool_]

LABEL_S = 0.010  # a label's step
HUM_EDGES_HZ = (60.0, 140.0)  # between which the filter against hum opens
ACTIVE_DB = 30.0  # what is further below the active level is a pause, and not in its mean
START_DB, STAY_DB = -20.0, -30.0  # speech begins above the one, and reaches as far as the other both ways
BRIDGED, LEAST = 10, 5  # steps: shorter pauses are part of a word, shorter speech is none

ONSET_STEP_S = 0.005
PAUSE_S, PAUSE_DB = 0.200, -25.0  # silent for so long and below so much, then not: an onset,
FOLLOWS_S, FOLLOWS_DB = 0.100, -15.0  # if in the time to come the mean power is that of speech


def speech_labels(clean: Float64) -> Labels:
    """For every 10 ms of a clip at 16 kHz, the last cut off, whether it is speech: bool (n // 160,).

    Of the power above 100 Hz of 20 ms about each step, by hysteresis: from where it passes -20 dB, back and on to where
    it falls below -30 dB. Pauses up to 100 ms are bridged, as stops within words are; what is shorter than 50 ms is no
    speech. Raises AudioError if the clip is silent.
    """
    step = round(LABEL_S * RATE)
    count = len(clean) // step
    if not count:
        return np.zeros(0, np.bool_)
    padded = np.pad(without_hum(clean, RATE), (step // 2, 2 * step))
    frames = np.lib.stride_tricks.sliding_window_view(padded, 2 * step)[::step][:count] * np.hanning(2 * step)
    level = _relative_db(np.square(frames).mean(axis=1))
    speech = np.zeros(count, np.bool_)
    for first, last in _runs(level > STAY_DB):
        speech[first:last] = (level[first:last] > START_DB).any()
    for first, last in _runs(~speech):
        if first > 0 and last < count and last - first <= BRIDGED:
            speech[first:last] = True
    for first, last in _runs(speech):
        if last - first < LEAST:
            speech[first:last] = False
    return speech


def without_hum(signal: Float64, rate: int) -> Float64:
    """The signal above 100 Hz, in time: speech has nothing below that is missed, and rooms have."""
    frequencies = np.fft.rfftfreq(len(signal), 1.0 / rate)
    passed = np.sin(0.5 * np.pi * np.clip((frequencies - HUM_EDGES_HZ[0]) / np.ptp(HUM_EDGES_HZ), 0.0, 1.0)) ** 2
    return np.asarray(np.fft.irfft(np.fft.rfft(signal) * passed, len(signal)))


def find_onsets(clean: Float64, rate: int) -> list[int]:
    """The samples at which speech begins after a pause, 5 ms exact; give the clip without hum.

    200 ms below -25 dB, then above it, and the next 100 ms of mean power above -15 dB. What begins with the clip does
    not count. Raises AudioError if the clip is silent.
    """
    step = round(ONSET_STEP_S * rate)
    count = len(clean) // step
    if not count:
        return []
    power = np.square(clean[: count * step].reshape(count, step)).mean(axis=1)
    level = _relative_db(power)
    pause, follows = round(PAUSE_S / ONSET_STEP_S), round(FOLLOWS_S / ONSET_STEP_S)
    active = power.mean() / np.mean(10.0 ** (level / 10.0))
    onsets = []
    for first, last in _runs(level < PAUSE_DB):
        coming = power[last : last + follows]
        if last - first >= pause and len(coming) == follows and coming.mean() > active * 10.0 ** (FOLLOWS_DB / 10.0):
            onsets.append(last * step)
    return onsets


def _relative_db(power: Float64) -> Float64:
    """Levels relative to the active one: the mean power of the frames that are at most 30 dB below that mean."""
    loudest = float(power.max())
    if not np.isfinite(loudest) or loudest <= 0.0:
        raise AudioError("the clip is silent, or not finite: there is no speech to find")
    active, before = loudest, np.inf
    while active < before:  # the lower it gets the more frames count, so it never rises
        before = active
        active = min(before, float(power[power >= before * 10.0 ** (-ACTIVE_DB / 10.0)].mean()))
    return np.asarray(10.0 * np.log10(np.maximum(power, 1e-12 * active) / active))


def _runs(flags: Labels) -> list[tuple[int, int]]:
    """(first, end) of each stretch of true."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def roc_area(scores: NDArray[np.floating], labels: Labels) -> float:
    """The chance that a score drawn from those labelled true is higher than one of the others, ties counting half.

    That is the area under the ROC curve: 0.5 of guesses, 1 of no mistakes. NaN if all labels are the same.
    """
    positive = int(labels.sum())
    if not 0 < positive < len(labels):
        return float("nan")
    _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - 0.5 * (counts - 1)  # the mean rank, from 1, of those that tie
    return float(
        (ranks[places][labels].sum() - 0.5 * positive * (positive + 1)) / (positive * (len(labels) - positive))
    )


def at_labels(probability: NDArray[np.floating], hop_s: float, count: int, lag: int) -> Float64:
    """The probability for each label: that of the hop in which its middle lies, said lag hops later; (count,).

    The last hops' stand for those that were never said.
    """
    if not len(probability):
        raise AudioError("there are no probabilities of speech")
    middles = (np.arange(count) + 0.5) * LABEL_S
    places = np.floor(middles / hop_s + 1e-9).astype(np.int64) + lag
    return np.asarray(probability[np.minimum(places, len(probability) - 1)], np.float64)


def best_lag(
    pairs: Iterable[tuple[NDArray[np.floating], Labels]], hop_s: float, lags: Iterable[int]
) -> tuple[int, float]:
    """The lag of those given with which the pooled area under the ROC curve is largest, and that area.

    pairs: (probabilities, labels) of each clip.
    """
    known = list(pairs)
    truth = np.concatenate([labels for _, labels in known])

    def area(lag: int) -> float:
        return roc_area(np.concatenate([at_labels(p, hop_s, len(labels), lag) for p, labels in known]), truth)

    areas = {lag: area(lag) for lag in lags}
    lag = max(areas, key=lambda key: areas[key] if areas[key] == areas[key] else -1.0)
    return lag, areas[lag]
