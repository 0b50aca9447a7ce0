"""Parts that the fuzzers of Python code share: bytes taken apart into choices, and atheris, where it is installed.

python tests/long/fuzz_NAME.py [options of libFuzzer] [FOLDER of inputs found so far ...]
python tests/long/fuzz_NAME.py seeds FOLDER     writes inputs to begin with (done by itself without a folder)
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

Choice = TypeVar("Choice")


class Taker:
    """Bytes as choices; zeros where they end."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def some(self, count: int) -> bytes:
        """So many of them, or those that are left."""
        part = self._data[self._at : self._at + count]
        self._at += len(part)
        return part

    def number(self, size: int = 1) -> int:
        """0 to 256 ** size - 1."""
        return int.from_bytes(self.some(size).ljust(size, b"\0"), "little")

    def choice(self, among: Sequence[Choice]) -> Choice:
        return among[self.number() % len(among)]

    def rest(self) -> bytes:
        """All that is left."""
        return self.some(len(self._data))


def instrumented(wanted: bool) -> contextlib.AbstractContextManager[Any]:
    """Import our modules within it, so that atheris sees which lines are reached. Exits where atheris is missing."""
    if not wanted or sys.argv[1:2] == ["seeds"]:
        return contextlib.nullcontext()
    try:
        import atheris
    except ImportError:
        sys.exit("atheris is not installed: pip install atheris (Linux); tests/long/test_fuzz.py does without")
    return atheris.instrument_imports(include=["denoise_wrapper"])  # type: ignore[no-any-return]


def write_seeds(folder: Path, seeds: Iterable[bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds):
        (folder / f"seed_{number:03}").write_bytes(seed)


def run(one_input: Callable[[bytes], None], make_seeds: Callable[[], Iterable[bytes]]) -> None:
    """The program: sys.argv is libFuzzer's, or `seeds FOLDER`."""
    if sys.argv[1:2] == ["seeds"]:
        write_seeds(Path(sys.argv[2]), make_seeds())
        return
    import atheris

    with tempfile.TemporaryDirectory() as folder:  # atheris ends the process itself: what is left lies in the system's
        write_seeds(Path(folder), make_seeds())
        named = any(not word.startswith("-") for word in sys.argv[1:])
        atheris.Setup([*sys.argv, folder] if not named else sys.argv, one_input)
        atheris.Fuzz()
