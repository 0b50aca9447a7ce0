"""Settings of clips and streams: strength, gate, and what to do with damage; checked once."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Literal

from denoise_wrapper.arguments import real, shown
from denoise_wrapper.backends.base import Backend
from denoise_wrapper.backends.linked import linked
from denoise_wrapper.errors import ConfigError

VadGate = Literal["mute", "drop"]
NonFinite = Literal["raise", "zero"]
Channels = Literal["separate", "linked"]


@dataclass(frozen=True)
class Settings:
    """Strength, gate and treatment of damage, as a Denoiser has them. Raises ConfigError for what is out of range.

    atten_lim_db: dB, 0 or more, by which noise is turned down at most; 0 passes all, None sets no limit.
    mix: 0 to 1, the share of the cleaned signal; the rest is the dry one, in time with it.
    vad_threshold: 0 to 1, the probability of speech below which the gate closes; None for no gate.
    vad_gate: "mute" silences what is gated, "drop" takes it out of the clip.
    vad_hold: seconds for which the gate stays open after speech.
    non_finite: "raise" refuses samples that are no numbers, "zero" replaces them.
    channels: "separate" cleans each for itself, "linked" gives all of a signal one gain.
    """

    atten_lim_db: float | None = None
    mix: float = 1.0
    vad_threshold: float | None = None
    vad_gate: VadGate = "mute"
    vad_hold: float = 0.2
    non_finite: NonFinite = "raise"
    channels: Channels = "separate"

    def __post_init__(self) -> None:
        if self.atten_lim_db is not None:
            _check("atten_lim_db", self.atten_lim_db, math.inf, "dB, 0 or more, or None for no limit")
        _check("mix", self.mix, 1.0, "0 (dry) to 1 (cleaned)")
        if self.vad_threshold is not None:
            _check("vad_threshold", self.vad_threshold, 1.0, "0 to 1, or None for no gate")
        _check("vad_hold", self.vad_hold, 3600.0, "seconds, 0 to 3600")
        _check_choice("vad_gate", self.vad_gate, ("mute", "drop"))
        _check_choice("non_finite", self.non_finite, ("raise", "zero"))
        _check_choice("channels", self.channels, ("separate", "linked"))
        if self.vad_threshold is None and self.vad_gate == "drop":
            raise ConfigError(
                'vad_gate="drop" drops what is below vad_threshold, and that is None: there is no gate; give '
                "vad_threshold, 0 to 1"
            )

    def changed(self) -> list[str]:
        """List the settings that are not as usual, as "name=value"."""
        usual = Settings()
        names = (each.name for each in fields(self))
        return [f"{name}={getattr(self, name)!r}" for name in names if getattr(self, name) != getattr(usual, name)]

    def backend_for(self, backend: Backend, channels: int) -> Backend:
        """Return the backend that cleans a signal of so many channels: the one given, or it with linked channels."""
        return backend if self.channels == "separate" or channels == 1 else linked(backend)

    @property
    def min_gain(self) -> float:
        """Gain below which no part of the signal is turned down."""
        return 0.0 if self.atten_lim_db is None else float(10.0 ** (-float(self.atten_lim_db) / 20.0))


def _check(name: str, value: object, most: float, wanted: str) -> None:
    number = real(value)
    if number is None or not 0.0 <= number <= most:
        raise ConfigError(f"{name} is {wanted}, not {shown(value)}")


def _check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if not isinstance(value, str) or value not in choices:
        raise ConfigError(f"{name} is {' or '.join(repr(choice) for choice in choices)}, not {shown(value)}")
