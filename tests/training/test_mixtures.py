"""Mixtures as files: their levels and ratios, their names, and single long files to train on."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from require import require

require("torch", "pip install 'denoise-wrapper[training]'")

from training_packs import write_packs, write_pairs  # noqa: E402

from denoise_wrapper.cli import main as cli  # noqa: E402
from denoise_wrapper.compare.clips.sets import read_set  # noqa: E402
from denoise_wrapper.errors import DataError  # noqa: E402
from denoise_wrapper.training.config import DataConfig  # noqa: E402
from denoise_wrapper.training.data.balance import balance  # noqa: E402
from denoise_wrapper.training.data.check import check_folders  # noqa: E402
from denoise_wrapper.training.data.corpus import open_corpora  # noqa: E402
from denoise_wrapper.training.data.packs import only_source, open_pack  # noqa: E402
from denoise_wrapper.training.data.pairs import read_pairs  # noqa: E402
from denoise_wrapper.training.run.card import audio_section  # noqa: E402


def level_db(samples: np.ndarray) -> float:
    return 10.0 * float(np.log10(np.mean(samples**2)))


def mix(folder: Path, *options: str) -> int:
    speech, noise = folder / "speech", folder / "noise"
    words = ["data", "mix", "--speech", str(speech), "--noise", str(noise), "-o", str(folder / "mixed"), *options]
    return cli.main(words)


def test_mixtures_have_the_ratio_and_the_level_of_their_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_packs(tmp_path)
    assert mix(tmp_path, "--clips", "5", "--seconds", "2", "--rate", "16000", "--snr", "-5", "10") == 0
    assert "5 clips in clean, noise and noisy, 0.003 h" in capsys.readouterr().out
    files = sorted((tmp_path / "mixed" / "noisy").iterdir())
    assert len(files) == 5
    for path in files:
        match = re.fullmatch(r"voice\d_snr(-?\d+)_tl(-\d+)_fileid_(\d)\.wav", path.name)
        assert match is not None, path.name
        parts = {}
        for part in ("clean", "noise", "noisy"):
            name = path.name if part == "noisy" else f"{part}_fileid_{match[3]}.wav"
            parts[part], rate = soundfile.read(tmp_path / "mixed" / part / name)
            assert (rate, len(parts[part])) == (16000, 32000)
        np.testing.assert_allclose(parts["noisy"], parts["clean"] + parts["noise"], atol=2e-4)
        assert level_db(parts["clean"]) - level_db(parts["noise"]) == pytest.approx(int(match[1]), abs=0.2)
        assert level_db(parts["noisy"]) == pytest.approx(int(match[2]), abs=0.6)
        assert -5 <= int(match[1]) <= 10


def test_the_mixtures_are_pairs_to_train_on_and_a_set_to_score(tmp_path: Path) -> None:
    write_packs(tmp_path)
    assert mix(tmp_path, "--clips", "4", "--seconds", "1", "--rate", "16000") == 0
    assert sum(len(group.pairs) for group in read_pairs(tmp_path / "mixed", 16000, tmp_path / "work")) == 4
    assert len(read_set(tmp_path / "mixed")) == 4


def test_mixtures_are_the_same_again_and_others_by_another_seed(tmp_path: Path) -> None:
    write_packs(tmp_path)
    rooms = ["--room-share", "0.5", "--seconds", "1", "--rate", "16000", "--clips", "3"]
    contents = []
    for seed in ("1", "1", "2"):
        assert mix(tmp_path, *rooms, "--seed", seed) == 0
        contents.append({path.name: path.read_bytes() for path in sorted((tmp_path / "mixed").rglob("*.wav"))})
        (tmp_path / "mixed").rename(tmp_path / f"done{len(contents)}")
    assert contents[0] == contents[1]
    assert contents[0] != contents[2]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--clips", "0"], "number of clips"),
        (["--seconds", "0"], "0.1 to 3600 seconds"),
        (["--rate", "44"], "rate is 8000"),
        (["--room-share", "2"], "share of clips"),
        (["--snr", "0", "900"], "in dB"),
    ],
)
def test_settings_of_mixtures_that_make_no_sense_are_refused(
    tmp_path: Path, options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_packs(tmp_path)
    assert mix(tmp_path, *options) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "mixed").exists()


def test_a_folder_that_is_there_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_packs(tmp_path)
    (tmp_path / "mixed").mkdir()
    assert mix(tmp_path) == 2
    assert "exists; name a folder that does not" in capsys.readouterr().err


# ---- two long files ----


@pytest.mark.parametrize("suffix", [".raw", ".wav", ".flac"])
def test_what_join_wrote_is_split_in_time_and_the_card_says_so(tmp_path: Path, suffix: str) -> None:
    write_packs(tmp_path)
    paths = []
    for kind in ("speech", "noise"):
        paths.append(tmp_path / f"all_{kind}{suffix}")
        assert cli.main(["data", "join", str(tmp_path / kind), "-o", str(paths[-1])]) == 0
    config = DataConfig((paths[0],), (paths[1],), validation=0.3)
    sides = open_corpora(config, 48000, tmp_path / "work", 1)
    spans = []
    for side in sides:
        spans.append({(part.start, part.length) for voice in side.voices for part in voice.recordings})
        assert side.noises
    assert not spans[0] & spans[1]
    length = sum(length for span in spans for _, length in span)
    assert length == pytest.approx(soundfile.info(paths[0]).frames if suffix != ".raw" else paths[0].stat().st_size / 2)
    assert len(spans[1]) == 3
    card = audio_section({"Speech": (paths[0],)})
    assert "all_speech is all there is, so it was split in time" in card
    assert only_source([tmp_path / "speech"]) is None


def test_what_is_no_audio_at_all_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(DataError, match=r"a single one \(\.wav, \.raw"):
        open_pack(tmp_path / "a.txt")


# ---- names, pairs, and what is wrong with data ----


def test_balancing_a_folder_reads_readers_from_names(tmp_path: Path) -> None:
    for language in ("german", "french"):
        (tmp_path / language).mkdir()
        for reader in range(3):
            name = f"book_1_chp_2_reader_{reader:05}_{language}.wav"
            soundfile.write(tmp_path / language / name, 0.1 * np.ones(16000), 16000)
    for share in balance(open_pack(tmp_path), "language", None):
        assert {part.voice for part in share.chosen} == {f"reader_{reader:05}" for reader in range(3)}


def test_numbers_for_names_are_pairs(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    for part, level in (("clean", 0.0), ("noisy", 0.05)):
        (tmp_path / part).mkdir()
        for number in range(3):
            samples = 0.1 * np.sin(np.arange(8000) / 9) + level * rng.standard_normal(8000)
            soundfile.write(tmp_path / part / f"{number}.wav", samples, 16000)
    groups = read_pairs(tmp_path, 16000, tmp_path / "work")
    assert sorted(pair.number for group in groups for pair in group.pairs) == [0, 1, 2]


def spoken(seconds: float, noise: float, seed: int) -> np.ndarray:
    """Bursts of a tone with pauses, and noise."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(16000 * seconds)) / 16000
    return 0.2 * np.sin(900 * time) * (np.sin(9 * time) > 0) + noise * rng.standard_normal(len(time))


