"""A signal ends the command line soon and leaves nothing half-written, whatever it is at; kills.py has all verbs."""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import forked
import kills
import pytest

from denoise_wrapper import signals
from denoise_wrapper.atomic import atomic_path, is_part, scratch
from denoise_wrapper.cli.main import make_parser

pytestmark = [pytest.mark.fault, pytest.mark.skipif(os.name == "nt", reason="signals of another kind are there")]

CHOSEN = ("filter", "filter -", "convert")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> kills.Place:
    folder = tmp_path_factory.mktemp("kills")
    inputs = folder / "inputs"
    inputs.mkdir()
    kills.make_inputs(inputs, seconds=12)  # which PIPE may come too early for, and does not stop
    return kills.Place(inputs, folder)


@pytest.mark.parametrize("name", kills.SIGNALS)
def test_a_signal_ends_a_verb_within_a_second_and_leaves_nothing(place: kills.Place, name: str) -> None:
    rng = random.Random(3)
    for verb in kills.verbs(place.inputs):
        if verb.name not in CHOSEN:
            continue
        outcome = kills.Outcome()
        verb.limit_s = 5.0  # of a machine that does other work too; the bound itself is measured by kills.py
        for moment in kills.moments(1.0, 2, rng):
            kills.interrupt(place, verb, name, moment, outcome)
        assert outcome.wrong == []


def verbs_of(parser: argparse.ArgumentParser, words: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    """The words of all verbs and jobs that a parser knows."""
    found = {words} if words and "run" in parser._defaults else set()
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, job in action.choices.items():
                found |= verbs_of(job, (*words, name))
    return found


def test_every_verb_is_among_those_that_are_killed(tmp_path: Path) -> None:
    killed = {tuple(verb.words[:words]) for verb in kills.verbs(tmp_path) for words in (1, 2)}
    assert verbs_of(make_parser()) - killed == set()


WRITE = """
import sys, threading, time
from pathlib import Path
from denoise_wrapper import signals
from denoise_wrapper.atomic import atomic_path, scratch
signals.end_on_signals()
with atomic_path(target, overwrite=True) as part, scratch(Path(target)) as folder:
    part.write_bytes(b"half")
    (folder / "more").write_bytes(b"half")
    ready()
    exec(code)
"""


def begin(target: Path, code: str) -> BaseProcess:
    """Start a program that runs code while it writes target, and wait until it does."""
    process, messages = forked.start(WRITE, {"target": str(target), "code": code})
    assert messages.poll(60)
    assert messages.recv() == "ready"
    return process


def send(target: Path, code: str, *numbers: int) -> tuple[int | None, float]:
    """Signal a program that runs code while it writes target; returns its exit code and the seconds it took."""
    process = begin(target, code)
    time.sleep(0.05)
    started = time.monotonic()
    for number in numbers:
        os.kill(process.pid or 0, number)
        time.sleep(0.02)
    process.join(60)
    return process.exitcode, time.monotonic() - started


SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE)


@pytest.mark.parametrize(
    "code",
    [
        "time.sleep(60)",
        "while True:\n try: time.sleep(60)\n except BaseException: pass",  # which swallows what the signal raises
        "t = threading.Thread(target=time.sleep, args=(60,)); t.start(); t.join()",  # waited for
    ],
    ids=["waits", "swallows", "has a thread"],
)
def test_a_program_that_does_not_end_by_itself_is_ended(tmp_path: Path, code: str) -> None:
    """By each of the signals, in programs that run at once, as most of their time is spent waiting."""
    folders = {number: tmp_path / number.name for number in SIGNALS}
    for folder in folders.values():
        folder.mkdir()
        (folder / "a.wav").write_bytes(b"precious")
    processes = {number: begin(folder / "a.wav", code) for number, folder in folders.items()}
    started = time.monotonic()
    for number, process in processes.items():
        os.kill(process.pid or 0, number)
    for number, process in processes.items():
        process.join(60)
        assert process.exitcode in (128 + number, -number, 1)  # -INT and 1: of Python itself, for a KeyboardInterrupt
        assert time.monotonic() - started < 5.0
        kept = [(path.name, path.read_bytes()) for path in folders[number].iterdir()]
        assert kept == [("a.wav", b"precious")]


HOLD = """
import ctypes
from denoise_wrapper import signals
signals.end_on_signals()
with signals.loading():
    ready()
    ctypes.PyDLL(None).sleep(20)  # which keeps the interpreter's lock, as the loading of a large library does
"""


def test_a_signal_ends_a_program_that_loads_a_library() -> None:
    for number in SIGNALS:
        process, messages = forked.start(HOLD, {})
        assert messages.poll(60)
        os.kill(process.pid or 0, number)
        process.join(10)
        assert process.exitcode == -number


