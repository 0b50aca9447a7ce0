"""A deck on the default sound device, and the keys that steer it."""

from __future__ import annotations

import contextlib
import os
import select
import sys
from collections.abc import Callable, Iterator
from typing import Any

from denoise_wrapper.errors import DenoiseError
from denoise_wrapper.live.deck import Deck
from denoise_wrapper.live.devices import sounddevice

TICK_S = 0.1  # after which it is looked again if all has been played


def play(deck: Deck, keys: Callable[[float], str], show: Callable[[Deck], None]) -> None:
    """Play until the end or the key q; space switches, b and f go back and forward by 2 s.

    keys: called with seconds, returns the key pressed within them, "" if none was. show: called after each.
    Raises ConfigError if sounddevice is not installed, DenoiseError if there is no device.
    """
    library = sounddevice("playing needs")

    def fill(out: Any, frames: int, *_: Any) -> None:
        out[:] = deck.read(frames)

    channels = deck.versions[0].shape[1]
    try:
        stream = library.OutputStream(deck.rate, channels=channels, dtype="float32", callback=fill)
    except library.PortAudioError as error:
        raise DenoiseError(
            f"there is no sound device to play {channels} channel(s) at {deck.rate} Hz: {error}"
        ) from error
    with stream:
        while not deck.done and steer(deck, keys(TICK_S)):
            show(deck)


def steer(deck: Deck, key: str) -> bool:
    """Do what a key asks for. False for the end."""
    if key == " ":
        deck.switch()
    elif key in ("b", "f"):
        deck.seek(2.0 if key == "f" else -2.0)
    return key != "q"


@contextlib.contextmanager
def keyboard() -> Iterator[Callable[[float], str]]:
    """Read single keys from the terminal: yields a function of seconds to wait that returns the key, "" for none."""
    if os.name == "nt":
        import msvcrt
        import time

        def read(seconds: float) -> str:
            time.sleep(seconds)
            return str(msvcrt.getwch()) if msvcrt.kbhit() else ""  # type: ignore[attr-defined]

        yield read
        return
    import termios
    import tty

    def read_posix(seconds: float) -> str:
        ready, _, _ = select.select([sys.stdin], [], [], seconds)
        return os.read(sys.stdin.fileno(), 1).decode("ascii", "ignore") if ready else ""

    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setcbreak(sys.stdin)
        yield read_posix
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
