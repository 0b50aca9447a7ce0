"""The check of data folders and the balancing of hours, as functions and as commands."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from training_packs import write_packs, write_pairs

from denoise_wrapper.cli.main import main
from denoise_wrapper.errors import DataError, FileError
from denoise_wrapper.training.config import DataConfig
from denoise_wrapper.training.data.balance import balance, write_folder, write_table
from denoise_wrapper.training.data.check import Finding, check_folders
from denoise_wrapper.training.data.corpus import open_corpora
from denoise_wrapper.training.data.packs import open_pack

RATE = 16000


def speechlike(seconds: float = 2.0, floor: float = 1e-4, rate: int = RATE) -> np.ndarray:
    """Noise of the whole band, loud and quiet by turns of half a second."""
    rng = np.random.default_rng(int(1000 * seconds))
    loud = np.repeat(np.resize([0.1, floor], max(1, round(2 * seconds))), rate // 2)[: round(seconds * rate)]
    return np.asarray(rng.standard_normal(len(loud)) * loud)


def put(audio: np.ndarray, rate: int = RATE, subtype: str = "FLOAT") -> Callable[[Path], object]:
    return lambda path: soundfile.write(path, audio, rate, subtype=subtype)


def low_passed(audio: np.ndarray) -> np.ndarray:
    spectrum = np.fft.rfft(audio)
    spectrum[len(spectrum) // 4 :] = 0.0
    return np.asarray(np.fft.irfft(spectrum, len(audio)))


def problems(findings: tuple[Finding, ...]) -> list[tuple[str, str, str]]:
    return [(finding.verdict, Path(finding.file).name, finding.problem) for finding in findings]


def test_nothing_is_found_in_a_good_folder(tmp_path: Path) -> None:
    put(speechlike())(tmp_path / "good.wav")
    report = check_folders([tmp_path], RATE)
    assert problems(report.findings) == []
    assert report.files == 1
    assert report.hours == pytest.approx(2.0 / 3600.0)


@pytest.mark.parametrize(
    ("write", "verdict", "problem", "detail"),
    [
        (lambda path: path.write_bytes(b"RIFF no"), "unusable", "undecodable", ""),
        (put(np.zeros(0)), "unusable", "empty", "no sample"),
        (put(np.zeros(9000), subtype="PCM_16"), "unusable", "silent", ""),
        (put(np.append(speechlike(), np.nan)), "unusable", "not finite", "NaN"),
        (put(speechlike()[:800]), "unusable", "too short", "0.050 s"),
        (put(np.clip(20.0 * speechlike(), -1.0, 1.0)), "doubtful", "clipped", "% of the samples at full scale"),
        (put(speechlike() + 0.2), "doubtful", "DC", "mean 0.2"),
        (put(speechlike(3.0, rate=8000), 8000), "doubtful", "low rate", "8000 Hz where 16000 Hz are wanted"),
        (put(low_passed(speechlike(3.0))), "doubtful", "narrow band", "ends at 2.0 kHz of 8 kHz"),
        (put(speechlike(3.0, floor=0.02)), "doubtful", "noisy speech", "quiet frames 1"),
        (put(speechlike()), "doubtful", "duplicate", "good.wav"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(
    tmp_path: Path, write: Callable[[Path], object], verdict: str, problem: str, detail: str
) -> None:
    put(speechlike())(tmp_path / "a good.wav")
    write(tmp_path / "odd.wav")
    [finding] = check_folders([tmp_path], RATE).findings
    assert problems((finding,)) == [(verdict, "odd.wav", problem)]
    assert detail in finding.detail


def test_noise_and_rooms_are_not_judged_as_speech(tmp_path: Path) -> None:
    for name, audio in (("noise", low_passed(speechlike(3.0, floor=0.05))), ("rir", np.append(1.0, np.zeros(200)))):
        (tmp_path / name).mkdir()
        put(audio)(tmp_path / name / "a.wav")
        assert problems(check_folders([tmp_path / name], RATE).findings) == []
        assert problems(check_folders([tmp_path / name], RATE, "speech").findings) != []


def test_rows_that_do_not_fit_are_named_by_line(tmp_path: Path) -> None:
    for name in ("a.wav", "b.wav"):
        put(speechlike(2.0 if name == "a.wav" else 3.0))(tmp_path / name)
    rows = ["file,start_s,end_s,voice", "a.wav,0,1,v", "absent.wav,0,1,v", "a.wav,5,6,v", "a.wav,1,9,v",
            "a.wav,2,1,v", "a.wav,0", "a.wav,1,1,v"]  # fmt: skip
    (tmp_path / "segments.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    findings = [
        (finding.verdict, finding.problem, finding.detail[:8]) for finding in check_folders([tmp_path]).findings
    ]
    assert findings == [
        ("unusable", "row", "line 3: "), ("unusable", "row", "line 4: "), ("unusable", "row", "line 6: "),
        ("unusable", "row", "line 7: "), ("unusable", "row", "line 8: "), ("doubtful", "no row", f"{tmp_path}"[:8]),
        ("doubtful", "row", "line 5: "),
    ]  # fmt: skip


def test_noisy_speech_is_found_by_the_row(tmp_path: Path) -> None:
    put(np.concatenate([speechlike(2.0), speechlike(3.0, floor=0.05)]))(tmp_path / "a.wav")
    (tmp_path / "segments.csv").write_text("file,start_s,end_s,voice\na.wav,0,2,v\na.wav,2,5,v\n", encoding="utf-8")
    [finding] = check_folders([tmp_path]).findings
    assert (finding.problem, finding.start_s) == ("noisy speech", 2.0)


def test_pairs_that_lack_each_other_are_named(tmp_path: Path) -> None:
    folder = write_pairs(tmp_path / "set", lengths=[RATE] * 5)
    (folder / "clean/clean_fileid_1.wav").unlink()
    next((folder / "noisy").glob("*_fileid_2.wav")).unlink()
    put(np.full(5000, 0.1))(folder / "clean/clean_fileid_3.wav")
    put(speechlike())(folder / "noisy/stray.wav")
    (folder / "noise").mkdir()
    put(speechlike())(folder / "noise/noise_fileid_0.wav")
    findings = check_folders([folder]).findings
    assert [item for item in problems(findings) if item[2] in ("no pair", "no number", "lengths", "no noise")] == [
        ("unusable", "talk_snr5_tl-25_fileid_3.wav", "lengths"),
        ("unusable", "stray.wav", "no number"),
        ("unusable", "clean_fileid_2.wav", "no pair"),
        ("unusable", "talk_snr5_tl-25_fileid_1.wav", "no pair"),
        ("doubtful", "noise", "no noise"),
    ]


def test_the_command_says_it_in_a_table_csv_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "speech"
    folder.mkdir()
    put(speechlike())(folder / "good.wav")
    put(speechlike() + 0.2)(folder / "doubtful.wav")
    assert main(["data", "check", str(folder), "--rate", "16000"]) == 0
    assert main(["data", "check", str(folder), "--rate", "16000", "--strict"]) == 2
    put(np.zeros(0))(folder / "unusable.wav")
    paths = [str(tmp_path / name) for name in ("found.csv", "found.json")]
    capsys.readouterr()
    assert main(["data", "check", str(folder), "--csv", paths[0], "--json", paths[1]]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["unusable", "doubtful", "3"]
    assert lines[-1].endswith("1 findings unusable, 1 doubtful")
    with open(paths[0], encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["verdict"], row["problem"]) for row in rows] == [("unusable", "empty"), ("doubtful", "DC")]
    report = json.loads(Path(paths[1]).read_text(encoding="utf-8"))
    assert (report["files"], report["unusable"], report["doubtful"]) == (3, 1, 1)
    assert report["findings"][0]["problem"] == "empty"
    assert main(["data", "check", str(folder), "--csv", paths[0]]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main(["data", "check", str(tmp_path / "absent")]) == 2
    assert "is no folder" in capsys.readouterr().err


def languages(folder: Path) -> Path:
    """A folder for each of three languages: 4 voices of 6 s, 2 of 3 s, 1 of 2 s."""
    for language, voices, seconds in (("de", 4, 6.0), ("fr", 2, 3.0), ("ru", 1, 2.0)):
        for voice in range(voices):
            (folder / language).mkdir(parents=True, exist_ok=True)
            put(speechlike(seconds))(folder / language / f"{voice}.wav")
    return folder


def test_equal_hours_of_each_language(tmp_path: Path) -> None:
    shares = balance(open_pack(languages(tmp_path / "speech")), "language", None)
    assert [share.group for share in shares] == ["de", "fr", "ru"]
    assert [share.chosen_s for share in shares] == [pytest.approx(2.0)] * 3


def test_hours_asked_for_are_given_where_there_are_as_many(tmp_path: Path) -> None:
    shares = balance(open_pack(languages(tmp_path / "speech")), "language", 5.0 / 3600.0)
    assert [share.chosen_s for share in shares] == [pytest.approx(5.0), pytest.approx(5.0), pytest.approx(2.0)]


def test_a_language_is_taken_evenly_from_its_voices(tmp_path: Path) -> None:
    speech, _ = write_packs(tmp_path)
    rows = (speech / "segments.csv").read_text(encoding="utf-8").splitlines()
    rows = [rows[0] + ",language", *(row + ",xx" for row in rows[1:])]
    (speech / "segments.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    [share] = balance(open_pack(speech), "language", 4.8 / 3600.0)
    voices = [part.voice for part in share.chosen]
    assert sorted(voices) == sorted([f"voice{number}" for number in range(4)] * 2)


def test_the_choice_depends_on_the_seed_alone(tmp_path: Path) -> None:
    pack = open_pack(languages(tmp_path / "speech"))
    chosen = [[part.file for part in balance(pack, "folder", None, seed)[0].chosen] for seed in (1, 1, 2, 3, 4, 5)]
    assert chosen[0] == chosen[1]
    assert any(other != chosen[0] for other in chosen[2:])


@pytest.mark.parametrize("copied", [False, True])
def test_training_reads_what_was_balanced(tmp_path: Path, copied: bool) -> None:
    speech, noise = write_packs(tmp_path)
    pack = open_pack(speech)
    shares = balance(pack, "voice", 1.15 / 3600.0)
    target = tmp_path / "chosen" / ("chosen" if copied else "chosen.csv")
    target.parent.mkdir()
    if copied:
        write_folder(pack, shares, "voice", target)
        assert os.stat(target / "voice0.wav").st_ino == os.stat(speech / "voice0.wav").st_ino
    else:
        write_table(pack, shares, "voice", target)
    sides = open_corpora(DataConfig((target,), (noise,), validation=0.3), RATE, tmp_path / "work", 1)
    lengths = [voice.length for side in sides for voice in side.voices]
    assert lengths == [pytest.approx(1.15 * RATE, abs=4)] * 4


def test_a_copy_of_files_from_elsewhere_stays_in_its_folder(tmp_path: Path) -> None:
    speech, _ = write_packs(tmp_path)
    pack = open_pack(speech)
    (tmp_path / "far").mkdir()
    write_table(pack, balance(pack, "voice", None), "voice", tmp_path / "far" / "table.csv")
    far = open_pack(tmp_path / "far" / "table.csv")
    write_folder(far, balance(far, "voice", None), "voice", tmp_path / "far" / "copy")
    assert len(open_pack(tmp_path / "far" / "copy").files) == 4
    assert sorted(path.name for path in (tmp_path / "far").iterdir()) == ["copy", "table.csv"]


def test_nothing_is_replaced_or_left_half_made(tmp_path: Path) -> None:
    pack = open_pack(languages(tmp_path / "speech"))
    shares = balance(pack, "language", None)
    write_table(pack, shares, "language", tmp_path / "out.csv")
    with pytest.raises(FileError, match="exists"):
        write_table(pack, shares, "language", tmp_path / "out.csv")
    with pytest.raises(FileError, match="exists; name a folder that does not"):
        write_folder(pack, shares, "language", tmp_path / "speech")
    (tmp_path / "speech" / "ru" / "0.wav").unlink()
    with pytest.raises(FileError, match="cannot make"):
        write_folder(pack, shares, "language", tmp_path / "copy")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv", "speech"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--by", "language", "--equal", "-o", "out.csv"], "no language is known of a.wav"),
        (["--by", "folder", "--equal", "-o", "out.csv"], "no folder is known of a.wav"),
        (["--by", "voice", "--hours", "0", "-o", "out.csv"], "--hours is above 0"),
        (["--by", "voice", "--hours", "1", "-o", "out.txt"], "is called NAME.csv"),
        (["--by", "voice", "--hours", "1", "-o", "segments.csv"], "is called NAME.csv"),
        (["--by", "voice", "--hours", "1", "--seed", "-1", "-o", "out.csv"], "--seed is 0 or more"),
        (["--by", "voice", "-o", "out.csv"], "one of the arguments --hours --equal is required"),
    ],
)
def test_a_balance_that_cannot_be_is_refused(
    tmp_path: Path,
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "speech").mkdir()
    put(speechlike())(tmp_path / "speech" / "a.wav")
    try:
        code: object = main(["data", "balance", "speech", *arguments])
    except SystemExit as stop:
        code = stop.code
    assert code == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["speech"]


def test_the_balance_command_writes_a_table_and_says_what_was_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    languages(tmp_path / "speech")
    target = tmp_path / "out.csv"
    arguments = ["data", "balance", str(tmp_path / "speech"), "--by", "language", "--equal", "-o", str(target)]
    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["language", "there", "taken", "voices", "recordings"]
    assert lines[-1].startswith("3 of language: 0.002 h taken")
    with target.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["language"] for row in rows} == {"de", "fr", "ru"}
    assert all((tmp_path / row["file"]).is_file() for row in rows)
    assert main([*arguments[:3], "--by", "voice", "--hours", "1", "--copy", "-o", str(tmp_path / "copy")]) == 0
    assert len(list((tmp_path / "copy").rglob("*.wav"))) == 7


def test_a_table_that_names_what_is_not_there_is_a_data_error(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("file,start_s,end_s,voice\nabsent.wav,0,1,v\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"names absent\.wav"):
        _ = open_pack(tmp_path / "table.csv").files


def test_pairs_with_an_empty_folder_of_noises_are_looked_at_all_the_same(tmp_path: Path) -> None:
    folder = write_pairs(tmp_path / "set", lengths=[RATE] * 2)
    (folder / "noise").mkdir()
    (folder / "clean/clean_fileid_1.wav").unlink()
    listed = problems(check_folders([folder]).findings)
    assert [item[2] for item in listed if item[2] in ("no pair", "no noise")] == ["no pair"]
