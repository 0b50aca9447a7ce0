"""The settings of the enhancer's training, a TOML table each."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from denoise_wrapper.errors import ConfigError
from denoise_wrapper.training.config import (
    DTLNDataConfig,
    MixConfig,
    check_not_negative,
    check_positive,
    check_run_name,
    check_seed,
    check_share,
)


@dataclass(frozen=True)
class BodyConfig:
    """What lies between the network's bands: which kind, and its sizes. A kind makes no use of some of them.

    rows: convolutions over frequency, a GRU along time for each of a few rows, attention over the rows. depthwise:
    depthwise convolutions over time and frequency, dual-path GRUs, attention along time. mixed: parts of both.
    """

    kind: Literal["rows", "depthwise", "mixed"] = "rows"
    channels: int = 24  # of the convolutions over frequency
    width: int = 24  # of what the body puts out for each band
    blocks: int = 2  # of convolutions, on each side of the recurrent ones
    rows: int = 24  # that the bands are reduced to for the recurrent blocks
    recurrent_blocks: int = 2
    recurrent_width: int = 20  # channels of a row in them
    heads: int = 4  # of the attention

    def __post_init__(self) -> None:
        check_positive(self, "channels", "width", "blocks", "rows", "recurrent_blocks", "recurrent_width", "heads")
        if self.recurrent_width % self.heads:
            raise ConfigError(
                f"'recurrent_width' is a multiple of 'heads', not {self.recurrent_width} with {self.heads}; "
                "change either"
            )
