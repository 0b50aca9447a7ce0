"""A small enhancer, a short training of it, and speech by formula for it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from training_packs import write_packs

from denoise_wrapper.training.config import BlendConfig, MixConfig
from denoise_wrapper.training.enhancer.bands import HOP, RATE
from denoise_wrapper.training.enhancer.config import (
    BodyConfig,
    EnhancerConfig,
    EnhancerTrainConfig,
    ValidationConfig,
)
from denoise_wrapper.training.enhancer.network import Enhancer

SMALL = BodyConfig("rows", channels=6, width=4, blocks=1, rows=8, recurrent_blocks=1, recurrent_width=4, heads=2)


def some_speech(seconds: float = 1.0) -> Tensor:
    """Harmonics of 150 Hz that come and go, float32 (1, n)."""
    time = torch.arange(round(seconds * RATE)) / RATE
    tone = torch.stack([torch.sin(2.0 * math.pi * 150.0 * order * time) / order for order in range(1, 40)]).sum(dim=0)
    return (0.1 * tone * torch.sin(2.0 * math.pi * 1.5 * time).abs()).unsqueeze(0)


def settled_network() -> Enhancer:
    """A network in evaluation mode whose norms have met some audio."""
    torch.manual_seed(1)
    network = Enhancer(SMALL)
    for _ in range(20):
        network.denoise(0.1 * torch.randn(2, 10 * HOP))
    return network.eval()


def small_config(folder: Path, **settings: Any) -> EnhancerConfig:
    """Two epochs of three steps, two rows of a quarter of a second."""
    speech, noise = write_packs(folder)
    loop_settings = {"steps": 6, "batch": 2, "seconds": 0.25, "processes": 0, "log_every": 1, "evaluate_every": 3,
                     "warm_up": 2, "threads": 1}  # fmt: skip
    return EnhancerConfig(
        work_dir=folder / "run",
        cache_dir=folder / "cache",
        data=BlendConfig(speech=(speech,), noise=(noise,), validation=0.3),
        mix=MixConfig(clip_s=1.0, gap_s=(0.05, 0.1), long_gap_share=0.0),
        body=SMALL,
        train=EnhancerTrainConfig(**(loop_settings | settings)),
        validation=ValidationConfig(clips=2),
    )
