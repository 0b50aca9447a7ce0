"""Sound through the programs of the sound server, `parec` and `pacat`: ALSA's way to it stalls where these go on."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from denoise_wrapper.errors import DenoiseError
from denoise_wrapper.live.pulse import pactl

HEARD_MS, PLAYED_MS = 10, 30  # of sound in the server's buffers that is asked for
ATOMIC = 4096  # bytes that a pipe takes as a whole or not at all


def server_is_there() -> bool:
    """True if a sound server answers, and its programs are installed."""
    if not (shutil.which("pactl") and shutil.which("parec") and shutil.which("pacat")):
        return False
    with contextlib.suppress(DenoiseError):
        return bool(pactl("info"))
    return False


class Piped:
    """A source and a sink of the sound server, which run within a `with` block.

    fill: called as fill(heard, to play or None, False) with float32 (block, channels), in a thread. over: called when
    the server gives up. source, sink: names; None for the server's own choice. playing: whether anything is played.
    gaps: times that what was to be played found no room and was left out.
    """

    def __init__(
        self,
        fill: Callable[[Any, Any, bool], object],
        over: Callable[[], object],
        *,
        source: str | None,
        sink: str | None,
        rate: int,
        channels: int,
        block: int,
        playing: bool,
    ) -> None:
        self._fill, self._over, self._shape = fill, over, (block, channels)
        self._source, self._sink, self._playing = source, sink, playing
        self._form = ["--raw", "--format=float32le", f"--rate={rate}", f"--channels={channels}"]
        self._form += ["--client-name=denoise-wrapper"]
        self._processes: list[subprocess.Popen[bytes]] = []
        self._room, self.gaps = 1 << 16, 0  # bytes of the pipe
        self.latency_s = (HEARD_MS + (PLAYED_MS if playing else 0)) / 1000 + block / rate

    stalled = False  # what does not come ends the programs, and what finds no room is left out

    def __enter__(self) -> Piped:
        hears = self._begin("parec", self._source, HEARD_MS, stdout=subprocess.PIPE)
        plays = self._begin("pacat", self._sink, PLAYED_MS, stdin=subprocess.PIPE) if self._playing else None
        if plays is not None and plays.stdin is not None:
            os.set_blocking(plays.stdin.fileno(), False)
            with contextlib.suppress(ImportError, AttributeError, OSError):
                import fcntl

                self._room = max(ATOMIC, 2 * 4 * self._shape[0] * self._shape[1])  # what waits in it comes later
                fcntl.fcntl(plays.stdin.fileno(), fcntl.F_SETPIPE_SZ, self._room)
        self._thread = threading.Thread(target=self._run, args=(hears, plays), name="denoise-live", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()
        self._thread.join()
        for process in self._processes:
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()

    def _begin(self, program: str, device: str | None, latency_ms: int, **pipes: Any) -> subprocess.Popen[bytes]:
        words = [program, *self._form, f"--latency-msec={latency_ms}"]
        words += [] if device is None else [f"--device={device}"]
        # In a session of its own: Ctrl-C is for this program, which then ends them.
        process = subprocess.Popen(words, bufsize=0, stderr=subprocess.DEVNULL, start_new_session=True, **pipes)
        self._processes.append(process)
        return process

    def _run(self, hears: subprocess.Popen[bytes], plays: subprocess.Popen[bytes] | None) -> None:
        heard, played = np.zeros(self._shape, np.float32), np.zeros(self._shape, np.float32)
        bytes_of: Any = memoryview  # which takes arrays, whatever its type says
        data, out = (bytes_of(each).cast("B") for each in (heard, played))
        size = ATOMIC // (4 * self._shape[1]) * 4 * self._shape[1]
        assert hears.stdout is not None
        source: Any = hears.stdout
        written, room = 0, self._room
        try:
            while True:
                filled = 0
                while filled < len(data):
                    count = source.readinto(data[filled:])
                    if not count:
                        return
                    filled += count
                self._fill(heard, None if plays is None else played, False)
                if plays is None or plays.stdin is None:
                    continue
                try:
                    for at in range(0, len(out), size):
                        written += os.write(plays.stdin.fileno(), out[at : at + size])
                except BlockingIOError:
                    self.gaps += written > 2 * room  # before, it has not begun to play
        except (OSError, ValueError):  # who plays is gone
            return
        finally:
            self._over()
