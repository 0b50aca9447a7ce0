"""Measures of a clip and costs of a candidate: names, units, and which way is better."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

HIGHER, LOWER, ZERO, NEITHER = "higher", "lower", "zero", "neither"


@dataclass(frozen=True)
class Measure:
    """A measure. label, unit: as they are shown. digits: after the point. what: in a few words.

    better: "higher", "lower", "zero" (the nearer to it), or "neither": it is only shown.
    """

    label: str
    unit: str
    digits: int
    better: str
    what: str

    @property
    def least(self) -> float:
        """The smallest difference that is shown: half of the last digit."""
        return 0.5 * 10.0**-self.digits

    @property
    def of_differences(self) -> Measure:
        """The measure of its differences: two levels of full scale differ by some dB."""
        return replace(self, unit=self.unit.removesuffix("FS"))

    def cost(self, value: float) -> float:
        """The value as something of which less is better; NaN where neither is, and of NaN."""
        if self.better == NEITHER:
            return math.nan
        return -value if self.better == HIGHER else abs(value) if self.better == ZERO else value


QUALITY = {
    "PESQ": Measure("PESQ", "", 3, HIGHER, "quality, wide-band, 1 to 4.64"),
    "STOI": Measure("STOI", "", 3, HIGHER, "intelligibility, 0 to 1"),
    "ESTOI": Measure("ESTOI", "", 3, HIGHER, "intelligibility in noise that comes and goes, 0 to 1"),
    "SISDR": Measure("SI-SDR", "dB", 2, HIGHER, "scale-invariant signal to distortion"),
    "SIG": Measure("DNSMOS SIG", "", 3, HIGHER, "how the speech sounds by itself, guessed by a network, 1 to 5"),
    "BAK": Measure("DNSMOS BAK", "", 3, HIGHER, "how little the background disturbs, 1 to 5"),
    "OVRL": Measure("DNSMOS OVRL", "", 3, HIGHER, "all together, 1 to 5"),
    "LFLSD": Measure("LSD to 8 kHz", "dB", 2, LOWER, "log-spectral distance from the reference up to 8 kHz"),
    "HFLSD": Measure("LSD above 8 kHz", "dB", 2, LOWER, "the same from 8 to 20 kHz, of full-band clips"),
    "PAUSES": Measure("noise in pauses", "dBFS", 1, LOWER, "level where nobody speaks"),
    "SPEECH": Measure("speech level", "dB", 2, ZERO, "by how much the speech is louder than it was"),
    "RMS": Measure("RMS", "dBFS", 1, NEITHER, "level of the whole clip"),
}
COSTS = {
    "latency_ms": Measure("latency", "ms", 1, LOWER, "of a live stream at the clips' usual rate"),
    "load_ms": Measure("load", "ms", 1, LOWER, "time to open the model"),
    "file_factor": Measure("file RTF", "", 5, LOWER, "seconds of computing a second of a file, one thread"),
    "buffer_factor": Measure("buffer RTF", "", 5, LOWER, "the same of a live buffer of 20 ms, median"),
    "buffer_p99_factor": Measure("buffer RTF p99", "", 5, LOWER, "its 99th percentile"),
    "memory_mb": Measure("memory", "MB", 1, LOWER, "by which a process grows that opens and runs it"),
}
