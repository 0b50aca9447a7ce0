"""Includes of the C engine: by their path within native/, and without a circle."""

from __future__ import annotations

import graphlib
import re
from pathlib import Path

import pytest

NATIVE = Path(__file__).resolve().parents[2] / "native"
FOLDERS = (".", "kernels", "library", "library/denoise_wrapper", "models", "tests", "tools")
FILES = sorted(path for folder in FOLDERS for path in (NATIVE / folder).glob("*.[ch]"))
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)


def unit(name: str) -> str:
    """The name that a header and the file that implements it share."""
    return name.removesuffix(".h").removesuffix(".c")


def includes(files: dict[str, str]) -> dict[str, set[str]]:
    """Map each unit to the units that its files, texts by path, include; "check.h" beside a file counts as its path."""
    units: dict[str, set[str]] = {}
    for path, text in files.items():
        beside = path.rpartition("/")[0] + "/"
        names = {beside + name if beside + name in files else name for name in INCLUDE.findall(text)}
        units.setdefault(unit(path), set()).update(unit(name) for name in names)
    return {name: wanted - {name} for name, wanted in units.items()}


def circle(units: dict[str, set[str]]) -> list[str]:
    """Units that include each other in turn; none if there is no circle."""
    try:
        graphlib.TopologicalSorter(units).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def texts() -> dict[str, str]:
    return {path.relative_to(NATIVE).as_posix(): path.read_text(encoding="utf-8") for path in FILES}


def test_no_unit_includes_itself_by_way_of_others() -> None:
    units = includes(texts())
    assert len(units) > 30
    assert circle(units) == []


def test_a_circle_through_the_files_behind_two_headers_is_seen() -> None:
    files = {
        "a.h": '#include "b/c.h"',
        "b/c.h": "",
        "b/c.c": ' # include "b/c.h"\n#include "d.h"',
        "d.h": '#include "a.h"',
    }
    assert set(circle(includes(files))) == {"a", "b/c", "d"}
    assert circle(includes(files | {"b/c.c": ""})) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(NATIVE).as_posix())
def test_includes_name_the_path_from_native(path: Path) -> None:
    """Tests may name what lies beside them."""
    places = [NATIVE, path.parent] if path.parent.name == "tests" else [NATIVE]
    for name in INCLUDE.findall(path.read_text(encoding="utf-8")):
        assert any((place / name).is_file() for place in places), name
        assert ".." not in name
