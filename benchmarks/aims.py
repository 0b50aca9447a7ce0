"""Aims of the project, beside what was measured."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks import networks
from benchmarks.dtln import HOP_US
from benchmarks.results import Cell, Table


@dataclass(frozen=True)
class Aim:
    """fact: the measured figure's name. aim: what is hoped for, bar: what is demanded; at most, or at least if most is
    not set. of: what a fact is divided into, where a ratio is judged."""

    what: str
    fact: str
    unit: str
    bar: float
    aim: float | None = None
    at_most: bool = True
    inverse_of: float | None = None


AIMS = (
    Aim("C, a frame, classic network", f"C {networks.CLASSIC}", "us", 20, 12),
    Aim("C, a frame, the default network", f"C {networks.DEFAULT}", "us", 25),
    Aim("C, a frame, v0.2's full size", f"C {networks.FULL}", "us", 50),
    Aim("C, a frame, enhancer behind its guide, AVX-512", f"C {networks.ENHANCER} avx512", "us", 50, 30),
    Aim("C, a frame, enhancer behind its guide, AVX2", f"C {networks.ENHANCER} avx2", "us", 70, 45),
    Aim("C, a frame, enhancer-tiny behind its guide, AVX-512", f"C {networks.TINY} avx512", "us", 20),
    Aim("C, a frame, enhancer-tiny behind its guide, AVX2", f"C {networks.TINY} avx2", "us", 30),
    Aim(
        "DTLN 16 kHz, whole clips, floats, AVX2",
        "dtln dtln-16k, floats, AVX2, filter",
        "x real time",
        250,
        None,
        False,
        HOP_US,
    ),
    Aim(
        "DTLN 16 kHz, whole clips, int8, AVX2",
        "dtln dtln-16k, int8, AVX2, filter",
        "x real time",
        500,
        None,
        False,
        HOP_US,
    ),
    Aim("DTLN 16 kHz, whole clips, int8", "dtln dtln-16k, int8, filter", "x real time", 500, 1000, False, HOP_US),
    Aim("DTLN 16 kHz, a live hop, floats, AVX2", "dtln dtln-16k, floats, AVX2, state.process of a hop", "us", 60),
    Aim("DTLN 16 kHz, a live hop, int8, AVX2", "dtln dtln-16k, int8, AVX2, state.process of a hop", "us", 40),
    Aim("DTLN 16 kHz, a live hop, int8", "dtln dtln-16k, int8, state.process of a hop", "us", 40, 20),
    Aim("Python's share of 10 ms, classic network", f"share {networks.CLASSIC}", "us", 5),
    Aim("Python's share of 10 ms, the default network", f"share {networks.DEFAULT}", "us", 5),
    Aim("import, over numpy's", "import denoise_wrapper, over numpy's", "ms", 60),
    Aim("load rnnoise", "load_backend('rnnoise')", "ms", 30),
    Aim("load rnnoise-classic", "load_backend('rnnoise-classic')", "ms", 30),
    Aim("load dtln-16k", "load_backend('dtln-16k')", "ms", 10, 5),
    Aim("many files on two cores, rnnoise", "cores rnnoise", "x one core", 1.9, None, False),
    Aim("many files on two cores, dtln-16k", "cores dtln-16k", "x one core", 1.9, None, False),
)


def judged(tables: Iterable[Table]) -> Table | None:
    """The aims of which something was measured; None if there is none."""
    facts = {name: value for table in tables for name, value in table.facts.items()}
    rows = [_row(aim, facts[aim.fact]) for aim in AIMS if aim.fact in facts]
    if not rows:
        return None
    return Table("aims", "Aims", ["what", "measured", "unit", "bar", "aim", "result"], rows)


def _row(aim: Aim, fact: float) -> list[Cell]:
    value = fact if aim.inverse_of is None else aim.inverse_of / fact
    sign = "<=" if aim.at_most else ">="

    def reached(limit: float) -> bool:
        return value <= limit if aim.at_most else value >= limit

    if not reached(aim.bar):
        result = "missed"
    else:
        result = "met" if aim.aim is None or reached(aim.aim) else "bar met, aim missed"
    limits = [None if limit is None else f"{sign} {limit:g}" for limit in (aim.bar, aim.aim)]
    return [aim.what, value, aim.unit, *limits, result]
