"""Processes that are killed, without memory, or on a full disk: old files stay, and what is wrong is said in a line."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from denoise_wrapper import Denoiser
from denoise_wrapper.atomic import atomic_path, is_part
from denoise_wrapper.files.results import LIST
from denoise_wrapper.files.transform import audio_files

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals and limits of another kind are there")

RATE = 48000


def noise(seconds: float, seed: int = 0) -> NDArray[np.int16]:
    return np.random.default_rng(seed).integers(-9000, 9000, round(seconds * RATE)).astype(np.int16)


def program(code: str, *words: Any, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


# ---- killed ----

OVER_AND_OVER = """
import sys
from pathlib import Path
from denoise_wrapper import Denoiser
denoiser, spare = Denoiser(), Path(sys.argv[1]).with_name("spare.wav")
denoiser.filter_file(sys.argv[2], spare)  # before it writes the first file it loads what it needs, which takes long
spare.unlink()
print("ready", flush=True)
while True:
    for source in sys.argv[2:]:
        denoiser.filter_file(source, sys.argv[1], overwrite=True)
"""


def test_a_process_killed_while_writing_leaves_a_whole_file(tmp_path: Path) -> None:
    """The old one, or a new one: whenever the kill comes. What it was writing is left, and known for what it is."""
    target, sources = tmp_path / "target.wav", [tmp_path / "a.wav", tmp_path / "b.flac"]
    wanted = []
    for seed, source in enumerate(sources):
        soundfile.write(source, noise(3, seed), RATE)
        Denoiser().filter_file(source, target, overwrite=True)
        wanted.append(target.read_bytes())
    wanted.append(b"precious")
    rng, seen, killed_within = random.Random(2), set(), 0
    for _ in range(12):
        target.write_bytes(b"precious")
        command = [sys.executable, "-c", OVER_AND_OVER, str(target), *map(str, sources)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            time.sleep(rng.uniform(0, 0.06))
            process.kill()
        content = target.read_bytes()
        assert content in wanted
        seen.add(wanted.index(content))
        left = set(tmp_path.iterdir()) - {target, *sources, tmp_path / LIST}
        assert all(is_part(path) for path in left), left
        killed_within += bool(left)
        for path in left:
            path.unlink()
    print(f"{killed_within} of 12 were killed while they wrote, and left {len(seen)} of {len(wanted)} files")
    assert killed_within


def test_what_a_killed_process_was_writing_is_no_file_to_clean(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", noise(0.1), RATE)
    with contextlib.suppress(RuntimeError), atomic_path(tmp_path / "b.wav") as part:
        raise RuntimeError
    shutil.copy(tmp_path / "a.wav", part)
    assert audio_files(tmp_path) == [tmp_path / "a.wav"]


def test_hidden_files_of_other_names_are_cleaned(tmp_path: Path) -> None:
    for name in (".notes.wav", ".0123456789ab.x.wav", ".0123456789aB.wav", "0123456789ab.wav"):
        soundfile.write(tmp_path / name, noise(0.1), RATE)
    assert len(audio_files(tmp_path)) == 4


# ---- without memory ----

STARVED = """
import resource, runpy, sys
import denoise_wrapper.cli.main, denoise_wrapper.files.soundfiles, soundfile
from pathlib import Path
left = int(sys.argv.pop(1))
held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (held + left, held + left))
denoise_wrapper.cli.main.run()
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is not told here")
@pytest.mark.parametrize("backend", ["rnnoise", "dtln-16k"])
def test_too_little_memory_is_one_line_and_the_old_file_stays(tmp_path: Path, backend: str) -> None:
    source, target = tmp_path / "a.wav", tmp_path / "b.wav"
    soundfile.write(source, np.stack([noise(2)] * 8, axis=1), RATE)
    codes = []
    for left in (0, 1 << 16, 1 << 18, 1 << 20, 3 << 20, 10 << 20, 30 << 20, 100 << 20, 600 << 20):
        target.write_bytes(b"precious")
        words = ["filter", source, "-o", target, "--overwrite", "-q", "-b", backend]
        done = program(STARVED, left, *words, env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"})
        codes.append(done.returncode)
        assert done.returncode in (0, 1, 2), (left, done.stderr)
        assert set(tmp_path.iterdir()) - {tmp_path / LIST} == {source, target}
        if done.returncode:
            assert target.read_bytes() == b"precious"
            assert "Traceback" not in done.stderr, (left, done.stderr)
            assert done.stderr.count("\n") <= 2, (left, done.stderr)
        else:
            assert soundfile.info(target).frames == 2 * RATE
    assert codes[0] != 0
    assert codes[-1] == 0


HUNGRY = """
import resource, sys
import numpy as np
from pathlib import Path
from denoise_wrapper import Denoiser
denoiser = Denoiser("rnnoise")
stream = denoiser.stream(44100)
noise = np.random.default_rng(1).standard_normal(44100).astype(np.float32) / 10
wanted = denoiser.filter(noise, 44100)
first = stream.process(noise[:10000])
large = np.zeros(80_000_000, np.float32)
held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (held + (64 << 20), held + (64 << 20)))
for hungry in (lambda audio: denoiser.filter(audio, 44100), stream.process):
    try:
        hungry(large)
        sys.exit("there was memory enough")
    except MemoryError:
        pass
del large
assert np.array_equal(denoiser.filter(noise, 44100), wanted)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is not told here")
def test_a_clip_too_large_for_memory_is_a_memory_error_and_does_no_harm() -> None:
    done = program(HUNGRY)
    assert (done.returncode, done.stderr) == (0, "")


# ---- on a full disk ----


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3", ".aiff"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path, small_disk: Path, suffix: str) -> None:
    source, target = tmp_path / "a.wav", small_disk / f"b{suffix}"
    soundfile.write(source, noise(30), RATE)
    target.write_bytes(b"precious")
    (small_disk / "ballast").write_bytes(bytes(150_000))
    code = "from denoise_wrapper.cli.main import run; run()"
    done = program(code, "filter", source, "-o", target, "--overwrite", "-q")
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert "disk is full" in done.stderr
    assert target.read_bytes() == b"precious"
    assert {path.name for path in small_disk.iterdir()} - {LIST} == {target.name, "ballast"}


def test_a_model_that_finds_the_disk_full_leaves_nothing(small_disk: Path) -> None:
    (small_disk / "ballast").write_bytes(bytes(200_000))
    code = "from denoise_wrapper.cli.main import run; run()"
    done = program(code, "convert", "rnnoise-classic", "-o", small_disk / "a.rnnn")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert [path.name for path in small_disk.iterdir()] == ["ballast"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
def test_a_pipe_onto_a_full_disk_is_one_line(tmp_path: Path) -> None:
    with open("/dev/full", "wb") as full:
        words = ["-m", "denoise_wrapper", "filter", "-", "--rate", "16000", "--channels", "1", "--dtype", "float32"]
        done = subprocess.run(
            [sys.executable, *words], input=bytes(4_000_000), stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert (done.returncode, done.stderr.count(b"\n")) == (1, 1), done.stderr


def test_signals_that_ask_to_end_leave_nothing(tmp_path: Path) -> None:
    """SIGHUP, as of a terminal that was closed."""
    source, target = tmp_path / "a.wav", tmp_path / "b.wav"
    soundfile.write(source, noise(120), RATE)
    code = "from denoise_wrapper.cli.main import run; run()"
    with subprocess.Popen([sys.executable, "-c", code, "filter", str(source), "-o", str(target), "-q"]) as process:
        deadline = time.monotonic() + 60
        while not any(map(is_part, tmp_path.iterdir())) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
        process.send_signal(signal.SIGHUP)
    assert set(tmp_path.iterdir()) <= {source, target, tmp_path / LIST}
