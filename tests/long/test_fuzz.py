"""The fuzzers of Python code without atheris: their seeds, with bytes changed by chance, and with headers changed."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from types import ModuleType

import fuzz_audio
import fuzz_headers
import fuzz_pipes
import pytest

CHANGED = 150


def mutant(rng: random.Random, seeds: list[bytes]) -> bytes:
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(min(len(data), rng.choice([16, 64, len(data)])))
        choice = rng.randrange(4)
        if choice == 0:
            data[at] = rng.randrange(256)
        elif choice == 1:
            data[at : at + 4] = rng.choice([b"\0\0\0\0", b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff", b"\0\0\xc0\x7f"])
        elif choice == 2:
            del data[at : at + rng.randrange(1, 40)]
        else:
            data[at:at] = rng.choice(seeds)[: rng.randrange(100)]
        if not data:
            data = bytearray(b"\0")
    return bytes(data)


@pytest.mark.parametrize("fuzzer", [fuzz_audio, fuzz_pipes], ids=["audio", "pipes"])
def test_seeds_and_changed_seeds_are_cleaned_or_refused(fuzzer: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.environ["PATH"])  # which a fuzzer empties
    rng, seeds = random.Random(1), list(fuzzer.make_seeds())
    for data in [*seeds, *(mutant(rng, seeds) for _ in range(CHANGED))]:
        try:
            fuzzer.one_input(data)
        except BaseException as error:
            error.add_note(f"by {data[:60]!r} ... of {len(data)} bytes")
            raise


@pytest.mark.fault
def test_files_whose_headers_are_changed_are_cleaned_or_refused() -> None:
    """In a process of its own, whose memory nothing else has taken."""
    command = [sys.executable, fuzz_headers.__file__, "--count", "200", "--seconds", "60", "--seed", "3"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    tried = re.match(r"(\d+) files", done.stdout)
    assert tried is not None
    assert int(tried[1]) > 20
    assert "cleaned" in done.stdout
    assert "refused" in done.stdout
