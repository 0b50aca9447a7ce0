"""A real PulseAudio or PipeWire of the tests' own: a null sink whose monitor is a microphone, and ears on all."""

from __future__ import annotations

import bisect
import contextlib
import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
RATE = 48000
NEAR_S = 3.0


class Recording:
    """What a process records, and when it came."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._pipe, self._parts = process.stdout, [b""]
        self._came: list[tuple[float, float]] = []  # frames so far, s of the clock
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._pipe is not None
        frames = 0.0
        while data := os.read(self._pipe.fileno(), 1 << 16):
            self._parts.append(data)
            frames += len(data) / 4
            self._came.append((frames, time.perf_counter()))

    def samples(self) -> Float32:
        """All so far."""
        data = b"".join(self._parts)
        return np.frombuffer(data[: len(data) // 4 * 4], "<f4")

    def time_of(self, frame: float) -> float:
        """When a frame was recorded, s of the clock, as those blocks tell it that came soonest.

        Blocks of seconds around it: what is lost elsewhere moves it by nothing.
        """
        first, last = (bisect.bisect(self._came, (frame + side * NEAR_S * RATE,)) for side in (-1, 1))
        return min(at - frames / RATE for frames, at in self._came[first : last + 1]) + frame / RATE

    def read_at(self, frame: float) -> float:
        """When a reader had a frame, s of the clock: later, by what the buffers before it hold back."""
        return next((at for frames, at in self._came if frames > frame), float("nan"))


class SoundServer:
    """A PulseAudio that runs. environment: for programs that are to use it."""

    def __init__(self, folder: Path, program: str) -> None:
        self.folder, self._program = folder, program
        self.environment = {
            **os.environ,
            "HOME": str(folder),
            "XDG_RUNTIME_DIR": str(folder),
            "PULSE_RUNTIME_PATH": str(folder),
            "PULSE_STATE_PATH": str(folder),
            "PULSE_SERVER": f"unix:{folder}/native",
            "PULSE_COOKIE": str(folder / "cookie"),
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, with a sink called room, whose monitor is the microphone, and one called ears."""
        words = [self._program, "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "--realtime=no"]
        words += ["--high-priority=no", "--disallow-exit=no"]
        for module in (
            f"module-native-protocol-unix socket={self.folder}/native auth-anonymous=1",
            f"module-null-sink sink_name=room rate={RATE} channels=1 format=float32le",
            f"module-null-sink sink_name=ears rate={RATE} channels=1 format=float32le",
        ):
            words += ["-L", module]
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(words, env=self.environment, stdout=log, stderr=log)
        self.wait(self.process)

    def wait(self, process: subprocess.Popen[bytes]) -> None:
        """Wait until it answers, as long as that process lives."""
        deadline = time.monotonic() + 20
        while self.pactl("info", check=False).returncode:
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            assert process.poll() is None, (self.folder / "log").read_text()
            time.sleep(0.1)

    def stop(self) -> None:
        """End it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def pactl(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["pactl", *words], env=self.environment, capture_output=True, text=True, check=check)

    def listed(self, kind: str) -> list[dict[str, Any]]:
        """Sinks, sources, modules or what plays or hears."""
        listed: list[dict[str, Any]] = json.loads(self.pactl("--format=json", "list", kind).stdout)
        return listed

    def names(self, kind: str) -> list[str]:
        """Names of sinks, sources, modules or what plays."""
        return [str(each.get("name")) for each in self.listed(kind)]

    def described(self, name: str) -> str:
        """The source of a description."""
        return next((str(each["name"]) for each in self.listed("sources") if each["description"] == name), "")

    @contextlib.contextmanager
    def recording(self, source: str) -> Iterator[Recording]:
        """Record a source while the block lasts."""
        words = ["parec", f"--device={source}", "--raw", "--format=float32le", f"--rate={RATE}", "--channels=1"]
        recorder = subprocess.Popen([*words, "--latency-msec=10"], env=self.environment, stdout=subprocess.PIPE)
        try:
            yield Recording(recorder)
        finally:
            recorder.kill()
            recorder.wait()

    def play(self, samples: Float32, sink: str = "room") -> subprocess.Popen[bytes]:
        """Begin to play mono samples."""
        path = self.folder / f"played-{time.monotonic_ns()}.raw"
        path.write_bytes(samples.astype("<f4").tobytes())
        words = ["pacat", f"--device={sink}", "--raw", "--format=float32le", f"--rate={RATE}", "--channels=1"]
        with open(path, "rb") as file:
            return subprocess.Popen([*words, "--latency-msec=200"], env=self.environment, stdin=file)


class PipeWire(SoundServer):
    """A PipeWire with its PulseAudio protocol, in a session of its own."""

    PROGRAMS = ("dbus-daemon", "pipewire", "wireplumber", "pipewire-pulse")

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "pipewire")
        self._processes: list[subprocess.Popen[bytes]] = []
        self.environment |= {
            "PULSE_RUNTIME_PATH": str(folder / "pulse"),
            "PULSE_SERVER": f"unix:{folder}/pulse/native",
            "DBUS_SESSION_BUS_ADDRESS": f"unix:path={folder}/bus",
            "XDG_CONFIG_HOME": str(folder),
            "XDG_STATE_HOME": str(folder),
        }

    def start(self) -> None:
        """Start all of it, with the same sinks."""
        bus = ["dbus-daemon", "--session", "--nofork", f"--address=unix:path={self.folder}/bus"]
        with open(self.folder / "log", "ab") as log:
            for words, made in (
                (bus, "bus"), (["pipewire"], "pipewire-0"), (["wireplumber"], ""), (["pipewire-pulse"], "pulse/native"),
            ):  # fmt: skip
                self._processes.append(subprocess.Popen(words, env=self.environment, stdout=log, stderr=log))
                deadline = time.monotonic() + 20
                while not (self.folder / made).exists():
                    assert time.monotonic() < deadline, (self.folder / "log").read_text()
                    time.sleep(0.05)
        self.wait(self._processes[-1])
        for name in ("room", "ears"):
            form = (f"rate={RATE}", "channels=1", "channel_map=mono")
            self.pactl("load-module", "module-null-sink", f"sink_name={name}", *form)

    def stop(self) -> None:
        """End it."""
        for process in reversed(self._processes):
            process.kill()
            process.wait()
