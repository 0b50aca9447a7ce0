"""The blind set: who is heard in it and how, and that it is what its manifest says."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from denoise_wrapper.cli.main import main
from denoise_wrapper.compare.clips.sets import read_set
from denoise_wrapper.training.data import held_out
from denoise_wrapper.training.mix import blind
from denoise_wrapper.training.mix.blind import active_samples, plan, rms

RATE = 16000


def test_the_plan_keeps_its_quotas() -> None:
    clips = plan()
    assert Counter((clip.rate, clip.snr_db) for clip in clips) == {
        (rate, ratio): count for rate, count in ((16000, 20), (48000, 10)) for ratio in (0, 5, 10, 15)
    }
    assert sum(clip.unseen for clip in clips) >= 60
    assert sum(clip.room is not None for clip in clips) == 40
    assert {clip.reason for clip in clips} >= {"reader", "child", "adult", "words", "sentences", "words of a language"}
    assert {clip.noise.name for clip in clips} == {e.name for e in held_out.entries() if e.kind == "noise"}
    assert all(clip.noise.band == "full" for clip in clips if clip.rate == 48000)
    assert all(4.0 <= clip.seconds <= 8.0 and -35.0 <= clip.level_db <= -15.0 for clip in clips)
    assert plan() == clips


def test_the_plan_is_of_the_held_out_alone() -> None:
    names = {(entry.kind, entry.name) for entry in held_out.entries()}
    for clip in plan():
        assert ("voice", clip.voice) in names
        assert clip.noise.kind == "noise"
        assert clip.room is None or clip.room.kind == "room"


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """speech, noise and rir of a list of their own: two voices of words, one noise, one room."""
    rng = np.random.default_rng(5)
    rows = [held_out.COLUMNS]
    for folder in ("speech", "noise", "rir", "list"):
        (tmp_path / folder).mkdir()
    table = ["file,start_s,end_s,voice,source"]
    time = np.arange(RATE) / RATE
    for voice in ("ocean-1", "ocean-2"):
        words = [np.sin(2.0 * np.pi * pitch * time) * np.sin(np.pi * time) / 2.0 for pitch in range(100, 2100, 100)]
        soundfile.write(tmp_path / "speech" / f"{voice}.wav", np.concatenate(words), RATE)
        table += [f"{voice}.wav,{start},{start + 1},{voice},made" for start in range(20)]
        rows.append(("voice", voice, "made", f"{voice}.wav", "", "child", "16k", "yes"))
    (tmp_path / "speech" / "segments.csv").write_text("\n".join(table) + "\n", encoding="utf-8")
    soundfile.write(tmp_path / "noise" / "hiss.wav", 0.1 * rng.standard_normal(3 * RATE), RATE)
    rows.append(("noise", "hiss", "made", "hiss.wav", "", "hiss", "16k", ""))
    room = np.append(np.zeros(16), 0.9 * np.exp(-np.arange(RATE) / 2000.0) * rng.standard_normal(RATE) / 4.0)
    room[16] = 0.9
    soundfile.write(tmp_path / "rir" / "hall.wav", room, RATE)
    rows.append(("room", "hall", "made", "hall.wav", "", "long", "16k", ""))
    folders = {"voice": "speech", "noise": "noise", "room": "rir"}
    with (tmp_path / "list" / "held_out.csv").open("w", newline="", encoding="utf-8") as stream:
        for row in rows:
            if row[0] in folders:
                row = (*row[:4], held_out.digest(tmp_path / folders[row[0]] / row[3]), *row[5:])
            csv.writer(stream).writerow(row)
    monkeypatch.setattr(held_out, "LIST", tmp_path / "list" / "held_out.csv")
    monkeypatch.setattr(blind, "PARTS", ((RATE, ("ocean",), "child", 16),))
    forget()
    yield tmp_path
    monkeypatch.undo()
    forget()


def forget() -> None:
    for cached in (held_out.entries, held_out._by_name, held_out.digest):
        cached.cache_clear()


def make(data: Path, name: str) -> int:
    folders = [word for kind, folder in (("speech", "speech"), ("noise", "noise"), ("rooms", "rir"))
               for word in (f"--{kind}", str(data / folder))]  # fmt: skip
    return main(["data", "blind", *folders, "-o", str(data / name)])


def clips_of(folder: Path) -> Iterator[tuple[dict[str, Any], np.ndarray, np.ndarray]]:
    for entry in json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["clips"]:
        clean, noisy = (soundfile.read(folder / side / f"{entry['id']}.flac")[0] for side in ("clean", "noisy"))
        yield entry, clean, noisy


def test_clips_have_the_ratio_level_and_length_of_the_manifest(data: Path) -> None:
    assert make(data, "set") == 0
    assert len(read_set(data / "set")) == 16
    rooms = 0
    for entry, clean, noisy in clips_of(data / "set"):
        assert len(clean) == len(noisy) == round(entry["dur_s"] * entry["rate"])
        assert 4.0 <= entry["dur_s"] <= 8.0
        assert np.abs(noisy).max() <= 0.9901
        active = active_samples(clean, RATE)
        assert 20.0 * np.log10(rms(clean[active])) == pytest.approx(entry["level_dbfs"], abs=0.1)
        if entry["room"] is None:
            ratio_db = 20.0 * np.log10(rms(clean[active]) / rms((noisy - clean)[active]))
            assert ratio_db == pytest.approx(entry["snr_db"], abs=0.1)
        rooms += entry["room"] is not None
        assert entry["voice"].startswith("ocean-")
        assert entry["seen_by_shipped"] is False
    assert rooms == 5


def test_telephone_clips_end_at_3400_hz(data: Path) -> None:
    make(data, "set")
    limits = []
    for entry, _, noisy in clips_of(data / "set"):
        power = np.abs(np.fft.rfft(noisy)) ** 2
        above = power[np.fft.rfftfreq(len(noisy), 1.0 / RATE) > 3700.0]
        narrow = bool(10.0 * np.log10(above.mean() / power.mean()) < -20.0)
        assert narrow == (entry["band_limit_hz"] is not None)
        limits.append(entry["band_limit_hz"])
    assert Counter(limits) == {3400.0: 2, None: 14}


def test_the_same_set_comes_out_each_time(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("first", "second"):
        assert make(data, name) == 0
    sums = [line.split()[-1] for line in capsys.readouterr().out.splitlines()]
    assert sums[0] == sums[1]
    for path in (data / "first").rglob("*.flac"):
        other = data / "second" / path.relative_to(data / "first")
        np.testing.assert_array_equal(soundfile.read(path)[0], soundfile.read(other)[0])


def test_a_file_that_is_another_one_is_refused(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert make(data, "set") == 0
    assert make(data, "set") == 2
    assert "exists" in capsys.readouterr().err
    soundfile.write(data / "noise" / "hiss.wav", np.full(RATE, 0.1), RATE)
    held_out.digest.cache_clear()
    assert make(data, "other") == 2
    assert "is another file; the blind set is made of the very files" in capsys.readouterr().err


def test_the_files_that_the_list_is_of_are_unchanged(shared: Path) -> None:
    folders = {"voice": "speech", "noise": "noise", "room": "rir"}
    for entry in held_out.entries():
        assert held_out.digest(shared / "data" / folders[entry.kind] / entry.file) == entry.sha256
