"""Fixtures of all tests: the folder of reference data, programs, and a librnnoise of somebody else's."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# A librnnoise that can be told: late by DELAY frames, at half the level but for faint clicks, with a voice of its own.
SOURCE = """
#include <stdlib.h>
#include <string.h>
typedef struct { float late[DELAY][480]; int frames; } state;
#ifdef OLD
state *rnnoise_create(void) { return calloc(1, sizeof(state)); }
#else
state *rnnoise_create(void *model) { return model ? NULL : calloc(1, sizeof(state)); }
int rnnoise_get_frame_size(void) { return 480; }
#endif
void rnnoise_destroy(state *s) { free(s); }
float rnnoise_process_frame(state *s, float *out, const float *in) {
#ifdef CRASH
    abort();
#endif
    float frame[480], loudest = 0;
    memcpy(frame, in, sizeof frame);
    for (int i = 0; i < 480; i++) if (frame[i] > loudest) loudest = frame[i];
    for (int i = 0; i < 480; i++) out[i] = s->late[0][i];
    memmove(s->late[0], s->late[1], (DELAY - 1) * sizeof frame);
    for (int i = 0; i < 480; i++) s->late[DELAY - 1][i] = loudest > 2 ? 0.5f * frame[i] : frame[i];
    return loudest > 3000 ? 0.9f : 0.1f;
}
"""


# Rooms and modules whose tests take more than some seconds each, or together more than half a minute on two cores.
SLOW = {
    "long", "native", "project", "report",
    "backends/test_isa.py", "backends/test_reference.py",
    "cli/test_cli_compare.py", "cli/test_signals.py",
    "compare/test_behaviour.py", "compare/test_compare.py", "compare/test_evaluate.py", "compare/test_metrics.py",
    "files/test_hardship.py", "models/test_hostile_models.py",
    "stream/test_interrupted.py", "stream/test_processes.py", "stream/test_stream_properties.py",
    "training/test_blind.py", "training/test_dtln.py", "training/test_dtln_export.py",
    "training/test_dtln_importers.py", "training/test_enhancer_bodies.py", "training/test_enhancer_released.py",
    "training/test_enhancer_runs.py", "training/test_features.py", "training/test_mixing.py",
    "training/test_mixtures.py", "training/test_pipeline.py", "training/test_resume.py", "training/test_rnnoise.py",
    "training/test_run.py", "training/test_stop.py",
    "backends/test_contract.py", "compare/test_levels.py", "files/test_matrix.py",
    "files/test_media.py", "files/test_pipes.py",
    "training/test_enhancer.py", "training/test_enhancer_export.py", "training/test_synthesis.py",
    "live/test_virtual_microphone.py", "serve", "integrations",
}  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    """Answer the signals that whoever started this ignores, as a shell does for what runs in the background: programs
    that the tests start inherit that, and would never end."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in ("SIGHUP", "SIGQUIT"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    config.option.loadscopereorder = False  # xdist would begin with the files of most tests, and end with the longest


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Put the handlers of signals back that a test has changed in this process."""
    before = {number: signal.getsignal(number) for number in signal.valid_signals()}
    yield
    for number, handler in before.items():
        if handler is not None and signal.getsignal(number) != handler:
            signal.signal(number, handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the slow tests, which `make quick` leaves out; slow files come first, so that no process is left waiting for
    another's at the end."""
    tests = Path(__file__).parent

    def in_slow_file(item: pytest.Item) -> bool:
        path = item.path.relative_to(tests)
        return bool({path.parts[0], path.as_posix()} & SLOW)

    for item in items:
        if in_slow_file(item) or "deepfilternet3" in item.name:
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: not in_slow_file(item))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of data and reference answers that is not part of the project."""
    folder = Path(os.environ.get("DENOISE_WRAPPER_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    if not folder.is_dir():
        reason = f"no shared data at {folder}; set DENOISE_WRAPPER_SHARED to its folder"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


@pytest.fixture(scope="session")
def needs() -> Callable[[str], str]:
    """The path of a program; where it is absent the test is skipped, or fails if CI is true."""

    def find(program: str) -> str:
        path = shutil.which(program)
        if path is None:
            (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"{program} is not installed")
        return str(path)

    return find


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KB, for which one has to be root."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = shutil.which("mount") and sys.platform == "linux"
    options = ["-t", "tmpfs", "-o", "size=256k", "none"]
    if not mounted or subprocess.run(["mount", *options, str(place)], capture_output=True, check=False).returncode:
        pytest.skip("a small file system cannot be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.fixture(scope="session")
def library(needs: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Builds a librnnoise: library(delay in frames, *options of the compiler)."""
    folder = tmp_path_factory.mktemp("libraries")

    def build(delay: int = 1, *options: str) -> Path:
        source, made = folder / "rnnoise.c", folder / f"librnnoise_{delay}{''.join(options)}.so"
        source.write_text(SOURCE)
        command = [needs("gcc"), "-shared", "-fPIC", f"-DDELAY={delay}", *options, str(source), "-o", str(made)]
        subprocess.run(command, check=True)
        return made

    return build
