"""After cleaning: the noise as a file of its own, and loudness."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from require import require

from denoise_wrapper import AudioError, ConfigError
from denoise_wrapper.cli import main as cli
from denoise_wrapper.finish import MAX_PEAK, set_loudness, write_removed

RATE = 16000


def write(path: Path, seconds: float = 2.0, channels: int = 1, level: float = 0.1, subtype: str = "PCM_16") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = level * np.random.default_rng(2).standard_normal((round(seconds * RATE), channels))
    soundfile.write(path, samples, RATE, subtype)
    return path


def read(path: Path) -> NDArray[np.float64]:
    samples: NDArray[np.float64] = soundfile.read(path, always_2d=True)[0]
    return samples


@pytest.mark.parametrize(("channels", "subtype"), [(1, "PCM_16"), (2, "FLOAT"), (2, "PCM_24")])
def test_noise_and_result_are_the_source(tmp_path: Path, channels: int, subtype: str) -> None:
    source = write(tmp_path / "a.wav", channels=channels, subtype=subtype)
    target, noise = tmp_path / "clean.wav", tmp_path / "noise.wav"
    assert cli.main(["filter", "-q", str(source), "-o", str(target), "--output-noise", str(noise)]) == 0
    assert soundfile.info(noise).subtype == subtype
    np.testing.assert_allclose(read(target) + read(noise), read(source), atol=1.5 / 32768)
    assert np.abs(read(noise)).max() > 0.01


def test_the_noise_of_several_files_goes_into_a_folder_with_their_tree(tmp_path: Path) -> None:
    for name in ("a.wav", "deep/b.wav"):
        write(tmp_path / "in" / name)
    command = ["filter", "-q", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--output-noise", str(tmp_path / "n")]
    assert cli.main(command) == 0
    made = sorted(str(path.relative_to(tmp_path / "n")) for path in (tmp_path / "n").rglob("*.wav"))
    assert made == ["a_noise.wav", str(Path("deep/b_noise.wav"))]


def test_files_that_do_not_belong_together_have_no_difference(tmp_path: Path) -> None:
    source, short = write(tmp_path / "a.wav"), write(tmp_path / "b.wav", 1.0)
    with pytest.raises(AudioError, match="is shorter than"):
        write_removed(source, short, tmp_path / "n.wav")
    with pytest.raises(AudioError, match="one number of channels"):
        write_removed(source, write(tmp_path / "c.wav", channels=2), tmp_path / "n.wav")
    assert not (tmp_path / "n.wav").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--loudness", "3"], "--loudness is -70 to -5 LUFS"),
        (["--output-noise", "n.wav", "--vad-threshold", "0.5", "--vad-gate", "drop"], "not in time with sources"),
    ],
)
def test_what_cannot_be_is_refused_before_any_work(
    tmp_path: Path, options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write(tmp_path / "a.wav")
    assert cli.main(["filter", str(source), *options]) == 2
    assert words in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


@pytest.mark.parametrize("level", [0.01, 0.1])
def test_a_file_gets_the_loudness_that_was_asked_for(tmp_path: Path, level: float) -> None:
    meter = require("pyloudnorm").Meter(RATE)
    path = write(tmp_path / "a.wav", level=level)
    assert set_loudness(path, -23.0) == pytest.approx(-23.0, abs=1e-6)
    assert meter.integrated_loudness(read(path)) == pytest.approx(-23.0, abs=0.05)


def test_peaks_stay_below_full_scale_and_the_loudness_reached_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    require("pyloudnorm")
    path = write(tmp_path / "a.wav", level=0.02)
    samples = read(path)
    samples[RATE] = 0.8
    soundfile.write(path, samples, RATE)
    assert set_loudness(path, -10.0) < -20.0
    assert np.abs(read(path)).max() == pytest.approx(MAX_PEAK, abs=1e-3)
    assert cli.main(["filter", str(path), "--mix", "0", "--loudness", "-10"]) == 0
    assert "as its peaks allow no more" in capsys.readouterr().err


def test_silence_stays_silence_and_too_little_is_refused(tmp_path: Path) -> None:
    require("pyloudnorm")
    assert np.isnan(set_loudness(write(tmp_path / "a.wav", level=0.0), -16.0))
    with pytest.raises(AudioError, match=r"shorter than 0\.4 s"):
        set_loudness(write(tmp_path / "b.wav", 0.2), -16.0)
    with pytest.raises(ConfigError, match="loudness is -70 to -5"):
        set_loudness(tmp_path / "a.wav", 0.0)
