"""Sound through the programs of the sound server, `parec` and `pacat`: ALSA's way to it stalls where these go on."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from denoise_wrapper.errors import DenoiseError
from denoise_wrapper.live import pulse
from denoise_wrapper.live.devices import GONE

HEARD_MS, PLAYED_MS = 10, 30  # of sound in the server's buffers that is asked for
ATOMIC = 4096  # bytes that a pipe takes as a whole or not at all
NEWS = (b" on server ", b"'remove' on source #", b"'remove' on sink #")  # of `pactl subscribe`, that concern it
LOOK_S = 1.0  # between two looks at where the sound goes
AFTER_S = 5.0  # of looking after the server's last news, which may come before it has done what they say


def server_is_there() -> bool:
    """True if a sound server answers, and its programs are installed."""
    if not (shutil.which("pactl") and shutil.which("parec") and shutil.which("pacat")):
        return False
    with contextlib.suppress(DenoiseError):
        return bool(pulse.pactl("info"))
    return False


class Piped:
    """A source and a sink of the sound server, which run within a `with` block.

    fill: called as fill(heard, to play or None, False) with float32 (block, channels), in a thread. over: called when
    the server gives up. source, sink: names; sink is None for the server's own choice. follows: whether source is the
    server's own choice, and another one is to be opened when it chooses that. playing: whether anything is played.
    gaps: times that what was to be played found no room and was left out.

    A sound server moves who hears a source that is gone to another one, and who has named none to each new default: to
    the microphone that is made here as well, which would then hear itself. So a source has a name, always, and `broken`
    says when it has to be opened anew.
    """

    def __init__(
        self,
        fill: Callable[[Any, Any, bool], object],
        over: Callable[[], object],
        *,
        source: str,
        sink: str | None,
        follows: bool,
        rate: int,
        channels: int,
        block: int,
        playing: bool,
    ) -> None:
        self._fill, self._over, self._shape = fill, over, (block, channels)
        self._source, self._sink, self._playing = source, sink, playing
        self._follows, self._looked_at, self._news_at = follows, 0.0, -AFTER_S
        self._form = ["--raw", "--format=float32le", f"--rate={rate}", f"--channels={channels}"]
        self._form += ["--client-name=denoise-wrapper"]
        self._processes: list[subprocess.Popen[bytes]] = []
        self._said = b""
        self._room, self.gaps = 1 << 16, 0  # bytes of the pipe
        self.latency_s = (HEARD_MS + (PLAYED_MS if playing else 0)) / 1000 + block / rate

    def __enter__(self) -> Piped:
        self._news = self._begin(["pactl", "subscribe"], stdout=subprocess.PIPE)
        assert self._news.stdout is not None
        os.set_blocking(self._news.stdout.fileno(), False)
        hears = self._hears = self._begin(self._words("parec", self._source, HEARD_MS), stdout=subprocess.PIPE)
        words = self._words("pacat", self._sink, PLAYED_MS)
        plays = self._plays = self._begin(words, stdin=subprocess.PIPE) if self._playing else None
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

    @property
    def broken(self) -> str:
        """Why it has to be opened anew, "" if it has not: the sound server leads it elsewhere, or has another default.

        To be asked every now and then: it looks when the server has said that something changed.
        """
        now = time.monotonic()
        if now < self._looked_at + LOOK_S:
            return ""
        if self._has_news():
            self._news_at = now
        if now > self._news_at + AFTER_S:
            return ""
        self._looked_at = now
        with contextlib.suppress(DenoiseError):  # of a server that is gone, which ends the programs
            ways = [(self._hears, self._source, "sources"), (self._plays, self._sink, "sinks")]
            for program, wanted, kind in ways:
                if program and wanted and pulse.place_of(program.pid, kind) not in (wanted, None):
                    return GONE
            if self._follows and pulse.default_source() not in (self._source, None):
                return "the system has another microphone now; going over to it"
        return ""

    def _has_news(self) -> bool:
        """True if a source or sink is gone, or the defaults are others: a look costs time that sound needs."""
        assert self._news.stdout is not None
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._news.stdout.fileno(), 1 << 16):
                self._said = (self._said + data)[-(1 << 16) :]
        *lines, self._said = self._said.split(b"\n")
        return any(word in line for line in lines for word in NEWS)

    def _words(self, program: str, device: str | None, latency_ms: int) -> list[str]:
        words = [program, *self._form, f"--latency-msec={latency_ms}"]
        return words if device is None else [*words, f"--device={device}"]

    def _begin(self, words: list[str], **pipes: Any) -> subprocess.Popen[bytes]:
        # In a group of its own: Ctrl-C is for this program, which then ends them. But in its session, among which Linux
        # shares the processor: beside a busy one each of these would have to get along with a share of its own.
        process = subprocess.Popen(words, bufsize=0, stderr=subprocess.DEVNULL, process_group=0, **pipes)
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
