"""Completions and the man page: in step with the parser, and good for their shells."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest
from require import require

from denoise_wrapper.cli import main as cli
from denoise_wrapper.cli.completion import FOLDER, KINDS

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    require("shtab")
    require("argparse_manpage")
    spec = importlib.util.spec_from_file_location("shell", ROOT / ".ci/shell.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_files_are_what_the_parser_says(maker: ModuleType) -> None:
    made = maker.files()
    assert sorted(made) == sorted(path.name for path in FOLDER.iterdir())
    for name, text in made.items():
        assert (FOLDER / name).read_text(encoding="utf-8") == text, f"{name} is not up to date: make shell"


def test_the_list_of_commands_is_what_the_parser_says(maker: ModuleType) -> None:
    assert (ROOT / "docs/cli.md").read_text(encoding="utf-8") == maker.commands(), "it is not up to date: make shell"


@pytest.mark.parametrize("kind", KINDS)
def test_each_is_printed_and_names_the_verbs_and_options(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["completion", kind]) == 0
    text = capsys.readouterr().out
    for word in ("filter", "compare", "models", "convert", "atten" if kind in ("fish", "man") else "--atten-lim"):
        assert word in text


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
@pytest.mark.parametrize(
    ("line", "word"),
    [("denoise-wrapper com", "compare"), ("denoise-wrapper filter --over", "--overwrite"),
     ("denoise-wrapper filter -b dtln-1", "dtln-16k"), ("denoise-wrapper models in", "info")],
)  # fmt: skip
def test_bash_completes(line: str, word: str) -> None:
    script = f"""
source {FOLDER}/denoise-wrapper.bash
COMP_LINE='{line}'; COMP_WORDS=({line}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); COMP_POINT=${{#COMP_LINE}}
$(complete -p denoise-wrapper | sed 's/.*-F \\([^ ]*\\).*/\\1/') denoise-wrapper "${{COMP_WORDS[COMP_CWORD]}}" ''
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert word in done.stdout.split(), done.stderr
