"""Tables of figures: as text, as Markdown, and as plain data for JSON."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

Cell = str | float | None  # None: there is no such figure, and the note says why or it is plain


@dataclass(frozen=True)
class Table:
    """One table of one section.

    heads: the head of each column, with its unit. rows: as many cells each. note: one paragraph on what the figures
    mean. facts: single figures by name, for the table of aims and for the plot.
    """

    section: str
    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    facts: dict[str, float] = field(default_factory=dict)

    def as_text(self) -> str:
        cells = [list(self.heads), *([shown(cell) for cell in row] for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = [self.title, "-" * len(self.title)]
        words = [all(isinstance(cell, str) for cell in column) for column in zip(*self.rows, strict=True)]
        for row in cells:
            columns = zip(row, widths, words, strict=True)
            lines.append("  ".join(f"{cell:{'<' if is_words else '>'}{width}}" for cell, width, is_words in columns))
        return "\n".join([*(line.rstrip() for line in lines), *textwrap.wrap(self.note, 120)])

    def as_markdown(self) -> str:
        lines = [f"| {' | '.join(self.heads)} |", f"|{' --- |' * len(self.heads)}"]
        lines += [f"| {' | '.join(map(shown, row))} |" for row in self.rows]
        return "\n".join([f"### {self.title}\n", *lines, *([f"\n{self.note}"] if self.note else [])])

    def as_data(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def shown(cell: Cell) -> str:
    """A figure to three digits or so; words as they are."""
    if cell is None:
        return ""
    if isinstance(cell, str):
        return cell
    size = abs(cell)
    return f"{cell:.0f}" if size >= 100 else f"{cell:.1f}" if size >= 10 else f"{cell:.2f}"
