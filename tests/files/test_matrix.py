"""A part of the matrix of formats, and its table: the whole of it is tests/long/format_matrix.py."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("mutagen")

from matrix import ASPECTS, NO, NONE, REFUSED, YES, Row, all_rows, judge, libsndfile_rows, table

DOCS = Path(__file__).resolve().parents[2] / "docs/formats.md"
# One of each container and codec that libsndfile reads, and all that is odd.
ODD = [row for row in libsndfile_rows() if " Hz" not in row.oddity]
PLAIN = list({(row.container, row.codec): row for row in libsndfile_rows() if " Hz" in row.oddity}.values())


@pytest.mark.parametrize("row", PLAIN[::5] + ODD[::3], ids=lambda row: row.name)
def test_what_comes_in_goes_out(row: Row, tmp_path: Path, needs: Callable[[str], str]) -> None:
    needs("ffprobe")
    needs("ffmpeg")
    verdict = judge(row, tmp_path)
    assert REFUSED not in verdict
    assert {aspect for aspect, cell in verdict.items() if cell == NO} == set()


def test_the_matrix_has_files_enough_and_no_two_alike() -> None:
    rows = all_rows()
    assert len(rows) >= 150
    assert len({row.name for row in rows}) == len(rows)


def test_the_table_counts_what_is_kept() -> None:
    row, other = PLAIN[:2]
    twin = Row(row.container, row.codec, "odd", row.make)
    kept = dict.fromkeys(ASPECTS, YES)
    lines = table({row: kept, twin: {**kept, "tags": NO, "chunks": NONE}, other: {REFUSED: "why"}}).splitlines()
    assert len(lines) == 4
    assert "| 1 of 2 |" in lines[2]
    assert set(lines[3].split("|")[4:-1]) == {" - "}


def test_the_page_has_a_line_for_every_container_and_codec() -> None:
    lines = re.findall(r"^\| ([^|]+) \| ([^|]+) \| \d+ \|", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(lines) == {(row.container, row.codec) for row in all_rows()}
