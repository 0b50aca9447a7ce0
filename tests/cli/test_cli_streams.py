"""The command line where standard input or output is closed, full, or left by its reader."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

COMMAND = [sys.executable, "-m", "denoise_wrapper"]
RAW = ["--rate", "48000", "--channels", "1", "--dtype", "int16"]


def shell(line: str) -> subprocess.CompletedProcess[bytes]:
    command = line.replace("PROGRAM", f"'{sys.executable}' -m denoise_wrapper")
    return subprocess.run(["sh", "-c", command], input=bytes(9600), capture_output=True, check=False)


@pytest.mark.skipif(os.name == "nt", reason="a shell of another kind is there")
@pytest.mark.parametrize("closed", ["<&-", ">&-"])
def test_a_pipe_that_is_closed_is_one_line_and_code_2(closed: str) -> None:
    done = shell(f"PROGRAM filter - {' '.join(RAW)} {closed}")
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1), done.stderr
    assert b"closed" in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="a shell of another kind is there")
def test_what_is_said_never_gets_among_the_samples() -> None:
    done = shell(f"PROGRAM filter - {' '.join(RAW)} 2>&-")
    assert (done.returncode, len(done.stdout)) == (0, 9600)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
@pytest.mark.parametrize("words", [f"filter - {' '.join(RAW)}", "models", "models info"])
def test_an_output_that_is_full_is_one_line_and_code_1(words: str) -> None:
    done = shell(f"PROGRAM {words} >/dev/full")
    assert (done.returncode, done.stderr.count(b"\n")) == (1, 1), done.stderr
    assert b"space" in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="pipes end otherwise there")
def test_a_reader_that_wants_nothing_ends_a_listing_quietly() -> None:
    assert shell("(sleep 0.3; PROGRAM models info) | true").stderr == b""


@pytest.mark.skipif(os.name == "nt", reason="pipes end otherwise there")
def test_a_reader_that_leaves_ends_the_pipe_quietly() -> None:
    with subprocess.Popen(
        [*COMMAND, "filter", "-", *RAW], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(bytes(20_000))  # less than a pipe holds, so that nobody waits
        process.stdin.flush()
        process.stdout.read(1000)
        process.stdout.close()
        try:
            process.stdin.write(bytes(4_000_000))
            process.stdin.close()
        except BrokenPipeError:
            pass
        assert process.wait(60) == 1
        assert process.stderr.read() == b""
