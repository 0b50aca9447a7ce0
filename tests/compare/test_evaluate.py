"""Evaluating a complete set: which clips belong together, that each is measured, and how the results are written."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from fakes import FakeBackend
from require import require
from sets import RATE, quick_opinions, voice, write_set

for package in ("librosa", "pesq", "pystoi", "soxr", "speechmos"):
    require(package, reason="metrics need their packages: pip install 'denoise-wrapper[metrics]'")

from denoise_wrapper import Denoiser  # noqa: E402
from denoise_wrapper.backends.convert import read_model, write_model  # noqa: E402
from denoise_wrapper.cli import main as cli  # noqa: E402
from denoise_wrapper.compare import Candidate, Comparison, evaluate  # noqa: E402
from denoise_wrapper.compare.clips.sets import read_set  # noqa: E402
from denoise_wrapper.compare.comparison import MEASURES  # noqa: E402
from denoise_wrapper.compare.export import set_to_dict  # noqa: E402
from denoise_wrapper.compare.measure.metrics import METRICS, measure  # noqa: E402
from denoise_wrapper.compare.tables import OF_SETS, format_pair, format_set  # noqa: E402
from denoise_wrapper.errors import ConfigError, DataError, DenoiseError, FileError  # noqa: E402
from denoise_wrapper.models.shipped import MODELS  # noqa: E402

RATIOS = {"a": 0.0, "b": 10.0, "c": 10.0}
FAKE = Denoiser(FakeBackend("fake-16k", sample_rate=16000, hop=128, delay=384, has_vad=False, memory=0.9))


@pytest.fixture
def clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    quick_opinions(monkeypatch)
    return write_set(tmp_path / "set", RATIOS)


def call(*arguments: str | Path) -> int:
    return cli.main(["evaluate", "--jobs", "1", *(str(argument) for argument in arguments)])


def cleaned(folder: Path) -> Candidate:
    """The clips in a folder as --denoised takes them."""
    return Candidate(str(folder), folder=folder)


def metrics_of(comparison: Comparison, clip: int) -> dict[str, float]:
    return {name: comparison.results[0].tracks[clip].value(name) for name in METRICS}


def test_a_set_as_it_came_has_the_measures_of_its_clips(clips: Path) -> None:
    comparison = evaluate(clips, "noisy")
    (result,) = comparison.results
    assert [track.clip.id for track in result.tracks] == ["a", "b", "c"]
    for at, track in enumerate(result.tracks):
        noisy, clean = (soundfile.read(clips / part / f"{track.clip.id}.wav")[0] for part in ("noisy", "clean"))
        assert metrics_of(comparison, at) == pytest.approx(measure(noisy, clean, RATE).values, abs=1e-4, nan_ok=True)
        assert track.value("SISDR") == pytest.approx(RATIOS[track.clip.id], abs=0.6)
        assert track.audio is None  # nothing is kept unasked
    assert result.name == "noisy"
    assert result.delay_ms == 0.0


def test_means_are_of_all_clips_and_of_each_ratio(clips: Path) -> None:
    comparison = evaluate(clips, "noisy")
    means = set_to_dict(comparison)["means"]
    assert list(means) == ["0 dB", "10 dB", "mean"]
    values = comparison.results[0].values("PESQ")
    assert means["0 dB"]["PESQ"] == pytest.approx(values[0], abs=1e-6)
    assert means["10 dB"]["PESQ"] == pytest.approx(np.mean(values[1:]), abs=1e-6)
    assert means["mean"]["PESQ"] == pytest.approx(np.mean(values), abs=1e-6)
    assert means["mean"]["HFLSD"] is None


@pytest.mark.parametrize("rate", [16000, 44100])
def test_a_denoiser_is_measured_by_what_filter_gives_at_any_rate(tmp_path: Path, rate: int) -> None:
    clips = write_set(tmp_path / "set", {"a": 5.0}, rate=rate)
    comparison = evaluate(clips, FAKE, keep=tmp_path / "out")
    kept, kept_rate = soundfile.read(tmp_path / "out" / "a.wav", dtype="float32")
    noisy, clean = (soundfile.read(clips / part / "a.wav", dtype="float32")[0] for part in ("noisy", "clean"))
    assert kept_rate == rate
    np.testing.assert_array_equal(kept, FAKE.filter(noisy, rate))
    assert metrics_of(comparison, 0) == pytest.approx(measure(kept, clean, rate).values, nan_ok=True)
    assert math.isnan(metrics_of(comparison, 0)["HFLSD"]) == (rate == 16000)


def test_processes_change_nothing_but_the_time_it_takes(tmp_path: Path) -> None:
    clips = write_set(tmp_path / "set", {"a": 0.0, "b": 10.0})
    seen: list[tuple[str, int, int]] = []
    one, two = (evaluate(clips, FAKE, jobs=jobs, progress=lambda *step: seen.append(step)) for jobs in (1, 2))
    assert set_to_dict(one) == set_to_dict(two)
    steps = [(what, done, 2) for what in ("cleaning", "measuring") for done in range(3)]
    assert seen == steps * 2


def test_clips_that_were_kept_measure_alike_when_another_program_made_them(clips: Path, tmp_path: Path) -> None:
    first = evaluate(clips, FAKE, keep=tmp_path / "out")
    shutil.rmtree(clips / "noisy")
    again = evaluate(clips, cleaned(tmp_path / "out"))
    assert set_to_dict(again)["clips"] == set_to_dict(first)["clips"]
    assert again.results[0].name == str(tmp_path / "out")


def test_a_delay_that_the_clips_have_in_common_is_taken_away_and_shown(clips: Path, tmp_path: Path) -> None:
    (tmp_path / "late").mkdir()
    for name in RATIOS:
        noisy, _ = soundfile.read(clips / "noisy" / f"{name}.wav")
        soundfile.write(tmp_path / "late" / f"{name}.flac", np.append(np.zeros(160), noisy)[: len(noisy)], RATE)
    comparison = evaluate(clips, cleaned(tmp_path / "late"))
    assert comparison.results[0].delay_ms == pytest.approx(10.0)
    assert comparison.results[0].tracks[1].value("SISDR") == pytest.approx(10.0, abs=0.7)
    assert "lag 10.0 ms, 10.0 ms lost at the end" in format_set(comparison)


def test_a_manifest_says_of_which_rate_the_recordings_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quick_opinions(monkeypatch)
    clips = write_set(tmp_path / "set", {"a": 5.0}, rate=48000)
    assert not math.isnan(metrics_of(evaluate(clips, "noisy"), 0)["HFLSD"])
    (clips / "manifest.json").write_text('{"clips": [{"id": "a", "rate": 16000}]}')
    assert math.isnan(metrics_of(evaluate(clips, "noisy"), 0)["HFLSD"])


def test_clips_without_a_manifest_belong_together_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quick_opinions(monkeypatch)
    clips = write_set(tmp_path / "set", {"x": 0.0, "y": 5.0}, manifest=False)
    (clips / "noisy" / "notes.txt").write_text("no audio")
    assert [(clip.id, clip.snr_db, clip.source_rate) for clip in read_set(clips)] == [
        ("x", None, None),
        ("y", None, None),
    ]
    assert list(evaluate(clips, "noisy").groups()) == ["all"]


def test_clips_without_a_manifest_belong_together_by_file_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quick_opinions(monkeypatch)
    clips = write_set(tmp_path / "set", {"clean_fileid_1": 0.0, "clean_fileid_12": 5.0}, manifest=False)
    for number in (1, 12):
        (clips / "noisy" / f"clean_fileid_{number}.wav").rename(clips / "noisy" / f"street_snr5_fileid_{number}.wav")
    assert [(clip.id, clip.noisy.name) for clip in read_set(clips)] == [
        ("fileid_1", "street_snr5_fileid_1.wav"),
        ("fileid_12", "street_snr5_fileid_12.wav"),
    ]
    assert len(evaluate(clips, cleaned(clips / "noisy")).clips) == 2


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda folder: shutil.rmtree(folder / "clean"), "is no set: it has no folder clean/"),
        (lambda folder: shutil.rmtree(folder / "noisy"), "has no folder noisy/"),
        (lambda folder: (folder / "noisy" / "b.wav").unlink(), "noisy lacks b; a clip has the same name in each"),
        (lambda folder: (folder / "clean" / "c.wav").unlink(), "clean lacks c;"),
        (lambda folder: (folder / "manifest.json").write_text("{"), "is no manifest"),
        (lambda folder: (folder / "manifest.json").write_text("[]"), "is no manifest"),
        (lambda folder: (folder / "manifest.json").write_text('{"clips": []}'), "lists no clips"),
        (lambda folder: (folder / "manifest.json").write_text('{"clips": [{"id": "../x"}]}'), "not '../x'"),
        (lambda folder: (folder / "manifest.json").write_text('{"clips": [{"id": 7}]}'), "not 7"),
        (lambda folder: (folder / "manifest.json").write_text('{"clips": [{"id": "a", "snr_db": "x"}]}'), "a number"),
        (lambda folder: (folder / "manifest.json").write_text('{"clips": [{"id": "a", "rate": "x"}]}'), "whole number"),
        (
            lambda folder: (folder / "manifest.json").write_text('{"clips": [{"id": "a"}, {"id": "a"}]}'),
            "more than once",
        ),
    ],
)
def test_a_folder_that_is_no_set_is_refused(clips: Path, break_it: Callable[[Path], Any], message: str) -> None:
    break_it(clips)
    with pytest.raises(DataError) as error:
        evaluate(clips, "noisy")
    assert message in str(error.value)


def test_halves_without_the_other_are_named_without_a_manifest_too(tmp_path: Path) -> None:
    clips = write_set(tmp_path / "set", {f"{number}": 0.0 for number in range(9)}, manifest=False)
    (clips / "clean" / "3.wav").unlink()
    with pytest.raises(DataError, match="clean lacks 3;"):
        read_set(clips)
    for number in (0, 1, 2, 4, 5, 6, 7):
        (clips / "clean" / f"{number}.wav").unlink()
    with pytest.raises(DataError, match="clean lacks 0, 1, 2, 3, 4 and 3 more"):
        read_set(clips)
    shutil.copy(clips / "clean" / "8.wav", clips / "clean" / "x_fileid_8.wav")
    shutil.copy(clips / "clean" / "8.wav", clips / "clean" / "y_fileid_8.wav")
    with pytest.raises(DataError, match="both fileid_8"):
        read_set(clips)


def test_a_folder_of_another_program_that_lacks_a_clip_is_refused(clips: Path, tmp_path: Path) -> None:
    shutil.copytree(clips / "noisy", tmp_path / "done")
    (tmp_path / "done" / "b.wav").unlink()
    with pytest.raises(DataError, match="done lacks b"):
        evaluate(clips, cleaned(tmp_path / "done"))
    with pytest.raises(DataError, match="cannot look into"):
        evaluate(clips, cleaned(tmp_path / "nothing"))


def test_settings_that_mean_nothing_are_refused(clips: Path) -> None:
    with pytest.raises(ConfigError, match="nothing was named"):
        evaluate(clips, [])
    with pytest.raises(ConfigError, match="jobs is a number"):
        evaluate(clips, jobs=0)


def test_nothing_is_overwritten_unasked_and_the_set_never(clips: Path, tmp_path: Path) -> None:
    evaluate(clips, FAKE, keep=tmp_path / "out")
    with pytest.raises(FileError, match="exists; overwrite=True"):
        evaluate(clips, FAKE, keep=tmp_path / "out")
    evaluate(clips, FAKE, keep=tmp_path / "out", overwrite=True)
    for part in ("clean", "noisy"):
        with pytest.raises(FileError, match="holds clips that are compared"):
            evaluate(clips, FAKE, keep=clips / part, overwrite=True)


def test_a_silent_clip_costs_its_metrics_and_no_more(clips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    soundfile.write(clips / "clean" / "b.wav", np.zeros(2 * RATE), RATE)
    assert call("--backend", "none", "--set", clips) == 0
    lacking = "no PESQ, STOI, ESTOI, SI-SDR, LSD to 8 kHz, speech level"
    assert capsys.readouterr().out.splitlines()[-1] == f"noisy on b: {lacking}: the reference is silent"
    comparison = evaluate(clips, "noisy")
    assert comparison.mean(comparison.results[0], "PESQ", [1, 2]) == comparison.results[0].tracks[2].value("PESQ")


@pytest.mark.parametrize("part", ["noisy", "clean"])
def test_a_clip_that_cannot_be_cleaned_is_reported_and_the_others_are_done(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], part: str
) -> None:
    bad = voice()
    bad[500] = math.nan
    soundfile.write(clips / "noisy" / "b.wav", bad, RATE, "FLOAT")
    (clips / part / "c.wav").write_bytes(b"no audio")
    assert call("--set", clips, "--json", tmp_path / "r.json", "--csv", tmp_path / "r.csv") == 2
    out, _ = capsys.readouterr()
    assert "rnnoise on b: " in out
    assert "samples are not finite" in out
    assert "rnnoise on c: " in out
    written = json.loads((tmp_path / "r.json").read_text())
    assert written["means"]["mean"]["PESQ"] == written["clips"][0]["PESQ"]
    assert [bool(clip["error"]) for clip in written["clips"]] == [False, True, True]
    rows = list(csv.DictReader((tmp_path / "r.csv").open(newline="")))
    assert rows[1]["PESQ"] == ""
    assert "not finite" in rows[1]["not_measured"]


def agree(text: str, exact: float | None, places: int, nothing: str) -> bool:
    """Whether text is a number to so many places, or nothing where there is none."""
    if exact is None or text == nothing:
        return exact is None and text == nothing
    return len(text.partition(".")[2]) == places and float(text) == pytest.approx(exact, abs=0.501 * 10**-places)


def test_the_table_the_csv_and_the_json_agree(clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files: list[str | Path] = ["--csv", tmp_path / "r.csv", "--json", tmp_path / "r.json"]
    assert call("--set", clips, "--atten-lim", "12", "--mix", "0.9", "--clips", *files) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"rnnoise on {clips}: 3 clips, lag 0.0 ms"
    assert lines[1].split() == list(OF_SETS)
    table = {line[:6].strip(): dict(zip(OF_SETS, line[6:].split(), strict=True)) for line in lines[2:]}
    written = json.loads((tmp_path / "r.json").read_text())
    rows = {row["clip"]: row for row in csv.DictReader((tmp_path / "r.csv").open(newline=""))}
    assert list(table) == ["a", "b", "c", "0 dB", "10 dB", "mean"]
    assert list(rows) == ["a", "b", "c", "mean of 0 dB", "mean of 10 dB", "mean"]
    values = {**{clip["id"]: clip for clip in written["clips"]}, **written["means"]}
    for (name, cells), row in zip(table.items(), rows.values(), strict=True):
        for metric in MEASURES:
            exact = values[name][metric]  # with more places than the others; what they are rounded from has more still
            if metric in cells:
                assert agree(cells[metric], exact, places=3, nothing="-")
            assert agree(row[metric], exact, places=4, nothing="")
    assert (rows["b"]["snr_db"], rows["mean"]["snr_db"], rows["mean"]["set"]) == ("10", "", "set")
    assert written["settings"]["atten_lim_db"] == 12
    assert written["settings"]["mix"] == 0.9


def test_the_model_is_named_by_its_hash(clips: Path, tmp_path: Path) -> None:
    model = tmp_path / "own.rnnn"
    write_model(read_model(MODELS / "rnnoise-classic.dnnw"), model)
    assert call("--set", clips, "--model", model, "--json", tmp_path / "own.json") == 0
    written = json.loads((tmp_path / "own.json").read_text())
    assert written["model"] == [str(model)]
    assert written["name"] == "own"
    assert written["model_sha256"] == {"rnnoise": hashlib.sha256(model.read_bytes()).hexdigest()}
    for name in ("rnnoise", "rnnoise-classic"):
        assert call("--set", clips, "--backend", name, "--json", tmp_path / "shipped.json", "--overwrite") == 0
        written = json.loads((tmp_path / "shipped.json").read_text())
        card = Path(cli.__file__).parents[1] / "models" / f"{name}.md"
        assert written["model"] is None
        assert written["model_sha256"][name] in card.read_text(encoding="utf-8")


def test_two_candidates_stand_side_by_side(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(clips.parent)
    model = MODELS / "rnnoise-classic.dnnw"
    assert call("--set", "set", "--csv", "a.csv", "--json", "a.json", "--model", model, "--against", "noisy") == 0
    lines = capsys.readouterr().out.splitlines()
    head, *table = lines[lines.index("rnnoise-classic against noisy on set") + 1 :]
    names = ["rnnoise-classic", "noisy", "difference", "from", "to", "better on"]
    assert [line[:15].strip() for line in table] == names
    cells = {
        name: dict(zip(head.split(), line[15:].split(), strict=True)) for name, line in zip(names, table, strict=True)
    }
    first, second, difference = (float(cells[name]["SISDR"]) for name in names[:3])
    assert first - second == pytest.approx(difference, abs=2e-3)
    assert float(cells["from"]["SISDR"]) <= difference <= float(cells["to"]["SISDR"])
    with Path("a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(dict.fromkeys(row["name"] for row in rows)) == ["rnnoise-classic", "noisy"]
    ratios = {(row["name"], row["clip"]): float(row["SISDR"]) for row in rows}
    better = sum(ratios["rnnoise-classic", clip] > ratios["noisy", clip] for clip in RATIOS)
    assert cells["better on"]["SISDR"] == f"{better}/3"
    written = json.loads(Path("a.json").read_text())
    assert (written["name"], written["against"]["name"]) == ("rnnoise-classic", "noisy")
    assert (written["model"], written["against"]["model"]) == ([str(model)], ["noisy"])
    (entry,) = [one for one in written["differences"]["all"] if one["measure"] == "SISDR"]
    assert entry["mean"] == pytest.approx(difference, abs=1e-3)
    assert call("--set", "set", "--against", "nosuch.rnnn") == 2


@pytest.mark.parametrize("other", [["nosuch.rnnn"], ["nosuch"], ["a_1.onnx", "a_2.onnx"], ["rnnoise,mix=7"]])
def test_another_candidate_that_is_wrong_is_refused_before_anything_is_measured(
    other: list[str], clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("denoise_wrapper.compare.run._clean_all", lambda *_: pytest.fail("a clip was cleaned"))
    target = tmp_path / "all.csv"
    assert call("--set", clips, "--csv", target, "-o", tmp_path / "kept", "--against", *other) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert other[0].split(",")[-1].split("=")[0] in said.err
    assert not target.exists()
    assert not (tmp_path / "kept").exists()


def test_a_model_is_no_better_than_itself(clips: Path) -> None:
    both = evaluate(clips, ["standard", "rnnoise"])
    assert [result.name for result in both.results] == ["standard", "rnnoise"]
    *_, difference, low, high, better = (line[10:].split() for line in format_pair(both).splitlines())
    assert {*difference, *low, *high} <= {"+0.000", "-"}
    assert set(better) <= {"0/3", "-"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--backend", "rnoise"], "did you mean 'rnnoise' or 'rnnoise-classic'?"),
        (["--backend", "noisy", "--mix", "0.5"], "--mix: with --backend noisy nothing is cleaned"),
        (["--denoised", ".", "--backend", "rnnoise"], "--backend: with --denoised nothing is cleaned"),
        (["--denoised", ".", "-o", "x"], "-o: with --denoised nothing is cleaned"),
        (["--mix", "2"], "mix is 0 (dry) to 1 (cleaned), not 2.0"),
        (["--jobs", "0"], "jobs is a number of threads or processes, 1 or more"),
        (["--csv", "nowhere/x.csv"], "there is no folder"),
    ],
)
def test_wrong_usage_is_one_line_and_code_2(
    clips: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert call("--set", clips, *options) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1


def test_a_missing_extra_is_named(
    clips: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "soxr", None)
    assert call("--set", clips) == 2
    assert "pip install 'denoise-wrapper[metrics]'" in capsys.readouterr().err


def test_a_worker_that_dies_is_said_to_have_died(clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from denoise_wrapper.compare import pools

    monkeypatch.setattr(pools, "_serve", os.abort)
    with pytest.raises(DenoiseError, match="has died"):
        evaluate(clips, "noisy", jobs=2)


def test_the_shipped_backend_measures_as_the_reference_program_says(shared: Path, tmp_path: Path) -> None:
    small = tmp_path / "set"
    manifest = json.loads((shared / "dev" / "manifest.json").read_text())
    manifest["clips"] = [clip for clip in manifest["clips"] if clip["id"] in ("04", "22", "27")]
    for part in ("clean", "noisy"):
        (small / part).mkdir(parents=True)
        for clip in manifest["clips"]:
            shutil.copy(shared / "dev" / part / f"{clip['id']}.flac", small / part)
    (small / "manifest.json").write_text(json.dumps(manifest))
    comparison = evaluate(small, keep=tmp_path / "out")
    command: list[str | Path] = [sys.executable, shared / "tools" / "score.py", tmp_path / "out", small, "--jobs", "1"]
    subprocess.run([*command, "--json", tmp_path / "score.json"], check=True, capture_output=True)
    wanted = json.loads((tmp_path / "score.json").read_text())["table"]["mean"]
    for name, value in wanted.items():
        mean = comparison.mean(comparison.results[0], name)
        assert mean == pytest.approx(value, abs=0.05 if name in ("SISDR", "HFLSD") else 0.01), name
