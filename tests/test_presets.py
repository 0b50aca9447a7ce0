"""Presets: strength by purpose, which what is named beside them beats."""

from __future__ import annotations

import math

import pytest

from denoise_wrapper import ConfigError, Denoiser
from denoise_wrapper.compare import parse_candidate
from denoise_wrapper.presets import PRESET_NAMES, PRESETS


def test_the_names_are_those_of_the_presets() -> None:
    assert tuple(PRESETS) == PRESET_NAMES


@pytest.mark.parametrize("name", PRESET_NAMES)
def test_a_preset_sets_the_strength_and_nothing_else(name: str) -> None:
    settings = Denoiser(preset=name).settings  # type: ignore[arg-type]
    plain = Denoiser(atten_lim_db=PRESETS[name].atten_lim_db, mix=PRESETS[name].mix)
    assert settings == plain.settings
    assert parse_candidate(f"rnnoise,preset={name}").settings == settings


def test_what_is_named_beside_a_preset_beats_it() -> None:
    settings = Denoiser(preset="asr", atten_lim_db=20.0, mix=0.5).settings
    assert (settings.atten_lim_db, settings.mix) == (20.0, 0.5)
    assert Denoiser(preset="asr", atten_lim_db=math.inf).settings.min_gain == 0.0


def test_an_unknown_preset_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ConfigError, match="preset is 'voice', 'asr', 'broadcast', 'max' or None, not 'loud'"):
        Denoiser(preset="loud")  # type: ignore[arg-type]
