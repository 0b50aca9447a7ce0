"""Progress of a run, and the rate that it learns at there."""

from __future__ import annotations

import math
from dataclasses import dataclass

from denoise_wrapper.training.config import TrainConfig


@dataclass
class Progress:
    """Where a run is; all that its schedule depends on."""

    step: int = 0
    best: float = math.inf  # the lowest result of a validation
    epochs_since_best: int = 0
    reductions: int = 0  # how often a plateau has lowered the rate
    patience_from: int = 0  # epochs_since_best at the last of them

    def judge(self, result: float, patience: int) -> bool:
        """Take note of a validation's result, the lower the better; returns True for the best so far."""
        better = result < self.best
        if better:
            self.best, self.epochs_since_best, self.patience_from = result, 0, 0
        else:
            self.epochs_since_best += 1
        if self.epochs_since_best - self.patience_from >= patience:
            self.reductions += 1
            self.patience_from = self.epochs_since_best
        return better


def learning_factor(config: TrainConfig, progress: Progress) -> float:
    """Factor of the rate in the step to come: a straight rise over warm_up steps, and after it what `decay` says."""
    step, steps = progress.step, config.steps
    rise = (step + 1) / config.warm_up if step < config.warm_up else 1.0
    if config.decay == "step":
        return min(rise, float(config.gamma ** (step // config.evaluate_every // config.step_size)))
    if config.decay == "plateau":
        return min(rise, float(config.gamma**progress.reductions))
    if config.decay == "cosine":
        falling = max(1.0, min(config.decay_share * steps, steps - config.warm_up))
        done = (step - (steps - falling)) / falling
        shape = 0.5 * (1.0 + math.cos(math.pi * min(max(done, 0.0), 1.0)))
    else:
        left = (steps - step) / max(1.0, config.decay_share * steps)
        shape = min(1.0, max(left, 0.0))
    lowest = min(1.0, config.final_rate / config.rate)
    return min(rise, lowest + (1.0 - lowest) * shape)
