"""Sets as telephones carry them: the band, the codecs' steps, the gaps."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import numpy as np
import pytest
import soundfile
from sets import write_set

from denoise_wrapper.cli.main import main
from denoise_wrapper.compare.clips.sets import read_set
from denoise_wrapper.training.mix.telephone import RATE, compand, kept_packets, telephone_band


@pytest.mark.parametrize(("hz", "kept"), [(100.0, False), (300.0, True), (3300.0, True), (3600.0, False)])
def test_the_band_of_a_telephone_is_kept_and_nothing_else(hz: float, kept: bool) -> None:
    tone = np.sin(2.0 * np.pi * hz * np.arange(RATE) / RATE)
    gain_db = 20.0 * np.log10(np.std(telephone_band(tone)[RATE // 4 : -RATE // 4]) / np.std(tone))
    assert gain_db == pytest.approx(0.0, abs=0.5) if kept else gain_db < -40.0


@pytest.mark.parametrize("codec", ["a-law", "mu-law"])
@pytest.mark.parametrize("level_db", [-30.0, -20.0, -10.0])
def test_the_steps_of_eight_bits_follow_the_level(codec: str, level_db: float) -> None:
    signal = np.random.default_rng(1).standard_normal(RATE) * 10.0 ** (level_db / 20.0)
    signal = np.clip(signal, -1.0, 1.0)
    error = compand(signal, codec) - signal
    assert 34.0 < 20.0 * np.log10(np.std(signal) / np.std(error)) < 41.0
    np.testing.assert_allclose(compand(compand(signal, codec), codec), compand(signal, codec), atol=1e-12)


def test_the_band_alone_changes_no_sample() -> None:
    signal = np.linspace(-1.0, 1.0, 101)
    np.testing.assert_array_equal(compand(signal, "band"), signal)


def test_packets_are_lost_whole_and_about_so_many() -> None:
    kept = kept_packets(Random(1), 160 * 10000, 0.03)
    packets = kept.reshape(-1, 160)
    assert (packets.all(axis=1) | ~packets.any(axis=1)).all()
    assert 1.0 - packets[:, 0].mean() == pytest.approx(0.03, abs=0.006)


def test_both_sides_of_a_set_have_the_same_gaps_and_it_comes_out_alike_each_time(tmp_path: Path) -> None:
    source = write_set(tmp_path / "set", {"a": 0.0, "b": 5.0, "c": 5.0, "d": 10.0})
    for name in ("first", "second"):
        assert main(["data", "telephone", str(source), "-o", str(tmp_path / name)]) == 0
    clips = read_set(tmp_path / "first")
    entries = json.loads((tmp_path / "first" / "manifest.json").read_text(encoding="utf-8"))["clips"]
    assert [entry["codec"] for entry in entries] == ["a-law", "mu-law", "band", "a-law"]
    for clip, entry in zip(clips, entries, strict=True):
        assert clip.clean is not None
        sides = [soundfile.read(path) for path in (clip.clean, clip.noisy)]
        assert all(rate == RATE for _, rate in sides)
        np.testing.assert_array_equal(sides[1][0], soundfile.read(tmp_path / "second/noisy" / clip.noisy.name)[0])
        size = 160
        silent = [~np.any(audio[: len(audio) // size * size].reshape(-1, size), axis=1) for audio, _ in sides]
        assert (silent[0] | ~silent[1]).all()
        assert (silent[1].sum() > 0) == (entry["lost"] > 0.0)
    assert [entry["lost"] > 0.0 for entry in entries][::2] == [False, False]
    assert main(["data", "telephone", str(source), "-o", str(tmp_path / "first")]) == 2
