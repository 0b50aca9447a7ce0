"""A comparison in one line: which candidate sounds best, and which keeps the speech closest."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from denoise_wrapper.compare.comparison import NOISY, Comparison, Result
from denoise_wrapper.compare.measure.measures import QUALITY
from denoise_wrapper.compare.statistics import FEW
from denoise_wrapper.wording import count, listed

SOUND = ("OVRL", "PESQ")  # of these the first that was measured says how a clip sounds
SPEECH = (("ESTOI", "keeps speech closest"), ("SPEECH", "keeps the level of speech closest"))


def headline(comparison: Comparison) -> str:
    """Say who sounds best on how many clips and who keeps the speech closest; "" if nothing was measured.

    A clip sounds best where DNSMOS OVRL, or else PESQ, is highest. Speech is judged by the mean of ESTOI, or without
    references by how little its level changes. The noisy clips take part: where they are best, that is said.
    """
    parts = [part for part in (_sound(comparison), _speech(comparison)) if part]
    if not parts:
        return ""
    clips = len(comparison.clips)
    doubt = f" ({count(clips, 'clip')}: too few to tell, it takes {FEW})" if clips < FEW else ""
    return f"{'; '.join(parts)}{doubt}"


def _sound(comparison: Comparison) -> str:
    for measure in SOUND:
        names, costs = _costs(comparison.results, measure)
        if len(names) > 1 and costs.shape[1]:
            wins = Counter(names[at] for at in costs.argmin(axis=0))
            most = max(wins.values())
            best = [name for name in names if wins[name] == most]
            verb = "sounds" if len(best) == 1 else "each sound"
            return f"{_who(best)} {verb} best on {most} of {count(costs.shape[1], 'clip')}"
    return ""


def _speech(comparison: Comparison) -> str:
    for measure, words in SPEECH:
        names, costs = _costs([result for result in comparison.results if result.name != NOISY], measure)
        if len(names) > 1 and costs.shape[1]:
            return f"{names[int(costs.mean(axis=1).argmin())]} {words}"
    return ""


def _costs(results: list[Result] | tuple[Result, ...], name: str) -> tuple[list[str], NDArray[np.float64]]:
    """Names, and float64 (names, clips) of which less is better, over the clips that all have; (names, 0) for none."""
    known = [result for result in results if np.isfinite(result.values(name)).any()]
    if not known:
        return [], np.zeros((0, 0))
    values = np.array([[QUALITY[name].cost(value) for value in result.values(name)] for result in known])
    return [result.name for result in known], values[:, np.isfinite(values).all(axis=0)]


def _who(names: list[str]) -> str:
    return listed("the noisy clip" if name == NOISY else name for name in names)