def test_exchanged_pairs_are_named_by_check_and_before_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, sides in (("right", ("clean", "noisy")), ("wrong", ("noisy", "clean"))):
        for part, noise in zip(sides, (0.0001, 0.05), strict=True):
            (tmp_path / name / part).mkdir(parents=True)
            for number in range(3):
                soundfile.write(tmp_path / name / part / f"{number}.wav", spoken(2, noise, number), 16000)
        found = [finding for finding in check_folders([tmp_path / name]).findings if finding.problem == "exchanged"]
        assert len(found) == (name == "wrong")
        capsys.readouterr()
        read_pairs(tmp_path / name, 16000, tmp_path / "work")
        assert ("are the two exchanged?" in capsys.readouterr().err) == (name == "wrong")


def test_exchanged_speech_and_noise_are_named_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for kind, noise in (("speech", 0.0001), ("noise", 0.5)):
        (tmp_path / kind).mkdir()
        for number in range(3):
            soundfile.write(tmp_path / kind / f"{kind}{number}.wav", spoken(2, noise, number), 16000)
    for kinds, exchanged in ((("speech", "noise"), False), (("noise", "speech"), True)):
        words = ["--speech", str(tmp_path / kinds[0]), "--noise", str(tmp_path / kinds[1])]
        assert cli.main(["data", "prepare", *words, "-o", str(tmp_path / f"made{exchanged}")]) == 0
        assert ("speech and noise look exchanged: 0 of 3" in capsys.readouterr().out) == exchanged


def test_stereo_and_short_files_are_named_in_a_line_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    speech = tmp_path / "speech"
    speech.mkdir()
    soundfile.write(speech / "a.wav", np.stack([spoken(2, 1e-4, 1)] * 2, axis=1), 16000)
    soundfile.write(speech / "b.wav", spoken(2, 1e-4, 2), 16000)
    content = (speech / "b.wav").read_bytes()
    (speech / "b.wav").write_bytes(content[: len(content) // 2])
    problems = {finding.problem: finding for finding in check_folders([speech]).findings}
    assert "2 of them, of which training takes the mean" in problems["channels"].detail
    assert "promises" in problems["cut short"].detail
    assert (
        cli.main(["data", "prepare", "--speech", str(speech), "--noise", str(speech), "-o", str(tmp_path / "m")]) == 0
    )
    said = capsys.readouterr().out
    assert "to look at, channels: " in said
    assert "to look at, cut short: " in said
    open_corpora(DataConfig((speech,), (speech,), validation=0.5), 16000, tmp_path / "work", 1)
    assert "speech: 2 files, mixed to mono: 1 of 2 channels" in capsys.readouterr().err


def test_features_take_the_steps_that_their_settings_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    speech, noise = write_packs(tmp_path)
    settings = tmp_path / "mine.toml"
    settings.write_text(
        f'work_dir = "{tmp_path}/run"\n[prepare]\nspeech = ["{speech}"]\nnoise = ["{noise}"]\n[join]\n'
        "[data]\nvalidation = 0.3\n[mix]\nclip_s = 1.0\n"
    )
    out = tmp_path / "f.f32"
    assert cli.main(["data", "features", str(settings), "-o", str(out), "--rows", "4000"]) == 0
    assert "4000 rows of the classic network" in capsys.readouterr().out
    assert (tmp_path / "run" / "joined" / "speech-1").is_dir()


def test_pairs_of_the_challenge_keep_their_numbers(tmp_path: Path) -> None:
    groups = read_pairs(write_pairs(tmp_path / "pairs", [4000, 5000]), 16000, tmp_path / "work")
    assert sorted(pair.number for group in groups for pair in group.pairs) == [0, 1]
