"""README: short, its Python runs as it stands, its commands are ones that there are, its links lead somewhere."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from denoise_wrapper import backend_names
from denoise_wrapper.cli import main as cli
from denoise_wrapper.cli.config import hoist
from denoise_wrapper.cli.spelling import modern
from denoise_wrapper.presets import PRESETS

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


def test_it_is_short() -> None:
    assert len(TEXT.splitlines()) < 200


def test_its_python_runs_one_block_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "examples/noisy.wav", tmp_path / "noisy.wav")
    names: dict[str, object] = {}
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), names)
    assert {"clean.wav", "voice.wav"} <= {path.name for path in tmp_path.iterdir()}


def commands() -> list[str]:
    lines = [line.partition("#")[0] for block in blocks("sh") for line in block.splitlines()]
    lines += re.findall(r"`(denoise-wrapper [^`]+)`", TEXT)
    return [line.partition(" > ")[0].strip() for line in lines if line.startswith("denoise-wrapper ")]


@pytest.mark.parametrize("command", commands())
def test_its_commands_can_be_parsed(command: str) -> None:
    words, hint = modern(shlex.split(command)[1:])
    assert hint is None, "an old spelling"
    if words in (["completion"], ["train"]) or "--print-config" in words:
        return
    cli.make_parser().parse_args(hoist(cli._pair_models(words)))


def test_its_links_and_pictures_are_there() -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", TEXT)
    assert len(targets) > 15
    for target in targets:
        assert target.startswith("https://") or target == "../../issues" or (ROOT / target).exists(), target
    headings = {
        re.sub(r"[^a-z -]", "", line[3:].lower()).replace(" ", "-") for line in re.findall(r"^## .*$", TEXT, re.M)
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", TEXT)) <= headings


def test_it_names_every_backend_and_preset() -> None:
    for name in (*backend_names(), *PRESETS):
        assert f"`{name}`" in TEXT or f"`--preset {name}`" in TEXT, name
