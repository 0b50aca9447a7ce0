"""Speech as a denoiser has cleaned it: what is taken, what stays, what is refused, as functions and as a command."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile

from denoise_wrapper.cli.main import main
from denoise_wrapper.errors import DataError, FileError
from denoise_wrapper.training.data.cleaned import CLEANED, CLEAR, FAR, take_cleaned
from denoise_wrapper.training.data.corpus import read_pack
from denoise_wrapper.training.data.held_out import entries
from denoise_wrapper.training.data.packs import open_pack
from denoise_wrapper.training.run.card import audio_section

RATE = 16000
WORD = RATE  # samples
GAP = RATE // 4


def word(hiss_db: float, seed: int) -> np.ndarray:
    """A tone of half a second within a second of hiss, so many dB below it."""
    rng = np.random.default_rng(seed)
    time = np.arange(WORD) / RATE
    tone = np.where(np.abs(time - 0.5) < 0.25, 0.3 * np.sin(2.0 * np.pi * 300.0 * time), 0.0)
    return tone + 0.2 * 10.0 ** (hiss_db / 20.0) * rng.standard_normal(WORD)


def write_speech(folder: Path, words: dict[str, list[np.ndarray]], source: str = "made", suffix: str = ".wav") -> Path:
    """A pack with a file for each voice and its words apart in it, and a table."""
    folder.mkdir(parents=True)
    rows = ["file,start_s,end_s,voice,source,licence"]
    for voice, spoken in words.items():
        gap = np.zeros(GAP)
        soundfile.write(folder / f"{voice}{suffix}", np.concatenate([np.r_[one, gap] for one in spoken]), RATE)
        for number in range(len(spoken)):
            start = number * (WORD + GAP) / RATE
            rows.append(f"{folder.name}/{voice}{suffix},{start:.4f},{start + 1.0:.4f},{voice},{source},CC0")
    (folder / "segments.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "segments.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def packs(tmp_path: Path) -> tuple[Path, Path]:
    """Speech and the same cleaned: a hissing word made clean, a clear one made silent, a hissing one made silent."""
    hissing, clear, spoilt = word(-30.0, 1), word(-75.0, 2), word(-30.0, 3)
    speech = write_speech(tmp_path / "speech", {"ann": [hissing, clear], "bob": [spoilt]})
    silent = np.zeros(WORD)
    cleaned = write_speech(tmp_path / "out", {"ann": [word(-300.0, 1), silent], "bob": [silent]}, suffix=".flac")
    return speech, cleaned


def test_a_recording_is_taken_where_it_stayed_near_and_was_not_clear(tmp_path: Path, packs: tuple[Path, Path]) -> None:
    speech, cleaned = packs
    choice = take_cleaned(open_pack(speech), cleaned, tmp_path / "targets")
    assert [one.verdict for one in choice.judged] == [CLEANED, CLEAR, FAR]
    recordings, hours = choice.count(CLEANED)
    assert recordings == 1
    assert hours == pytest.approx(1.0 / 3600.0)
    rows = table(tmp_path / "targets")
    assert [(row["file"], row["voice"], row["cleaned"], row["licence"]) for row in rows] == [
        ("ann.flac", "ann", "a denoiser", "CC0"),
        ("ann.flac", "ann", "", "CC0"),
        ("bob.flac", "bob", "", "CC0"),
    ]
    audio, rate = soundfile.read(tmp_path / "targets" / "ann.flac", dtype="int16")
    before, _ = soundfile.read(speech / "ann.wav", dtype="int16")
    instead, _ = soundfile.read(cleaned / "ann.flac", dtype="int16")
    assert rate == RATE
    assert len(audio) == 2 * WORD + GAP  # nothing after the last recording
    assert np.array_equal(audio[:WORD], instead[:WORD])
    assert not np.array_equal(audio[:WORD], before[:WORD])
    assert not audio[WORD : WORD + GAP].any()
    assert np.array_equal(audio[WORD + GAP :], before[WORD + GAP : 2 * WORD + GAP])


def test_recordings_of_vorbis_are_found_where_they_are(tmp_path: Path) -> None:
    """Each in its place, though one goes on past pauses, and back for one that overlaps another."""
    words = [word(-30.0, number) for number in range(4)]
    speech = write_speech(tmp_path / "speech", {"ann": words}, suffix=".ogg")
    lines = (speech / "segments.csv").read_text(encoding="utf-8").splitlines()
    lines.append("speech/ann.ogg,0.5000,1.5000,ann,mine,CC0")
    (speech / "segments.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    decoded, _ = soundfile.read(speech / "ann.ogg", dtype="float32")
    (tmp_path / "out").mkdir()
    soundfile.write(tmp_path / "out" / "ann.flac", decoded, RATE, "PCM_24")
    choice = take_cleaned(open_pack(speech), tmp_path / "out", tmp_path / "targets", near_db=60.0, clear_db=300.0)
    assert [one.verdict for one in choice.judged] == [CLEANED] * 5
    audio, _ = soundfile.read(tmp_path / "targets" / "ann.flac", dtype="float32")
    starts = [round(float(row["start_s"]) * RATE) for row in table(tmp_path / "targets")]
    for start, one in zip(starts, choice.judged, strict=True):
        first = round(one.part.start_s * RATE)
        assert audio[start : start + RATE] == pytest.approx(decoded[first : first + RATE], abs=1e-4)


def test_training_reads_the_same_recordings_from_it(tmp_path: Path, packs: tuple[Path, Path]) -> None:
    speech, cleaned = packs
    take_cleaned(open_pack(speech), cleaned, tmp_path / "targets")
    before, after = (read_pack(pack, RATE, tmp_path) for pack in (speech, tmp_path / "targets"))
    assert [(name, one.length) for name, one in after] == [(name, one.length) for name, one in before]
    assert np.array_equal(after[1][1].read(), before[1][1].read())


def test_the_card_of_a_network_names_the_denoiser(tmp_path: Path, packs: tuple[Path, Path]) -> None:
    speech, cleaned = packs
    take_cleaned(open_pack(speech), cleaned, tmp_path / "targets", by="mine")
    before, after = (audio_section({"Speech": (pack,)}) for pack in (speech, tmp_path / "targets"))
    assert "cleaned" not in before
    assert "\nOf it 0.00028 h as mine has cleaned it.\n" in after  # a second


def test_what_did_not_stay_near_is_left_out_if_wanted(tmp_path: Path, packs: tuple[Path, Path]) -> None:
    speech, cleaned = packs
    take_cleaned(open_pack(speech), cleaned, tmp_path / "targets", drop=True)
    assert [row["voice"] for row in table(tmp_path / "targets")] == ["ann", "ann"]
    assert not (tmp_path / "targets" / "bob.flac").exists()
    with pytest.raises(DataError, match="no recording is left"):
        take_cleaned(open_pack(speech), cleaned, tmp_path / "none", near_db=300.0, clear_db=300.0, drop=True)
    assert not (tmp_path / "none").exists()


def test_held_out_voices_are_left_out(tmp_path: Path) -> None:
    held = next(entry for entry in entries() if entry.kind == "voice")
    words = {held.name: [word(-30.0, 1)], "ann": [word(-30.0, 2)]}
    speech = write_speech(tmp_path / "speech", words, source=held.source)
    take_cleaned(open_pack(speech), speech, tmp_path / "targets")
    assert [path.name for path in sorted((tmp_path / "targets").iterdir())] == ["ann.flac", "segments.csv"]


@pytest.mark.parametrize("spoil", ["lacking", "shorter", "damaged"])
def test_files_that_do_not_belong_together_are_data_errors(
    tmp_path: Path, packs: tuple[Path, Path], spoil: str
) -> None:
    speech, cleaned = packs
    path = cleaned / "bob.flac"
    if spoil == "lacking":
        path.unlink()
    elif spoil == "shorter":
        soundfile.write(path, np.zeros(WORD), RATE)
    else:
        path.write_bytes(b"no sound at all")
    with pytest.raises(DataError, match="bob"):
        take_cleaned(open_pack(speech), cleaned, tmp_path / "targets")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "speech"]


def test_a_folder_that_exists_is_left_alone(tmp_path: Path, packs: tuple[Path, Path]) -> None:
    speech, cleaned = packs
    (tmp_path / "targets").mkdir()
    with pytest.raises(FileError, match="exists"):
        take_cleaned(open_pack(speech), cleaned, tmp_path / "targets")


def test_the_command_says_how_many_it_took(
    tmp_path: Path, packs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    speech, cleaned = packs
    assert main(["data", "cleaned", str(speech), str(cleaned), "-o", str(tmp_path / "targets")]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "cleaned: 1 recordings, 0.000 h",
        "clean enough as they are: 1 recordings, 0.000 h",
        "spoilt, and kept as they are: 1 recordings, 0.000 h",
    ]
    assert main(["data", "cleaned", str(speech), str(cleaned), "-o", str(tmp_path / "x"), "--near", "nan"]) == 2
    assert "--near is in dB, not nan" in capsys.readouterr().err