def test_signals_unwind_while_something_is_half_written_though_a_library_is_loaded(tmp_path: Path) -> None:
    code = "with signals.loading(): time.sleep(60)"
    assert send(tmp_path / "a.wav", code, signal.SIGTERM)[0] == 128 + signal.SIGTERM
    assert list(tmp_path.iterdir()) == []


def test_signals_unwind_again_once_a_library_is_loaded(tmp_path: Path) -> None:
    code = "signals.is_writing = bool\nwith signals.loading(): pass\ntime.sleep(60)"
    assert send(tmp_path / "a.wav", code, signal.SIGTERM)[0] == 128 + signal.SIGTERM
    assert list(tmp_path.iterdir()) == []


FAMILY = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
time.sleep(60)
"""


def test_a_process_that_is_stopped_takes_along_those_it_has_started() -> None:
    with subprocess.Popen([sys.executable, "-c", FAMILY], stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        grandchild = int(process.stdout.readline())
        assert sorted(kills.processes_of(process.pid)) == sorted([process.pid, grandchild])
        signals.stop(process.pid)
        assert process.wait(30) == -signal.SIGKILL
        deadline = time.monotonic() + 30.0
        while kills.processes_of(process.pid):
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_a_process_that_has_ended_is_known_and_can_still_be_waited_for() -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        assert not signals._has_ended(process.pid)
        process.kill()
        deadline = time.monotonic() + 30.0
        while not signals._has_ended(process.pid):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert process.wait() == -signal.SIGKILL
        assert signals._has_ended(process.pid)


SLOW_END = """
import sys, time
from denoise_wrapper import signals
class Slow:
    def __del__(self, sleep=time.sleep):
        sleep(60)
sys.slow = Slow()  # which goes when the interpreter takes itself apart
signals.end_on_signals()
try:
    print("ready", flush=True)
    time.sleep(60)
finally:
    signals.end_if_asked()
"""


def test_the_end_after_a_signal_does_not_wait_for_what_was_imported() -> None:
    with subprocess.Popen([sys.executable, "-c", SLOW_END], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 128 + signal.SIGTERM


def test_a_second_signal_does_not_wait(tmp_path: Path) -> None:
    code = "signals._grace_s = 30.0\nwhile True:\n try: time.sleep(60)\n except BaseException: pass"
    returned, seconds = send(tmp_path / "a.wav", code, signal.SIGTERM, signal.SIGTERM)
    assert returned == 128 + signal.SIGTERM
    assert seconds < 5.0
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_is_gone_is_an_error_of_the_write_alone(tmp_path: Path) -> None:
    code = (
        "import os\nr, w = os.pipe(); os.close(r)\n"
        "try: os.write(w, b'x')\nexcept BrokenPipeError: time.sleep(1); sys.stdout.close(); os._exit(7)"
    )
    assert send(tmp_path / "a.wav", code)[0] == 7


def test_what_a_killed_run_left_goes_with_the_next_run_on_its_target(tmp_path: Path) -> None:
    target = tmp_path / "a.wav"
    for _ in range(2):
        send(target, "time.sleep(60)", signal.SIGKILL)
    assert sum(map(is_part, tmp_path.iterdir())) == 2  # a file and a folder; the second run has removed the first's
    with atomic_path(tmp_path / "other.wav"):
        pass
    assert sum(map(is_part, tmp_path.iterdir())) == 2
    with atomic_path(target) as part, scratch(target):
        part.write_bytes(b"whole")
    assert {path.name for path in tmp_path.iterdir()} == {"a.wav", "other.wav"}


def test_what_a_living_run_is_writing_stays(tmp_path: Path) -> None:
    target = tmp_path / "a.wav"
    with atomic_path(target, overwrite=True) as ours, scratch(target) as folder:
        ours.write_bytes(b"ours")
        (folder / "ours").touch()
        with atomic_path(target, overwrite=True) as other, scratch(target) as another:
            assert other != ours
            assert another != folder
        assert ours.read_bytes() == b"ours"
        assert (folder / "ours").exists()
        process = begin(target, "pass")
        process.join(60)
        assert process.exitcode == 0
        assert ours.read_bytes() == b"ours"
    assert target.read_bytes() == b"ours"
    shutil.rmtree(folder, ignore_errors=True)
    assert list(tmp_path.iterdir()) == [target]


def test_something_of_anothers_under_a_part_s_name_is_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "a.wav"
    with atomic_path(target) as part:
        name = part
    target.unlink()
    name.symlink_to(tmp_path / "precious")
    (tmp_path / "precious").write_bytes(b"precious")
    with atomic_path(target) as part:
        assert part != name
    assert name.is_symlink()
    assert (tmp_path / "precious").read_bytes() == b"precious"
