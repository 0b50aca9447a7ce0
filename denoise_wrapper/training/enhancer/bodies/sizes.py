"""Sizes of each kind of body that fill a budget, for 3 features of 128 bands."""

from __future__ import annotations

from denoise_wrapper.training.enhancer.config import BodyConfig

SIZES = {  # by kind and name of the budget
    ("rows", "enhancer"): BodyConfig("rows", channels=24, width=16, blocks=2, rows=24, recurrent_width=32),
    ("rows", "enhancer-tiny"): BodyConfig(
        "rows", channels=16, width=12, blocks=2, rows=16, recurrent_width=18, heads=2
    ),
}
