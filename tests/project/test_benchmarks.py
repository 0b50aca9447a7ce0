"""The benchmarks run to their end and print figures; how large those are is not asked here."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.against import NAMES, compare

ROOT = Path(__file__).resolve().parents[2]
SECTIONS = ["engine", "guided", "stages", "live", "dtln", "files", "streams", "start", "memory", "mixing", "peers"]
# Columns of one measured figure less another, which may be anything when hardly anything was measured.
DIFFERENCES = {"Python's share", "more", "resident"}


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", "--quick", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def figures(table: dict[str, Any]) -> list[float]:
    """All numbers of a table that can only be above zero."""
    figures_shown = [table["facts"][name] for name in table["facts"] if not name.startswith(("share", "memory"))]
    for row in table["rows"]:
        assert len(row) == len(table["heads"])
        figures_shown += [
            cell
            for head, cell in zip(table["heads"], row, strict=True)
            if isinstance(cell, int | float) and head not in DIFFERENCES
        ]
    return figures_shown


@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_prints_figures_above_zero(section: str, tmp_path: Path) -> None:
    done = run("--only", section, "--json", tmp_path / "figures.json")
    assert done.returncode == 0, done.stderr
    tables = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))["tables"]
    assert tables
    for table in tables:
        assert table["section"] == section
        assert table["title"] in done.stdout
        figures_shown = figures(table)
        assert figures_shown or "skipped" in done.stdout
        assert all(math.isfinite(value) and value > 0 for value in figures_shown), table


def test_networks_of_ones_own_are_timed_beside_the_shipped_ones(tmp_path: Path) -> None:
    models, file = ROOT / "denoise_wrapper" / "models", tmp_path / "figures.json"
    pair = [models / f"dtln-16k_{stage}.onnx" for stage in (1, 2)]
    own: list[str | Path] = ["--model", models / "rnnoise-classic.dnnw", "--size", "16x24:float", "--pair", *pair]
    done = run("--only", "live,dtln", "--json", file, *own)
    assert done.returncode == 0, done.stderr
    names = [row[0] for table in json.loads(file.read_text(encoding="utf-8"))["tables"] for row in table["rows"]]
    assert {"rnnoise", str(models / "rnnoise-classic.dnnw"), "v0.2 16x24:float"} <= set(names)
    assert {"dtln-16k, filter", "dtln-16k, the given pair, filter"} <= set(names)


def test_those_are_all_sections() -> None:
    done = run("--only", "nothing")
    assert done.returncode == 2
    assert done.stderr.rstrip().endswith(f"there are {', '.join(SECTIONS)}")


class TestThePage:
    BEGIN, END = "<!-- figures: written by python -m benchmarks --write -->", "<!-- end of figures -->"

    def test_what_is_between_the_marks_is_written_anew_and_nothing_else(self, tmp_path: Path) -> None:
        (tmp_path / "speed.md").write_text(f"# Before\n\n{self.BEGIN}\nold figures\n{self.END}\n\nAfter\n")
        done = run("--only", "start", "--write", tmp_path)
        assert done.returncode == 0, done.stderr
        text = (tmp_path / "speed.md").read_text(encoding="utf-8")
        assert text.startswith(f"# Before\n\n{self.BEGIN}\n\n| ")
        assert text.endswith(f"\n\n{self.END}\n\nAfter\n")
        assert "| import numpy |" in text
        assert "old figures" not in text

    def test_a_page_without_marks_is_refused_before_the_work(self, tmp_path: Path) -> None:
        (tmp_path / "speed.md").write_text("# Mine\n")
        done = run("--write", tmp_path)
        assert done.returncode == 1
        assert "add them" in done.stderr
        assert not done.stdout
        assert (tmp_path / "speed.md").read_text() == "# Mine\n"

    def test_that_of_the_docs_has_its_marks(self) -> None:
        page = (ROOT / "docs" / "speed.md").read_text(encoding="utf-8")
        assert page.count(self.BEGIN) == page.count(self.END) == 1


def test_two_working_copies_are_timed_in_turns() -> None:
    found = compare(ROOT, imports=1, calls=1)
    assert set(found) == {"import, over numpy's", *NAMES}
    assert all(times.best > 0 for pair in found.values() for times in pair)
