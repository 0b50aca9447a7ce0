"""`listen` on a real PulseAudio: what its sink is given is the cleaned clip, then, from the key on, the noisy one."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from denoise_wrapper import denoise

if sys.platform != "linux":
    pytest.skip("PulseAudio and terminals as on Linux", allow_module_level=True)
try:
    import sounddevice  # noqa: F401
except (ImportError, OSError) as error:
    pytest.skip(f"no sound devices: {error}", allow_module_level=True)
for program in ("pulseaudio", "pactl", "parec"):
    if shutil.which(program) is None:
        pytest.skip(f"{program} is absent: apt install pulseaudio pulseaudio-utils", allow_module_level=True)
if not list(Path("/usr/lib").glob("*/alsa-lib/libasound_module_pcm_pulse.so")):
    pytest.skip("PortAudio finds no PulseAudio: apt install libasound2-plugins", allow_module_level=True)

NOISY = Path(__file__).parents[2] / "examples" / "noisy.wav"
RATE, SECONDS = 48000, 4.0
WAIT_S = 60.0  # for what is at work in a second, on a machine that does much else
PART_S = 0.1  # so short that many are left whole between the gaps that a busy machine makes
Array = NDArray[Any]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of programs that play to a sink called out, on a sound server of our own."""
    folder = tmp_path_factory.mktemp("sound")
    (folder / ".asoundrc").write_text("pcm.!default { type pulse }\nctl.!default { type pulse }\n")
    places = dict.fromkeys(("HOME", "XDG_RUNTIME_DIR", "PULSE_RUNTIME_PATH", "PULSE_STATE_PATH"), str(folder))
    environment = {**os.environ, **places, "PULSE_SERVER": f"unix:{folder}/native", "TERM": "xterm"}
    words = ["pulseaudio", "-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1", "--realtime=no"]
    words += ["-L", f"module-native-protocol-unix socket={folder}/native auth-anonymous=1"]
    words += ["-L", f"module-null-sink sink_name=out rate={RATE} channels=1 format=float32le"]
    with open(folder / "log", "wb") as log:
        server = subprocess.Popen(words, env=environment, stdout=log, stderr=log)
    try:
        for _ in range(300):
            asked = subprocess.run(["pactl", "info"], env=environment, capture_output=True)
            if asked.returncode == 0:
                break
            assert server.poll() is None, (folder / "log").read_text()
            time.sleep(0.1)
        yield environment
    finally:
        server.kill()
        server.wait()


@contextlib.contextmanager
def recorded(environment: dict[str, str], path: Path) -> Iterator[None]:
    """Record all that the sink is given."""
    words = ["parec", "-d", "out.monitor", "--raw", f"--rate={RATE}", "--channels=1", "--format=float32le"]
    with open(path, "wb") as file:
        recorder = subprocess.Popen([*words, "--latency-msec=20"], env=environment, stdout=file)
        try:
            deadline = time.monotonic() + WAIT_S
            while not path.stat().st_size:  # until it runs
                assert recorder.poll() is None, "parec has ended"
                assert time.monotonic() < deadline, "parec records nothing"
                time.sleep(0.05)
            yield
            time.sleep(0.3)
        finally:
            recorder.terminate()
            recorder.wait()


def listen(environment: dict[str, str], clip: Path, keys: dict[str, bytes]) -> tuple[int, str]:
    """Run `listen` in a terminal. keys: what is pressed once that text is there. Returns exit code and screen."""
    words = [sys.executable, "-m", "denoise_wrapper", "--no-config", "listen", str(clip)]
    import pty  # which Windows has not

    process, terminal = pty.fork()
    if process == 0:
        os.execve(words[0], words, environment)
    screen, left = "", dict(keys)
    watch = threading.Timer(WAIT_S, os.kill, (process, signal.SIGKILL))
    watch.start()
    try:
        with contextlib.suppress(OSError):  # its end, as Linux says it
            while data := os.read(terminal, 4096):
                screen += data.decode()
                for text in [text for text in left if text in screen]:
                    os.write(terminal, left.pop(text))
    finally:
        watch.cancel()
        os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), screen


def likeness(heard: Array, clip: Array, seconds: float) -> float:
    """Correlation, to 1, of a part of a clip with the place where it is heard best."""
    part = clip[int(seconds * RATE) : int((seconds + PART_S) * RATE)]
    size = 1 << int(np.ceil(np.log2(len(heard) + len(part))))
    products = np.fft.irfft(np.fft.rfft(heard, size) * np.fft.rfft(part, size).conj())[: len(heard) - len(part)]
    energy = np.cumsum(np.concatenate([[0.0], heard.astype(np.float64) ** 2]))
    power = (energy[len(part) :] - energy[: -len(part)])[: len(products)]
    return float((products / np.sqrt(power * (part @ part) + 1e-9)).max())


def test_what_is_heard_is_the_clean_clip_and_after_the_key_the_noisy_one(sound: dict[str, str], tmp_path: Path) -> None:
    noisy, rate = soundfile.read(NOISY, dtype="float32")
    assert rate == RATE
    noisy = noisy[: int(SECONDS * RATE)]
    soundfile.write(tmp_path / "clip.wav", noisy, RATE, "FLOAT")
    with recorded(sound, tmp_path / "heard.raw"):
        code, screen = listen(sound, tmp_path / "clip.wav", {"clean   0:01.": b" ", "noisy   0:03.5": b"q"})
    assert code == 0, screen
    assert "space: noisy or clean" in screen
    heard, clean = np.fromfile(tmp_path / "heard.raw", np.float32), denoise(noisy, RATE)
    places = np.arange(0.25, SECONDS - PART_S, PART_S)
    as_clean, as_noisy = ([at for at in places if likeness(heard, clip, at) > 0.99] for clip in (clean, noisy))
    assert as_clean
    assert as_noisy
    assert max(as_clean) < min(as_noisy), (as_clean, as_noisy)


def test_without_a_sound_server_the_error_is_a_line(tmp_path: Path) -> None:
    (tmp_path / ".asoundrc").write_text("pcm.!default { type pulse }\n")
    nowhere = {**os.environ, "HOME": str(tmp_path), "PULSE_SERVER": f"unix:{tmp_path}/none", "TERM": "xterm"}
    code, screen = listen(nowhere, NOISY, {})
    assert code == 2
    assert "there is no sound device" in screen
    assert "Traceback" not in screen
