"""Bodies of the enhancer: what lies between the features of its bands and the channels that its masks are made of."""

from __future__ import annotations

from collections.abc import Callable

from denoise_wrapper.errors import ConfigError
from denoise_wrapper.training.enhancer.bodies.body import Body
from denoise_wrapper.training.enhancer.bodies.depthwise import Depthwise
from denoise_wrapper.training.enhancer.bodies.mixed import Mixed
from denoise_wrapper.training.enhancer.bodies.rows import Rows
from denoise_wrapper.training.enhancer.config import BodyConfig

__all__ = ["KINDS", "Body", "make_body"]

KINDS: dict[str, Callable[[BodyConfig, int, int], Body]] = {"rows": Rows, "depthwise": Depthwise, "mixed": Mixed}


def make_body(config: BodyConfig, features: int, bands: int) -> Body:
    """A body with random weights.

    features: of each band. Raises ConfigError for a kind that is not there, or sizes that it cannot have.
    """
    if config.kind not in KINDS:
        raise ConfigError(f"there is no body of kind '{config.kind}'; [body] kind is one of {', '.join(KINDS)}")
    return KINDS[config.kind](config, features, bands)
