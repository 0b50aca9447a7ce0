"""Preparing folders as they are into tables, and joining recordings into long files, as functions and as commands."""

from __future__ import annotations

import csv
import errno
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from training_packs import RATE, write_packs, write_pairs

from denoise_wrapper.cli.main import main
from denoise_wrapper.errors import ConfigError, DataError, FileError
from denoise_wrapper.files.soundfiles import Recorder
from denoise_wrapper.training.config import DataConfig
from denoise_wrapper.training.data import join as joining
from denoise_wrapper.training.data.balance import balance
from denoise_wrapper.training.data.corpus import open_corpora, read_pack
from denoise_wrapper.training.data.join import GAP_S, join
from denoise_wrapper.training.data.packs import open_pack
from denoise_wrapper.training.data.prepare import prepare


def write_noise(path: Path, seconds: float = 0.5, rate: int = 16000, level: float = 0.1, seed: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    signal = np.random.default_rng(seed).standard_normal(round(seconds * rate)) * level
    soundfile.write(path, signal, rate, subtype="FLOAT")
    return path


def read_table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def voices(path: Path) -> dict[str, str]:
    """Voice by the stem of the file."""
    return {Path(row["file"]).stem: row["voice"] for row in read_table(path)}


def test_tables_of_packs_keep_their_recordings_and_what_is_known_of_them(tmp_path: Path) -> None:
    speech, noise = write_packs(tmp_path)
    tables = prepare(tmp_path / "out", speech=[speech], noise=[noise])
    assert [len(part.rows) for part in tables] == [12, 4]
    assert tables[0].hours == pytest.approx(12 * 0.6 / 3600.0)
    row = read_table(tmp_path / "out" / "speech.csv")[4]
    assert (row["file"], row["voice"], row["source"], row["licence"]) == (
        "../speech/voice1.wav",
        "voice1",
        "made",
        "CC0",
    )
    assert [float(row["start_s"]), float(row["end_s"])] == pytest.approx([0.8, 1.4])
    config = DataConfig((tmp_path / "out" / "speech.csv",), (tmp_path / "out" / "noise.csv",), validation=0.3)
    sides = open_corpora(config, RATE, tmp_path / "work", 1)
    assert sorted(voice.name for side in sides for voice in side.voices) == ["voice0", "voice1", "voice2", "voice3"]
    assert sorted(source.name for side in sides for source in side.noises) == ["noise0", "noise1", "noise2", "noise3"]


def test_the_layout_of_the_challenge_tells_readers_and_noise(tmp_path: Path) -> None:
    folder = write_pairs(tmp_path / "dns", [8000] * 5, readers=2)
    for number in range(5):
        write_noise(folder / "noise" / f"noise_fileid_{number}.wav", seed=number)
    prepare(tmp_path / "out", [folder])
    named = voices(tmp_path / "out" / "speech.csv")
    assert named == {f"clean_fileid_{number}": f"reader_{number % 2:05}" for number in range(5)}
    assert voices(tmp_path / "out" / "noise.csv") == {f"noise_fileid_{n}": f"noise_fileid_{n}" for n in range(5)}


def test_where_there_are_mixtures_and_no_noise_the_noise_is_what_they_have_more(tmp_path: Path) -> None:
    folder = write_pairs(tmp_path / "dns", [8000] * 3, readers=2)
    clean, rate = soundfile.read(folder / "clean/clean_fileid_1.wav", dtype="float32")
    noise = np.random.default_rng(2).standard_normal(len(clean)).astype(np.float32) * 0.05
    (noisy,) = folder.glob("noisy/*_fileid_1.wav")
    soundfile.write(noisy, clean + noise, rate, subtype="FLOAT")
    prepare(tmp_path / "out", [folder])
    (path,) = (tmp_path / "out/noise/dns").glob("*_fileid_1.flac")
    written, rate = soundfile.read(path, dtype="float32")
    assert rate == 16000
    np.testing.assert_allclose(written, noise * (0.5 / np.abs(noise).max()), atol=2e-5)
    assert len(set(voices(tmp_path / "out" / "noise.csv").values())) == 3


def test_noise_that_is_there_is_not_made_again_and_that_of_other_pairs_goes(tmp_path: Path) -> None:
    folder = write_pairs(tmp_path / "dns", [8000] * 3)
    prepare(tmp_path / "out", [folder])
    made = sorted((tmp_path / "out/noise/dns").iterdir())
    before = [path.stat().st_mtime_ns for path in made]
    for path in [*folder.glob("noisy/*_2.wav"), *folder.glob("clean/*_2.wav")]:
        path.unlink()
    prepare(tmp_path / "out", [folder], overwrite=True)
    left = sorted((tmp_path / "out/noise/dns").iterdir())
    assert left == made[:2]
    assert [path.stat().st_mtime_ns for path in left] == before[:2]


@pytest.mark.parametrize(
    ("by", "file", "voice", "language"),
    [
        ("voice", "anna/1.wav", "anna", ""),
        ("voice", "alone.wav", "alone", ""),
        ("voice", "de/book_00001_chp_1_reader_06709_2.wav", "reader_06709", ""),
        ("language", "de/anna/1.wav", "de/anna", "de"),
        ("language", "de/karl.wav", "de/karl", "de"),
        ("language", "de/book_00001_chp_1_reader_06709_2.wav", "reader_06709", "de"),
        ("language", "alone.wav", "alone", ""),
    ],
)
def test_names_of_files_and_folders_tell_voices_and_languages(
    tmp_path: Path, by: str, file: str, voice: str, language: str
) -> None:
    write_noise(tmp_path / "speech" / file)
    write_noise(tmp_path / "noise/a.wav")
    prepare(tmp_path / "out", speech=[tmp_path / "speech"], noise=[tmp_path / "noise"], folders=by)  # type: ignore[arg-type]
    (row,) = read_table(tmp_path / "out" / "speech.csv")
    assert (row["voice"], row["language"]) == (voice, language)


def test_languages_that_folders_tell_can_be_balanced(tmp_path: Path) -> None:
    for number, (language, seconds) in enumerate((("de", 3.0), ("de", 2.0), ("ru", 1.5), ("ru", 0.5))):
        write_noise(tmp_path / f"speech/{language}/voice{number}/a.wav", seconds, seed=number)
    write_noise(tmp_path / "noise/a.wav")
    prepare(tmp_path / "out", speech=[tmp_path / "speech"], noise=[tmp_path / "noise"], folders="language")
    shares = balance(open_pack(tmp_path / "out/speech.csv"), "language", None)
    assert [(share.group, round(share.chosen_s, 3)) for share in shares] == [("de", 2.0), ("ru", 2.0)]


def test_what_is_of_no_use_is_left_out_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_noise(tmp_path / "speech/good.wav")
    (tmp_path / "speech/broken.wav").write_bytes(b"RIFF no")
    write_noise(tmp_path / "speech/silent.wav", level=0.0)
    write_noise(tmp_path / "speech/short.wav", seconds=0.05)
    write_noise(tmp_path / "noise/a.wav")
    command = ["data", "prepare", "--speech", str(tmp_path / "speech"), "--noise", str(tmp_path / "noise")]
    assert main([*command, "-o", str(tmp_path / "out")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "speech: 0.000 h, 1 recordings of 1 voices"
    assert sorted(line.split(":")[0] for line in lines[1:4]) == [
        "left out, silent",
        "left out, too short",
        "left out, undecodable",
    ]
    assert voices(tmp_path / "out" / "speech.csv") == {"good": "good"}
    assert main([*command, "-o", str(tmp_path / "out")]) == 2
    assert "speech.csv exists" in capsys.readouterr().err


def test_a_set_without_noise_or_without_speech_is_refused_in_words(tmp_path: Path) -> None:
    speech, noise = write_packs(tmp_path)
    with pytest.raises(ConfigError, match="no folder of noise is named"):
        prepare(tmp_path / "out", speech=[speech])
    with pytest.raises(ConfigError, match="no folder of speech and noise is named"):
        prepare(tmp_path / "out")
    (tmp_path / "dns/clean").mkdir(parents=True)
    with pytest.raises(DataError, match=r"dns has speech \(clean\) but no noise; add a folder noise"):
        prepare(tmp_path / "out", [tmp_path / "dns"])
    with pytest.raises(DataError, match="noise has no folder clean"):
        prepare(tmp_path / "out", [noise])
    write_noise(tmp_path / "hush/silent.wav", level=0.0)
    with pytest.raises(DataError, match=r"there is no noise to train with: .*silent.wav is silent; give --noise"):
        prepare(tmp_path / "out", speech=[speech], noise=[tmp_path / "hush"])
    pairs = write_pairs(tmp_path / "pairs", [8000, 8000], sign=0.0)
    with pytest.raises(DataError, match="noisy and clean are the same, so there is no noise"):
        prepare(tmp_path / "out", [pairs])
    assert not list(tmp_path.glob("out/*.csv"))


def test_pairs_that_do_not_fit_tell_no_noise(tmp_path: Path) -> None:
    folder = write_pairs(tmp_path / "dns", [8000, 8000])
    write_noise(folder / "clean/clean_fileid_1.wav", seconds=2.0)
    with pytest.raises(DataError, match="has 8000 samples at 16000 Hz, its clean counterpart 32000 at 16000"):
        prepare(tmp_path / "out", [folder])


def joined_recordings(path: Path, work_dir: Path) -> dict[str, list[np.ndarray]]:
    recordings: dict[str, list[np.ndarray]] = {}
    for voice, recording in read_pack(path, RATE, work_dir):
        recordings.setdefault(voice, []).append(recording.read())
    return recordings


def test_joined_recordings_are_those_that_went_in(tmp_path: Path) -> None:
    speech, _ = write_packs(tmp_path)
    joined = join(open_pack(speech), tmp_path / "out")
    assert (joined.files, joined.recordings) == (4, 12)
    assert joined.seconds == pytest.approx(12 * 0.6)
    before, after = (joined_recordings(path, tmp_path / "work") for path in (speech, tmp_path / "out"))
    assert before.keys() == after.keys()
    for voice, recordings in before.items():
        for one, other in zip(recordings, after[voice], strict=True):
            np.testing.assert_array_equal(one, other)
    rows = read_table(tmp_path / "out/segments.csv")
    info = soundfile.info(tmp_path / "out" / rows[0]["file"])
    assert (info.samplerate, info.channels, info.subtype) == (48000, 1, "PCM_16")
    assert info.frames == 3 * round(0.6 * RATE) + 2 * round(GAP_S * RATE)
    assert [row["voice"] for row in rows if row["licence"] == "CC0"] == [
        f"voice{n}" for n in range(4) for _ in range(3)
    ]


@pytest.mark.parametrize(("name", "start"), [("a.raw", b""), ("a.pcm", b""), ("a.wav", b"RIFF"), ("a.flac", b"fLaC")])
def test_all_in_one_file(tmp_path: Path, name: str, start: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    speech, _ = write_packs(tmp_path)
    target = tmp_path / "new" / name
    assert main(["data", "join", str(speech), "-o", str(target)]) == 0
    assert "12 recordings" in capsys.readouterr().out
    assert target.read_bytes().startswith(start)
    raw = target.suffix in (".raw", ".pcm")
    audio, rate = (np.fromfile(target, "<i2"), RATE) if raw else soundfile.read(target, dtype="int16")
    assert rate == RATE
    assert len(audio) == 12 * round(0.6 * RATE) + 11 * round(GAP_S * RATE)
    first = joined_recordings(speech, tmp_path / "work")["voice0"][0]
    np.testing.assert_array_equal(audio[: len(first)], np.rint(first * 32768.0))
    assert not audio[len(first) : len(first) + round(GAP_S * RATE)].any()
    assert main(["data", "join", str(speech), "-o", str(target)]) == 2
    assert main(["data", "join", str(speech), "-o", str(target), "--overwrite"]) == 0
    assert [path.name for path in target.parent.iterdir()] == [name]


def test_other_rates_become_one_and_what_ends_early_lies_apart(tmp_path: Path) -> None:
    write_noise(tmp_path / "speech/anna/low.wav", 1.0, 16000)
    write_noise(tmp_path / "speech/anna/high.wav", 1.0, 48000)
    join(open_pack(tmp_path / "speech"), tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["anna-16k.flac", "anna.flac", "segments.csv"]
    assert {row["voice"] for row in read_table(tmp_path / "out/segments.csv")} == {"anna"}
    for name in ("anna", "anna-16k"):
        assert soundfile.info(tmp_path / f"out/{name}.flac").frames == 48000


def test_voices_whose_names_are_no_file_names_have_files_of_their_own(tmp_path: Path) -> None:
    speech, _ = write_packs(tmp_path)
    table = (speech / "segments.csv").read_text()
    for number, name in enumerate(("a/b", "a b", "A?b", "...")):
        table = table.replace(f",voice{number},", f",{name},")
    (speech / "segments.csv").write_text(table)
    assert join(open_pack(speech), tmp_path / "out").files == 4
    assert {row["voice"] for row in read_table(tmp_path / "out/segments.csv")} == {"a/b", "a b", "A?b", "..."}
    assert len({path.name.lower() for path in (tmp_path / "out").glob("*.flac")}) == 4


def test_a_folder_that_exists_is_not_joined_into(tmp_path: Path) -> None:
    speech, _ = write_packs(tmp_path)
    (tmp_path / "out").mkdir()
    with pytest.raises(FileError, match="out exists; name a folder that does not"):
        join(open_pack(speech), tmp_path / "out", overwrite=True)


@pytest.mark.parametrize("name", ["out", "out.raw", "out.flac"])
def test_a_disk_that_fills_leaves_nothing(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    speech, _ = write_packs(tmp_path)

    class Full(Recorder):
        def write(self, data: bytes) -> int:
            self._error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return 0

    monkeypatch.setattr(joining, "Recorder", Full)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(FileError, match=f"{name}.*(disk is full|no space left)"):
        join(open_pack(speech), tmp_path / name)
    assert sorted(tmp_path.iterdir()) == before


def test_ctrl_c_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    speech, _ = write_packs(tmp_path)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(joining, "blocks", interrupted)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(KeyboardInterrupt):
        join(open_pack(speech), tmp_path / "out")
    assert sorted(tmp_path.iterdir()) == before
