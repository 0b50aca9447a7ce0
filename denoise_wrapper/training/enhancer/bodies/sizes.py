"""Sizes of each kind of body that fill a budget, for 3 features of 128 bands; all of them the engine's own."""

from __future__ import annotations

from denoise_wrapper.training.enhancer.config import BodyConfig

SIZES = {  # by kind and name of the budget
    ("rows", "enhancer"): BodyConfig("rows", channels=24, width=16, blocks=2, rows=24, recurrent_width=32),
    ("rows", "enhancer-tiny"): BodyConfig(
        "rows", channels=16, width=16, blocks=2, rows=16, recurrent_width=16, heads=2
    ),
    ("depthwise", "enhancer"): BodyConfig("depthwise", channels=40, width=16, blocks=2, rows=32, recurrent_width=24),
    ("depthwise", "enhancer-tiny"): BodyConfig(
        "depthwise", channels=32, width=12, blocks=1, rows=16, recurrent_blocks=1, recurrent_width=16
    ),
    ("mixed", "enhancer"): BodyConfig(
        "mixed", channels=32, width=12, rows=32, recurrent_blocks=3, recurrent_width=48, heads=2
    ),
    ("mixed", "enhancer-tiny"): BodyConfig(
        "mixed", channels=24, width=8, rows=16, recurrent_blocks=3, recurrent_width=32, heads=2
    ),
}
