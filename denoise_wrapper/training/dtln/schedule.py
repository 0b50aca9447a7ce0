"""How far a run has come, and how fast it learns there."""

from __future__ import annotations

import math
from dataclasses import dataclass

from denoise_wrapper.training.dtln.config import DTLNConfig


@dataclass
class Progress:
    """Where a run is; all that its schedule depends on."""

    step: int = 0
    best: float = math.inf  # the lowest validation loss
    epochs_since_best: int = 0
    reductions: int = 0  # how often a plateau has lowered the rate
    patience_from: int = 0  # epochs_since_best at the last of them

    def judge(self, validation_loss: float, config: DTLNConfig) -> bool:
        """Take note of an epoch's validation; returns whether it is the best so far."""
        better = validation_loss < self.best
        if better:
            self.best, self.epochs_since_best, self.patience_from = validation_loss, 0, 0
        else:
            self.epochs_since_best += 1
        if self.epochs_since_best - self.patience_from >= config.scheduler.patience:
            self.reductions += 1
            self.patience_from = self.epochs_since_best
        return better


def learning_factor(config: DTLNConfig, progress: Progress) -> float:
    """What the rate is multiplied with in the step to come."""
    schedule = config.scheduler
    steps = config.meta.num_epochs * config.meta.steps_per_epoch
    if progress.step < schedule.warm_up:
        return (progress.step + 1) / schedule.warm_up
    if schedule.method == "cosine":
        done = (progress.step - schedule.warm_up) / max(1, steps - schedule.warm_up)
        return 0.5 * (1.0 + math.cos(math.pi * min(done, 1.0)))
    if schedule.method == "hold":
        left = (steps - progress.step) / max(1.0, schedule.decay_share * steps)
        return min(1.0, max(left, 0.0))
    if schedule.method == "step":
        epoch = progress.step // config.meta.steps_per_epoch
        return float(schedule.gamma ** (epoch // schedule.step_size))
    return float(schedule.gamma**progress.reductions)
