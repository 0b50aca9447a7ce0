"""Cost of a network a hop in the C engine's terms, and its budgets."""

from __future__ import annotations

from typing import NamedTuple

from denoise_wrapper.errors import ConfigError


class Cost(NamedTuple):
    """Cost of one hop of 10 ms."""

    multiply_adds: int
    exponentials: int  # values of exp, sigmoid, tanh, log or a power; a sigmoid or a tanh counts as one
    steps: int  # that have to wait for one another, such as those of a GRU along frequency; one for a GRU along time

    def __add__(self, other: Cost) -> Cost:  # type: ignore[override]
        """Both together."""
        return Cost(*(one + more for one, more in zip(self, other, strict=True)))


FULL = Cost(multiply_adds=1_200_000, exponentials=12_000, steps=100)
BUDGETS = {"enhancer": FULL, "enhancer-tiny": Cost(*(part // 3 for part in FULL))}
GUIDED = Cost(multiply_adds=100_000, exponentials=1_200, steps=0)  # more, to look at a guide and to blend it in


def budget(name: str, is_guided: bool = False) -> Cost:
    """The most that a network may cost, its guide left out."""
    return BUDGETS[name] + GUIDED if is_guided else BUDGETS[name]


def check_budget(cost: Cost, name: str, is_guided: bool = False) -> None:
    """Raise ConfigError if a network costs more than the budget called name allows, naming each figure over it."""
    over = [
        f"{cost[index]:,} {part.replace('_', '-')} of {most:,}"
        for index, (part, most) in enumerate(budget(name, is_guided)._asdict().items())
        if cost[index] > most
    ]
    if over:
        raise ConfigError(f"the network is over the budget of '{name}': {', '.join(over)} a hop; make [body] smaller")
