"""Files of `filter`: names that were meant otherwise, results that are there, and what is said of each."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from denoise_wrapper.cli import main as cli
from denoise_wrapper.cli.parser import model_of

RATE = 16000


def make(path: Path, seconds: float = 1.0) -> Path:
    rng = np.random.default_rng(1)
    soundfile.write(path, 0.1 * rng.standard_normal(round(seconds * RATE)), RATE)
    return path


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("a.wav", "b.wav"):
        make(tmp_path / name)
    return tmp_path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def test_a_last_name_that_is_no_file_gets_the_line_to_type(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["filter", "a.wav", "my out.wav"]) == 2
    error = capsys.readouterr().err
    assert "there is no file my out.wav; did you mean: denoise-wrapper filter a.wav -o 'my out.wav'?" in error
    assert names(here) == ["a.wav", "b.wav"]


def test_two_files_that_exist_are_two_inputs(here: Path) -> None:
    assert cli.main(["filter", "-q", "a.wav", "b.wav"]) == 0
    assert names(here) == ["a.wav", "a_denoised.wav", "b.wav", "b_denoised.wav"]


@pytest.mark.parametrize("inputs", [["a.wav", "b.wav"], ["."]])
def test_several_files_do_not_go_into_a_file(here: Path, inputs: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["filter", *inputs, "-o", "x.wav"]) == 2
    assert "-o x.wav is the name of one file" in capsys.readouterr().err
    assert names(here) == ["a.wav", "b.wav"]


def test_what_is_there_is_skipped_and_counted(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["filter", "-q", "."]) == 0
    made = (here / "a_denoised.wav").stat().st_mtime_ns
    assert cli.main(["filter", "."]) == 2
    assert capsys.readouterr().err.count("--skip-existing leaves out") == 1
    make(here / "c.wav")
    assert cli.main(["filter", ".", "--skip-existing"]) == 0
    assert "2 files skipped" in capsys.readouterr().err
    assert (here / "a_denoised.wav").stat().st_mtime_ns == made
    assert (here / "c_denoised.wav").is_file()


@pytest.mark.parametrize("target", [[], ["-o", "out"]])
def test_results_are_called_as_asked_and_known_again(
    here: Path, target: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["filter", ".", "--name-suffix", "_clean", *target]
    assert cli.main(command) == 0
    folder = here / "out" if target else here
    expected = ["a_clean.wav", "b_clean.wav"]
    assert [name for name in names(folder) if "_clean" in name] == expected
    assert cli.main([*command, "--skip-existing"]) == 0
    assert "2 files skipped" in capsys.readouterr().err
    assert [name for name in names(folder) if "_clean" in name] == expected


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--name-suffix", ""], "--name-suffix is some text"),
        (["--name-suffix", "a/b"], "--name-suffix is some text"),
        (["--skip-existing", "--overwrite"], "leave out one of them"),
    ],
)
def test_options_that_cannot_be_are_refused(
    here: Path, options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["filter", "a.wav", *options]) == 2
    assert words in capsys.readouterr().err
    assert names(here) == ["a.wav", "b.wav"]


def test_a_dtln_without_a_rate_gets_the_one_that_fits_the_file(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    soundfile.write(here / "wide.wav", np.zeros(100), 44100)
    for name, fits in (("a.wav", "dtln-16k"), ("wide.wav", "dtln-32k")):
        assert cli.main(["filter", name, "-b", "dtln"]) == 2
        assert f"which -b {fits} fits" in capsys.readouterr().err


@pytest.mark.parametrize("options", [["--json"], ["--loudness", "-16"], ["--output-noise", "n.wav"]])
def test_options_about_files_are_refused_for_a_pipe(
    here: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["filter", "-", *options]) == 2
    assert f"{options[0]}: only for files" in capsys.readouterr().err


def test_json_has_a_line_for_each_file_also_of_those_that_fail(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "bad.wav").write_text("no audio")
    assert cli.main(["filter", "a.wav", "bad.wav", "--json"]) == 2
    out, err = capsys.readouterr()
    results = {each["source"]: each for each in map(json.loads, out.splitlines())}
    assert results["a.wav"]["target"] == "a_denoised.wav"
    assert results["a.wav"]["error"] is None
    assert results["a.wav"]["seconds"] == 1.0
    assert results["a.wav"]["speed"] > 0
    assert {"speech_before_db", "speech_after_db"} <= set(results["a.wav"])
    assert results["bad.wav"]["target"] is None
    assert "bad.wav" in results["bad.wav"]["error"]
    assert err.count("\n") == 1


def test_verbose_says_of_each_file_what_is_written_in_a_run_as_in_a_dry_one(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["filter", "a.wav", "b.wav", "-n", "-v"]) == 0
    planned = capsys.readouterr().out.splitlines()
    assert len(planned) == 4
    assert names(here) == ["a.wav", "b.wav"]
    assert cli.main(["filter", "a.wav", "b.wav", "-v"]) == 0
    out, err = capsys.readouterr()
    assert err.splitlines()[: len(planned)] == planned
    assert out == ""
    assert names(here) == ["a.wav", "a_denoised.wav", "b.wav", "b_denoised.wav"]
    assert cli.main(["filter", "a.wav", "-n"]) == 0
    assert capsys.readouterr().out.splitlines() == planned[:1]


def test_a_backend_among_the_clips_of_a_comparison_gets_the_option_to_type(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["compare", "a.wav", "rnnoise"]) == 2
    assert "rnnoise, but a backend: candidates go by -a rnnoise" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["filter", "listen", "live"])
def test_the_two_files_of_a_pair_are_one_model_in_every_verb_that_cleans(verb: str) -> None:
    words = [verb, "--model", "a.onnx", "b.onnx", *(["talk.wav"] if verb != "live" else [])]
    args = cli.make_parser().parse_args(cli._pair_models(words))
    assert model_of(args) == ["a.onnx", "b.onnx"]
    alone = cli.make_parser().parse_args([*words[:3], *words[4:]])
    assert model_of(alone) == "a.onnx"
    assert model_of(cli.make_parser().parse_args([verb, *words[4:]])) is None
