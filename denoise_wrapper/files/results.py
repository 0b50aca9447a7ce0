"""Results of earlier runs, so that none is taken for an input again: by their names, and by a list beside them.

The list, `.denoised`, has a line for each result: a digest of its length, beginning and end, and its name for people
to read. So a result is known after it was renamed there, and a new recording that took a result's name is none.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from denoise_wrapper.errors import FolderFileError
from denoise_wrapper.wording import visible

DONE = "_denoised"  # what the name of a cleaned file has more
LIST = ".denoised"
# Folder -> its list: which, bytes read, digests. Two threads that read at once add the same ones.
_known: dict[Path, tuple[tuple[int, int], int, set[str]]] = {}
_END = 1 << 16  # bytes of either end of a file that its digest is of


def beside(source: Path) -> Path:
    """Name the cleaned file beside its source. Raises FileError if that is a folder without a name."""
    if not source.name:
        raise FolderFileError(f"{source} is a folder; name a file in it")
    return source.with_name(f"{source.stem}{DONE}{source.suffix}")


def note_result(path: Path) -> None:
    """Let it be known that a file is a result, unless its name says so. Where that fails, it is an input like any."""
    if path.stem.endswith(DONE):
        return
    whole = os.path.realpath(path)  # the list lies beside the file, not beside a link to it
    folder, name = os.path.split(whole)
    with contextlib.suppress(OSError):
        digest = _digest(whole)
        if digest in _noted(Path(folder)):
            return
        line = f"{digest} {visible(name)}\n".encode()
        file = os.open(os.path.join(folder, LIST), os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o666)
        try:
            os.write(file, line)  # at once, so that of many at a time each gets its line
        finally:
            os.close(file)


def part_results(paths: Iterable[Path]) -> tuple[list[Path], list[Path]]:
    """Part files into those that are results of earlier runs and the others: (others, results), in their order."""
    noted: dict[Path, frozenset[str] | set[str]] = {}
    others: list[Path] = []
    results: list[Path] = []
    for path in paths:
        try:
            folder = Path(os.path.realpath(path)).parent
        except (OSError, ValueError):  # no name of a file, which is said when it is its turn
            folder = path.parent
        if folder not in noted:
            noted[folder] = _noted(folder)
        (results if _is_result(path, noted[folder]) else others).append(path)
    return others, results


def _is_result(path: Path, noted: frozenset[str] | set[str]) -> bool:
    if path.stem.endswith(DONE):
        return True
    try:
        return bool(noted) and _digest(path) in noted
    except OSError:  # which is said when it is its turn
        return False


def _noted(folder: Path) -> frozenset[str] | set[str]:
    """The digests in the list of a folder. Of a list that has grown only what is new is read."""
    try:
        with open(os.path.join(folder, LIST), "rb", buffering=0) as file:
            facts = os.fstat(file.fileno())
            known = _known.get(folder)
            if known is None or known[0] != (facts.st_dev, facts.st_ino) or known[1] > facts.st_size:
                known = (facts.st_dev, facts.st_ino), 0, set()
            file.seek(known[1])
            lines = file.read()
            whole = lines.rfind(b"\n") + 1
            known[2].update(line.partition(b" ")[0].decode(errors="replace") for line in lines[:whole].splitlines())
            _known.clear()  # but for the folder that results go to now
            _known[folder] = known[0], known[1] + whole, known[2]
            return known[2]
    except (OSError, ValueError):
        return frozenset()


def _digest(path: str | Path) -> str:
    """A digest of a file's length and both its ends."""
    import hashlib  # which takes milliseconds to import

    with open(path, "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        digest = hashlib.sha256(f"{size} ".encode() + file.read(_END))
        file.seek(max(0, size - _END))
        digest.update(file.read(_END))
    return digest.hexdigest()
