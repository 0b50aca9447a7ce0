"""Home Assistant's satellites: a microphone's command that cleans, and the virtual microphone for who runs none."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from agents import clip, interpreter, walk
from serving import until
from sound_server import SoundServer

from denoise_wrapper import Denoiser

RATE, PERIOD = 16000, 1024
NOISY = clip(3.0, RATE)
WORDS = [sys.executable, "-m", "denoise_wrapper.integrations.wyoming"]


@pytest.fixture(scope="module")
def satellite(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return walk("wyoming", tmp_path_factory.mktemp("satellite"), noisy=NOISY)


def test_a_satellite_streams_what_filter_gives(satellite: dict[str, Any]) -> None:
    cleaned, latency = satellite["cleaned"], Denoiser().latency(RATE)
    assert len(cleaned) == len(NOISY) // PERIOD * PERIOD
    assert not cleaned[:latency].any()
    wanted = Denoiser().filter(NOISY, RATE)[: len(cleaned) - latency]
    np.testing.assert_array_equal(cleaned[latency:], wanted)


def test_each_period_comes_out_before_the_next_goes_in(satellite: dict[str, Any]) -> None:
    """None waits in a buffer; the median, as other programs run here too."""
    came, written = satellite["came"], satellite["written"]
    assert np.median(came - written[: len(came)]) < PERIOD / RATE


def _run(*words: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*WORDS, *words], capture_output=True, timeout=60, check=False, **options)


def test_the_rest_comes_when_the_command_ends(tmp_path: Path) -> None:
    path = tmp_path / "noisy.raw"
    path.write_bytes(NOISY.tobytes())
    done = _run("--preset", "voice", "cat", str(path))
    assert done.returncode == 0, done.stderr
    latency = Denoiser().latency(RATE)
    cleaned = np.frombuffer(done.stdout, np.int16)
    np.testing.assert_array_equal(cleaned[latency:], Denoiser(preset="voice").filter(NOISY, RATE))


def test_a_command_that_fails_is_said() -> None:
    for words, code, said in (
        (("no-such-program",), 2, b"no-such-program"),
        ((), 2, b"which command"),
        (("--rate", "5", "cat"), 2, b"sample_rate"),
        (("sh", "-c", "exit 3"), 3, b""),
    ):
        done = _run(*words)
        assert done.returncode == code
        assert said in done.stderr
        assert b"Traceback" not in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_the_command_ends_with_the_satellite(tmp_path: Path) -> None:
    number = tmp_path / "number"
    shell = f"echo $$ > {number}; exec sleep 60"
    with subprocess.Popen([*WORDS, "sh", "-c", shell], stdout=subprocess.PIPE) as process:
        until(lambda: number.exists() and number.read_text().strip(), 20)
        process.terminate()
        assert process.wait(20) == 128 + 15
    with pytest.raises(ProcessLookupError):
        os.kill(int(number.read_text()), 0)


@pytest.mark.skipif(sys.platform != "linux", reason="PulseAudio")
def test_linux_voice_assistant_finds_the_virtual_microphone(needs: Callable[[str], str], tmp_path: Path) -> None:
    """By the package through which it takes microphones, soundcard, as it does that."""
    python = interpreter("wyoming")
    for program in ("pactl", "pacat", "parec"):
        needs(program)
    server = SoundServer(tmp_path, needs("pulseaudio"))
    server.start()
    words = [sys.executable, "-m", "denoise_wrapper", "--no-config", "live", "--input", "room.monitor"]
    process = subprocess.Popen([*words, "--virtual-mic", "Clean"], env=server.environment, stderr=subprocess.PIPE)
    program = (
        "import soundcard, numpy; microphone = soundcard.get_microphone('Clean')\n"
        "with microphone.recorder(samplerate=16000, channels=1, blocksize=1024) as recorder:\n"
        "    print(microphone.name, numpy.abs(recorder.record(16000)).max())"
    )
    try:
        until(lambda: server.described("Clean"), 20)
        noise = (0.1 * np.random.default_rng(1).standard_normal(8 * 48000)).astype(np.float32)
        with contextlib.closing(_Player(server, noise)):
            time.sleep(0.5)
            done = subprocess.run(
                [str(python), "-c", program, "soundcard wants a word here"],
                env=server.environment,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
    finally:
        process.terminate()
        process.communicate(timeout=20)
        server.stop()
    assert done.returncode == 0, done.stderr
    name, loudest = done.stdout.rsplit(maxsplit=1)
    assert name == "Clean"
    assert float(loudest) > 0


class _Player:
    """Noise in the room until it is closed."""

    def __init__(self, server: SoundServer, noise: Any) -> None:
        self._process = server.play(noise)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
