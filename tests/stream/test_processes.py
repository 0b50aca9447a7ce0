"""Processes and the end of the interpreter: forks after loading, pools, threads at work when all ends; and the memory
that a large chunk takes."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray
from require import require

from denoise_wrapper import DenoiseError, Denoiser, Stream
from denoise_wrapper.backends.dtln import DTLNBackend

pytestmark = pytest.mark.fault
NAMES = ("rnnoise", "rnnoise-classic", "dtln-16k")
RUNTIME = "onnxruntime"  # the DTLN by it
Array = NDArray[Any]


def noise(frames: int = 24000, seed: int = 1) -> Array:
    return (0.1 * np.random.default_rng(seed).standard_normal(frames)).astype(np.float32)


class Cleaner:
    """A task for another process: Denoisers and a stream from here, used there."""

    def __init__(self) -> None:
        self.denoisers = [Denoiser(name) for name in NAMES]
        self.stream = self.denoisers[0].stream(44100)
        self.stream.process(noise(1000))

    def __call__(self, seed: int = 1) -> list[Array]:
        """Clean a clip with each, and go on with the stream."""
        made = [denoiser.filter(noise(seed=seed), 44100) for denoiser in self.denoisers]
        return [*made, self.stream.process(noise(5000))]


def answer(cleaner: Cleaner, pipe: Any) -> None:
    pipe.send(cleaner())
    pipe.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_another_process_cleans_what_this_one_would(method: str) -> None:
    """By multiprocessing: backends and a stream that were loaded, and used, before."""
    cleaner, context = Cleaner(), cast(Any, multiprocessing.get_context(method))
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=answer, args=(cleaner, there))
    process.start()
    there.close()
    assert here.poll(120), "the process hangs"
    for ours, theirs in zip(cleaner(), here.recv(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    process.join(60)
    assert process.exitcode == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_workers_forked_after_loading_clean_at_once(tmp_path: Path) -> None:
    """Prefork, as servers do it: load, use, fork, and serve in every worker with threads of its own."""
    code = """
import os, sys, threading
import numpy as np
from denoise_wrapper import Denoiser
from denoise_wrapper.backends.dtln import DTLNBackend
denoisers = [Denoiser(DTLNBackend(runtime=name) if name == "onnxruntime" else name) for name in sys.argv[1:]]
noise = (0.1 * np.random.default_rng(1).standard_normal(24000)).astype(np.float32)
wanted = [denoiser.filter(noise, 44100) for denoiser in denoisers]
def serve():
    for denoiser, whole in zip(denoisers, wanted):
        for _ in range(2):
            if not np.array_equal(denoiser.filter(noise, 44100), whole):
                os._exit(3)
def at_once():
    threads = [threading.Thread(target=serve) for _ in range(3)]
    [thread.start() for thread in threads]; [thread.join() for thread in threads]
busy = threading.Thread(target=serve); busy.start()  # a fork in the middle of another thread's work
workers = []
for number in range(3):
    worker = os.fork()
    if not worker:
        at_once()
        print("served")
        sys.exit(10 + number)  # through all that the interpreter and C++ do in the end
    workers.append(worker)
at_once(); busy.join()
print([os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]) for worker in workers])
"""
    require(RUNTIME)
    command = [sys.executable, "-c", code, *NAMES, RUNTIME]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == 3 * "served\n" + "[10, 11, 12]\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_threads_of_the_runtime_that_a_fork_left_behind_are_an_error_and_no_wait() -> None:
    backend = DTLNBackend(threads=2)
    stream = Stream(backend)
    stream.process(noise(1000))
    worker = os.fork()
    if not worker:
        code = 1
        try:
            stream.process(noise(1000))
        except DenoiseError as error:
            code = 0 if "threads=2" in str(error) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]) == 0
    assert len(stream.process(noise(1000))) == 1000


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_workers_of_a_data_loader_clean_what_this_process_would() -> None:
    data = require("torch.utils.data", "pip install 'denoise-wrapper[training]'")
    cleaner = Cleaner()
    cleaner()

    class Clips(data.Dataset):  # type: ignore[misc, name-defined]
        def __len__(self) -> int:
            return 4

        def __getitem__(self, index: int) -> Array:
            return np.stack([denoiser.filter(noise(seed=index), 44100) for denoiser in cleaner.denoisers])

    clips = Clips()
    for index, batch in enumerate(data.DataLoader(clips, batch_size=None, num_workers=2, timeout=120)):
        np.testing.assert_array_equal(np.asarray(batch), clips[index])


def test_threads_of_a_pool_clean_what_one_would() -> None:
    denoisers = [Denoiser(name) for name in NAMES]
    wanted = [denoiser.filter(noise(), 44100) for denoiser in denoisers]
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda number: denoisers[number % 3].filter(noise(), 44100), range(24)))
    for number, clip in enumerate(made):
        np.testing.assert_array_equal(clip, wanted[number % 3])


AT_WORK = """
import os, sys, threading, time
import numpy as np
from denoise_wrapper import Denoiser
from denoise_wrapper.backends.dtln import DTLNBackend
if sys.argv[1] == "onnxruntime":
    import onnxruntime
for case in sys.argv[2:]:  # each in a process that has all but the backend, and ends as any interpreter does
    process = os.fork()
    if not process:
        break
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    if status:
        sys.exit(f"{case}: {status}")
else:
    sys.exit()
frames, wait_s = case.split(",")
backend = DTLNBackend(runtime=sys.argv[1]) if sys.argv[1] == "onnxruntime" else sys.argv[1]
stream, noise = Denoiser(backend).stream(), np.zeros(int(frames), np.float32)
begun = threading.Event()
def work():
    while True:
        stream.process(noise)
        begun.set()
threading.Thread(target=work, daemon=True).start()
begun.wait(60)
time.sleep(float(wait_s))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
@pytest.mark.parametrize("name", [*NAMES, RUNTIME])
def test_the_interpreter_ends_well_while_a_thread_is_at_work(name: str) -> None:
    command = [sys.executable, "-c", AT_WORK, name, "128,0", "128,0.011", "16000,0.003", "160000,0.02"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "terminate" not in done.stderr


PEAK = """
import sys
import numpy as np
from denoise_wrapper import Denoiser
name, rate, kind, channels = sys.argv[1], int(sys.argv[2]), np.dtype(sys.argv[3]), int(sys.argv[4])
stream = Denoiser(name).stream(rate, channels)
part = np.random.default_rng(1).standard_normal((1 << 16, channels))
part = (part * (3000 if kind.kind == "i" else 0.1)).astype(kind)
chunk = np.concatenate([part] * (12_000_000 // part.nbytes))
chunk = chunk if channels > 1 else chunk[:, 0]
stream.process(chunk[:200_000])
open("/proc/self/clear_refs", "w").write("5")
def told(name):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(name))
before = told("VmRSS")
stream.process(chunk)
print((told("VmHWM") - before) / chunk.nbytes)
"""


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="the peak of memory is not told here")
@pytest.mark.parametrize(
    ("name", "rate", "kind", "channels"),
    [
        ("rnnoise", 48000, "i2", 2),
        ("rnnoise", 44100, "f4", 1),
        ("rnnoise", 48000, "f8", 1),
        ("dtln-16k", 16000, "i4", 2),
    ],
)
def test_a_large_chunk_takes_little_more_memory_than_its_result(name: str, rate: int, kind: str, channels: int) -> None:
    """The result is as large as the chunk; doubles are made floats before, which is half as much again."""
    command = [sys.executable, "-c", PEAK, name, str(rate), kind, str(channels)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert float(done.stdout) < 2.0
