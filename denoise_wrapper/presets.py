"""Presets: how strongly noise is turned down, by what the result is for. They never choose the backend."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

from denoise_wrapper.arguments import shown
from denoise_wrapper.errors import ConfigError

PresetName = Literal["voice", "asr", "broadcast", "max"]
PRESET_NAMES: tuple[str, ...] = get_args(PresetName)


class Preset(NamedTuple):
    """Strength for a purpose. atten_lim_db: most dB that noise is turned down by, None for no limit. mix: 0 to 1."""

    atten_lim_db: float | None
    mix: float
    purpose: str


PRESETS: dict[str, Preset] = {
    "voice": Preset(24.0, 1.0, "calls and meetings: noise goes down by 24 dB at most, so that rooms do not switch"),
    "asr": Preset(3.0, 1.0, "speech recognisers: 3 dB at most, as more of it makes their errors more"),
    "broadcast": Preset(12.0, 1.0, "podcasts and film: 12 dB at most, so that the place can be heard"),
    "max": Preset(None, 1.0, "as much as the backend can, as without a preset"),
}


def find_preset(name: str) -> Preset:
    """Return the preset of that name. Raises ConfigError that names all of them."""
    if not isinstance(name, str) or name not in PRESETS:
        raise ConfigError(f"preset is {', '.join(map(repr, PRESETS))} or None, not {shown(name)}")
    return PRESETS[name]


def strength(name: str | None, atten_lim_db: float | None, mix: float | None) -> tuple[float | None, float]:
    """Return (atten_lim_db, mix): those that are not None, else as the preset has them, else no limit and 1.

    Raises ConfigError for a name that no preset has.
    """
    preset = PRESETS["max"] if name is None else find_preset(name)
    return preset.atten_lim_db if atten_lim_db is None else atten_lim_db, preset.mix if mix is None else mix
