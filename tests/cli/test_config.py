"""Defaults from files: whose goes before whose, and what is refused."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from denoise_wrapper.cli import main as cli
from denoise_wrapper.cli.config import TYPED_ONLY, Config, fill, hoist, read_config
from denoise_wrapper.errors import ConfigError, DenoiseError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder, and a project within it, which is the current folder."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("APPDATA", str(tmp_path / "config"))
    (tmp_path / "config/denoise-wrapper").mkdir(parents=True)
    (tmp_path / "project/deep").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "project/deep")
    return tmp_path


def user(home: Path, text: str) -> None:
    (home / "config/denoise-wrapper/config.toml").write_text(text)


def project(home: Path, text: str, name: str = "denoise-wrapper.toml") -> None:
    (home / "project" / name).write_text(text)


def options(*words: str) -> dict[str, Any]:
    """What `filter a.wav` with these words goes by."""
    args = cli.make_parser().parse_args(hoist(["filter", "a.wav", *words]))
    fill(args, read_config(args))
    return vars(args)


def test_the_project_goes_before_the_user_and_what_is_typed_before_both(home: Path) -> None:
    user(home, 'backend = "dtln-16k"\nmix = 0.5\njobs = 3')
    project(home, "mix = 0.6\nquiet = true")
    assert {key: options()[key] for key in ("backend", "mix", "jobs", "quiet")} == {
        "backend": "dtln-16k", "mix": 0.6, "jobs": 3, "quiet": True,
    }  # fmt: skip
    assert options("--mix", "0.7", "-b", "rnnoise")["mix"] == 0.7
    assert options("-b", "rnnoise")["backend"] == "rnnoise"


def test_a_table_of_pyproject_is_the_projects_file(home: Path) -> None:
    project(home, "[tool.denoise-wrapper]\natten_lim = 9", "pyproject.toml")
    assert options()["atten_lim"] == 9
    project(home, "[tool.other]", "pyproject.toml")
    assert options()["atten_lim"] is None


@pytest.mark.parametrize(
    ("user_text", "project_text", "words", "preset", "limit"),
    [
        ("atten-lim = 30", "", ["--preset", "asr"], "asr", None),
        ("atten-lim = 30", 'preset = "asr"', [], "asr", None),
        ("", 'preset = "asr"\natten-lim = 9', [], "asr", 9),
        ("", 'preset = "asr"', ["--atten-lim", "12"], "asr", 12.0),
        ('preset = "voice"', "atten-lim = 3", [], "voice", 3),
    ],
)
def test_an_option_beats_a_preset_beats_a_file(
    home: Path, user_text: str, project_text: str, words: list[str], preset: str, limit: float | None
) -> None:
    user(home, user_text)
    project(home, project_text)
    args = options(*words)
    assert (args["preset"], args["atten_lim"]) == (preset, limit)


def test_one_file_can_be_named_or_none_be_read(home: Path) -> None:
    user(home, "mix = 0.5")
    (home / "other.toml").write_text("jobs = 2")
    args = options("--config", str(home / "other.toml"))
    assert (args["mix"], args["jobs"]) == (None, 2)
    assert options("--no-config")["mix"] is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("mixx = 1", "there is no setting mixx; did you mean mix"),
        ('mix = "much"', "mix is a number, not 'much'"),
        ("mix = true", "mix is a number, not True"),
        ("quiet = 1", "quiet is true or false, not 1"),
        ("mix = ", "is not TOML"),
        *((f"{key} = true", f"{key} is not taken from a file") for key in TYPED_ONLY),
    ],
)
def test_what_a_file_cannot_say_is_an_error_that_names_it(home: Path, text: str, words: str) -> None:
    project(home, text)
    with pytest.raises(ConfigError) as caught:
        options()
    assert words in str(caught.value)
    assert "denoise-wrapper.toml" in str(caught.value)
    assert options("--no-config")["mix"] is None


def test_a_file_that_is_named_must_be_there(home: Path) -> None:
    with pytest.raises(DenoiseError, match=r"there is no file absent.toml"):
        options("--config", "absent.toml")


def test_options_that_a_verb_does_not_have_are_left_out_of_it() -> None:
    args = argparse.Namespace(mix=None)
    fill(args, Config({"mix": 0.5, "jobs": 3}))
    assert vars(args) == {"mix": 0.5}


def test_info_says_which_files_were_read(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project(home, 'preset = "asr"')
    assert cli.main(["info", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)["config"]
    assert facts == {"files": [str(home / "project/denoise-wrapper.toml")], "values": {"preset": "asr"}}
    project(home, "mixx = 1")
    assert cli.main(["info"]) == 0
    assert "there is no setting mixx" in capsys.readouterr().out


def test_the_config_of_a_training_stays_where_it_is() -> None:
    words = ["train", "rnnoise", "--config", "run.toml"]
    assert hoist(words) == words
    assert hoist(["filter", "a.wav", "--config", "x", "--", "--no-config"]) == [
        "--config", "x", "filter", "a.wav", "--", "--no-config",
    ]  # fmt: skip
