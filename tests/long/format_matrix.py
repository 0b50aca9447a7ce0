"""The whole matrix of formats: python tests/long/format_matrix.py [--write docs/formats.md]; some minutes.

Prints every cell that is no "yes", and writes the table between its two marks in the page.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "support")]

import matrix  # noqa: E402  which lies there

MARKS = ("<!-- table: tests/long/format_matrix.py -->\n", "\n<!-- end of table -->")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, metavar="PAGE")
    args = parser.parse_args()
    verdicts, bad = {}, 0
    rows = matrix.all_rows()
    for number, row in enumerate(rows):
        if number % 25 == 0:
            print(f"{number} of {len(rows)}", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory() as folder:
            try:
                verdicts[row] = matrix.judge(row, Path(folder))
            except Exception as error:
                verdicts[row] = {matrix.REFUSED: f"{type(error).__name__}: {error}"}
        wrong = {aspect: cell for aspect, cell in verdicts[row].items() if cell not in (matrix.YES, matrix.NONE)}
        if wrong:
            bad += 1
            print(row.name, wrong, flush=True)
    print(f"{len(verdicts)} files, {bad} of them with something that is not kept")
    table = matrix.table(verdicts)
    if args.write is None:
        print(table)
        return 0
    page = args.write.read_text(encoding="utf-8")
    head, _, rest = page.partition(MARKS[0])
    args.write.write_text(head + MARKS[0] + table + MARKS[1] + rest.partition(MARKS[1])[2], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
