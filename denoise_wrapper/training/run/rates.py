"""Progress of a run, and the rate that it learns at there."""

from __future__ import annotations

import math
from dataclasses import dataclass

from denoise_wrapper.training.config import TrainConfig


@dataclass
class Progress:
    """Position of a run; all that its schedule depends on."""

    step: int = 0
    best: float = math.inf  # the lowest result of a validation
    epochs_since_best: int = 0
    reductions: int = 0  # how often a plateau has lowered the rate
    patience_from: int = 0  # epochs_since_best at the last of them
    seconds: float = 0.0  # by the clock, validations too

    def done(self, config: TrainConfig) -> float:
        """The share of the run that is over, 1 or more at its end."""
        return self.seconds / (60.0 * config.minutes) if config.minutes else self.step / config.steps

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
    step = progress.step
    rise = (step + 1) / config.warm_up if step < config.warm_up else 1.0
    if config.decay == "step":
        return min(rise, float(config.gamma ** (step // config.evaluate_every // config.step_size)))
    if config.decay == "plateau":
        return min(rise, float(config.gamma**progress.reductions))
    whole, now = (60.0 * config.minutes, progress.seconds) if config.minutes else (config.steps, step)
    left = min(max((whole - now) / max(1.0, config.decay_share * whole), 0.0), 1.0)
    shape = left if config.decay == "linear" else 0.5 * (1.0 - math.cos(math.pi * left))
    lowest = min(1.0, config.final_rate / config.rate)
    return min(rise, lowest + (1.0 - lowest) * shape)
