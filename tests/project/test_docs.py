"""Documentation: its Python runs page by page, its links lead somewhere."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("README*.md"), *(ROOT / "docs").glob("*.md")])
# Pages with Python, a program block after block, on a clip called noisy.wav, and what each writes; README has a test of
# its own, and translations have the blocks of what they translate.
RUN = {"tutorial.md": "cleaned/noisy.wav", "from-rnnoise-wrapper.md": "noisy.wav"}


def blocks(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def code(page: Path) -> list[str]:
    """All blocks of code of a page, with their languages."""
    return re.findall(r"^```(\w+\n.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("name", RUN)
def test_the_python_of_a_page_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "examples/noisy.wav", tmp_path / "noisy.wav")
    names: dict[str, object] = {}
    for block in blocks(ROOT / "docs" / name):
        exec(compile(block, name, "exec"), names)
    assert (tmp_path / RUN[name]).is_file()


def test_no_page_has_python_that_is_not_run() -> None:
    pages = {page.name for page in (ROOT / "docs").glob("*.md") if blocks(page)}
    assert pages == {*RUN, "tutorial.ru.md", "tutorial.zh.md"}


@pytest.mark.parametrize("language", ["ru", "zh"])
def test_translations_are_in_step_with_what_they_translate(language: str) -> None:
    tutorial = (ROOT / "docs/tutorial.md", ROOT / f"docs/tutorial.{language}.md")
    assert len(code(tutorial[0])) > 5
    assert code(tutorial[0]) == code(tutorial[1])
    readme = code(ROOT / f"README.{language}.md")
    assert len(readme) == 3  # it is shorter, and has the first of them
    assert readme == code(ROOT / "README.md")[: len(readme)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_python_of_a_page_is_python(page: Path) -> None:
    for block in blocks(page):
        compile(block, page.name, "exec")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_within_the_repository_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert target.startswith(("https://", "../../issues")) or (page.parent / target).exists(), target
