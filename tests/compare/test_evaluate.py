"""Evaluating a set: which clips belong together, that each is measured, and what is said of it."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from fakes import FakeBackend
from sets import RATE, quick_opinions, voice, write_set

for package in ("librosa", "pesq", "pystoi", "soxr", "speechmos"):
    pytest.importorskip(package, reason="metrics need their packages: pip install 'denoise-wrapper[metrics]'")

from denoise_wrapper import Denoiser  # noqa: E402
from denoise_wrapper.backends.convert import read_model, write_model  # noqa: E402
from denoise_wrapper.cli import main as cli  # noqa: E402
from denoise_wrapper.compare.clips.sets import read_set  # noqa: E402
from denoise_wrapper.compare.evaluate import evaluate  # noqa: E402
from denoise_wrapper.compare.measure.metrics import METRICS, measure  # noqa: E402
from denoise_wrapper.compare.tables import format_table, to_dict  # noqa: E402
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


def test_a_set_as_it_came_has_the_measures_of_its_clips(clips: Path) -> None:
    result = evaluate(clips)
    assert [clip.clip.id for clip in result.clips] == ["a", "b", "c"]
    for clip in result.clips:
        noisy, clean = (soundfile.read(clips / part / f"{clip.clip.id}.wav")[0] for part in ("noisy", "clean"))
        wanted = measure(noisy, clean, RATE)
        assert clip.measures is not None
        assert clip.measures.values == pytest.approx(wanted.values, abs=1e-4, nan_ok=True)
        assert clip.value("SISDR") == pytest.approx(RATIOS[clip.clip.id], abs=0.6)
    assert result.name == "noisy"
    assert result.delay_ms == 0.0


def test_means_are_of_all_clips_and_of_each_ratio(clips: Path) -> None:
    result = evaluate(clips)
    means = result.means()
    assert list(means) == ["0 dB", "10 dB", "mean"]
    values = [clip.value("PESQ") for clip in result.clips]
    assert means["0 dB"]["PESQ"] == values[0]
    assert means["10 dB"]["PESQ"] == pytest.approx(np.mean(values[1:]))
    assert means["mean"]["PESQ"] == pytest.approx(np.mean(values))
    assert math.isnan(means["mean"]["HFLSD"])


@pytest.mark.parametrize("rate", [16000, 44100])
def test_a_denoiser_is_measured_by_what_filter_gives_at_any_rate(tmp_path: Path, rate: int) -> None:
    clips = write_set(tmp_path / "set", {"a": 5.0}, rate=rate)
    (clip,) = evaluate(clips, FAKE, out=tmp_path / "out").clips
    kept, kept_rate = soundfile.read(tmp_path / "out" / "a.wav", dtype="float32")
    noisy, clean = (soundfile.read(clips / part / "a.wav", dtype="float32")[0] for part in ("noisy", "clean"))
    assert kept_rate == rate
    np.testing.assert_array_equal(kept, FAKE.filter(noisy, rate))
    assert clip.measures is not None
    assert clip.measures.values == pytest.approx(measure(kept, clean, rate).values, nan_ok=True)
    assert math.isnan(clip.value("HFLSD")) == (rate == 16000)


def test_processes_change_nothing_but_the_time_it_takes(tmp_path: Path) -> None:
    clips = write_set(tmp_path / "set", RATIOS)
    told: list[tuple[str, int, int]] = []
    one, two = (evaluate(clips, FAKE, jobs=jobs, progress=lambda *step: told.append(step)) for jobs in (1, 2))
    assert to_dict(one) == to_dict(two)
    steps = [(what, done, 3) for what in ("cleaning", "measuring") for done in range(4)]
    assert told == steps * 2


def test_clips_that_were_kept_measure_the_same_when_they_are_given_back(clips: Path, tmp_path: Path) -> None:
    first = evaluate(clips, FAKE, out=tmp_path / "out")
    shutil.rmtree(clips / "noisy")
    again = evaluate(clips, denoised=tmp_path / "out")
    assert to_dict(again)["clips"] == to_dict(first)["clips"]
    assert again.name == str(tmp_path / "out")


def test_a_delay_that_the_clips_have_in_common_is_taken_away_and_told(clips: Path, tmp_path: Path) -> None:
    (tmp_path / "late").mkdir()
    for name in RATIOS:
        noisy, _ = soundfile.read(clips / "noisy" / f"{name}.wav")
        soundfile.write(tmp_path / "late" / f"{name}.flac", np.append(np.zeros(160), noisy)[: len(noisy)], RATE)
    result = evaluate(clips, denoised=tmp_path / "late")
    assert result.delay_ms == pytest.approx(10.0)
    assert result.clips[1].value("SISDR") == pytest.approx(10.0, abs=0.7)
    assert "delay 10.0 ms, 10.0 ms lost at the end" in format_table(result)


def test_clips_without_a_manifest_belong_together_by_name(tmp_path: Path) -> None:
    clips = write_set(tmp_path / "set", {"x": 0.0, "y": 5.0}, manifest=False)
    (clips / "noisy" / "notes.txt").write_text("no audio")
    found = read_set(clips)
    assert [(clip.id, clip.snr_db, clip.rate) for clip in found] == [("x", None, None), ("y", None, None)]
    assert list(evaluate(clips).means()) == ["mean"]


def test_clips_without_a_manifest_belong_together_by_file_id(tmp_path: Path) -> None:
    clips = write_set(tmp_path / "set", {"clean_fileid_1": 0.0, "clean_fileid_12": 5.0}, manifest=False)
    for number in (1, 12):
        (clips / "noisy" / f"clean_fileid_{number}.wav").rename(clips / "noisy" / f"street_snr5_fileid_{number}.wav")
    assert [(clip.id, clip.noisy and clip.noisy.name) for clip in read_set(clips)] == [
        ("fileid_1", "street_snr5_fileid_1.wav"),
        ("fileid_12", "street_snr5_fileid_12.wav"),
    ]
    assert len(evaluate(clips, denoised=clips / "noisy").clips) == 2


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
        evaluate(clips)
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
        evaluate(clips, denoised=tmp_path / "done")
    with pytest.raises(DataError, match="cannot look into"):
        evaluate(clips, denoised=tmp_path / "nothing")


def test_settings_that_do_not_go_together_are_refused(clips: Path) -> None:
    for settings in ({"denoiser": FAKE, "denoised": clips}, {"out": clips}, {"jobs": 0}):
        with pytest.raises(ConfigError):
            evaluate(clips, **settings)  # type: ignore[arg-type]


def test_nothing_is_overwritten_unasked_and_the_set_never(clips: Path, tmp_path: Path) -> None:
    evaluate(clips, FAKE, out=tmp_path / "out")
    with pytest.raises(FileError, match="exists; overwrite=True"):
        evaluate(clips, FAKE, out=tmp_path / "out")
    evaluate(clips, FAKE, out=tmp_path / "out", overwrite=True)
    for part in ("clean", "noisy"):
        with pytest.raises(FileError, match="holds clips of the set"):
            evaluate(clips, FAKE, out=clips / part, overwrite=True)


def test_a_silent_clip_costs_its_metrics_and_no_more(clips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    soundfile.write(clips / "clean" / "b.wav", np.zeros(2 * RATE), RATE)
    assert call("--backend", "none", "--set", clips) == 0
    out, _ = capsys.readouterr()
    assert out.splitlines()[-1] == "not measured, PESQ, STOI, ESTOI, SISDR, LFLSD of b: the reference is silent"
    means = evaluate(clips).means()
    assert means["10 dB"]["PESQ"] == evaluate(clips).clips[2].value("PESQ")


def test_a_clip_that_cannot_be_cleaned_is_told_and_the_others_are_done(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = voice()
    bad[500] = math.nan
    soundfile.write(clips / "noisy" / "b.wav", bad, RATE, "FLOAT")
    (clips / "noisy" / "c.wav").write_bytes(b"no audio")
    assert call("--set", clips, "--json", tmp_path / "r.json", "--csv", tmp_path / "r.csv") == 2
    out, _ = capsys.readouterr()
    assert "not measured, all of b" in out
    assert "samples are not finite" in out
    assert "not measured, all of c" in out
    found = json.loads((tmp_path / "r.json").read_text())
    assert found["means"]["mean"]["PESQ"] == found["clips"][0]["PESQ"]
    assert [bool(clip["error"]) for clip in found["clips"]] == [False, True, True]
    rows = list(csv.DictReader((tmp_path / "r.csv").open(newline="")))
    assert rows[1]["PESQ"] == ""
    assert "not finite" in rows[1]["not_measured"]


def test_the_table_the_csv_and_the_json_say_the_same(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files: list[str | Path] = ["--csv", tmp_path / "r.csv", "--json", tmp_path / "r.json"]
    assert call("--set", clips, "--atten-lim", "12", "--mix", "0.9", "--clips", *files) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"rnnoise on {clips}: 3 clips, delay 0.0 ms"
    assert lines[1].split() == list(METRICS)
    table = {line[:6].strip(): line[6:].split() for line in lines[2:]}
    found = json.loads((tmp_path / "r.json").read_text())
    rows = {row["clip"]: row for row in csv.DictReader((tmp_path / "r.csv").open(newline=""))}
    assert list(table) == ["a", "b", "c", "0 dB", "10 dB", "mean"]
    assert list(rows) == ["a", "b", "c", "mean of 0 dB", "mean of 10 dB", "mean"]
    values = {**{clip["id"]: clip for clip in found["clips"]}, **found["means"]}
    for (name, cells), row in zip(table.items(), rows.values(), strict=True):
        for metric, cell in zip(METRICS, cells, strict=True):
            exact = values[name][metric]
            assert cell == ("-" if exact is None else f"{exact:.3f}")
            assert row[metric] == ("" if exact is None else f"{exact:.4f}")
    assert (rows["b"]["snr_db"], rows["mean"]["snr_db"], rows["mean"]["set"]) == ("10", "", "set")
    assert found["settings"]["atten_lim_db"] == 12
    assert found["settings"]["mix"] == 0.9


def test_the_model_is_named_by_its_hash(clips: Path, tmp_path: Path) -> None:
    model = tmp_path / "own.rnnn"
    write_model(read_model(MODELS / "rnnoise-classic.dnnw"), model)
    assert call("--set", clips, "--model", model, "--json", tmp_path / "own.json") == 0
    found = json.loads((tmp_path / "own.json").read_text())
    assert found["model"] == [str(model)]
    assert found["model_sha256"] == {"rnnoise": hashlib.sha256(model.read_bytes()).hexdigest()}
    for name in ("rnnoise", "rnnoise-classic"):
        assert call("--set", clips, "--backend", name, "--json", tmp_path / "shipped.json", "--overwrite") == 0
        found = json.loads((tmp_path / "shipped.json").read_text())
        card = Path(cli.__file__).parents[1] / "models" / f"{name}.md"
        assert found["model"] is None
        assert found["model_sha256"][name] in card.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--backend", "rnoise"], "did you mean 'rnnoise'?"),
        (["--backend", "noisy", "--mix", "0.5"], "--mix: with --backend noisy nothing is cleaned"),
        (["--denoised", ".", "--backend", "rnnoise"], "--backend: with --denoised nothing is cleaned"),
        (["--denoised", ".", "--out", "x"], "--out: with --denoised nothing is cleaned"),
        (["--mix", "2"], "mix is 0 (dry) to 1 (cleaned), not 2.0"),
        (["--jobs", "0"], "jobs is 1 or more"),
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


@pytest.mark.skipif(os.name == "nt", reason="signals mean something else there")
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_ctrl_c_leaves_no_results_and_no_temporary_files(tmp_path: Path, jobs: str) -> None:
    clips = write_set(tmp_path / "set", {f"{number:03}": 5.0 for number in range(60)})
    for folder in ("results", "temporary"):
        (tmp_path / folder).mkdir()

    def heed() -> None:  # a shell makes what it starts in the background ignore Ctrl-C
        os.setsid()
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    command: list[str | Path] = [sys.executable, "-m", "denoise_wrapper", "evaluate", "--set", clips, "--jobs", jobs]
    command += ["--csv", tmp_path / "results" / "r.csv"]
    environment = {**os.environ, "TMPDIR": str(tmp_path / "temporary")}
    with subprocess.Popen(command, stderr=subprocess.PIPE, preexec_fn=heed, env=environment) as process:
        deadline = time.monotonic() + 60
        while len(list((tmp_path / "temporary").rglob("*.wav"))) < 60 and time.monotonic() < deadline:
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers too
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert err == b"denoise-wrapper: interrupted\n"
    assert list((tmp_path / "results").iterdir()) == []
    assert list((tmp_path / "temporary").glob("denoise-*")) == []  # libraries leave files of their own there


def test_a_worker_that_dies_is_said_to_have_died(clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from denoise_wrapper.compare import pools

    monkeypatch.setattr(pools, "_leave_interrupts", os.abort)
    with pytest.raises(DenoiseError, match="has died"):
        evaluate(clips, jobs=2)


def test_the_shipped_backend_measures_as_the_reference_program_says(shared: Path, tmp_path: Path) -> None:
    small = tmp_path / "set"
    manifest = json.loads((shared / "dev" / "manifest.json").read_text())
    manifest["clips"] = [clip for clip in manifest["clips"] if clip["id"] in ("04", "22", "27")]
    for part in ("clean", "noisy"):
        (small / part).mkdir(parents=True)
        for clip in manifest["clips"]:
            shutil.copy(shared / "dev" / part / f"{clip['id']}.flac", small / part)
    (small / "manifest.json").write_text(json.dumps(manifest))
    found = evaluate(small, Denoiser(), out=tmp_path / "out").means()["mean"]
    command: list[str | Path] = [sys.executable, shared / "tools" / "score.py", tmp_path / "out", small, "--jobs", "1"]
    subprocess.run([*command, "--json", tmp_path / "score.json"], check=True, capture_output=True)
    wanted = json.loads((tmp_path / "score.json").read_text())["table"]["mean"]
    for name, value in wanted.items():
        assert found[name] == pytest.approx(value, abs=0.05 if name in ("SISDR", "HFLSD") else 0.01), name
