"""Sound devices by name or number."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise_wrapper.errors import ConfigError, DenoiseError, needs_package

Float32 = NDArray[np.float32]
GONE = "the sound device is gone; waiting for it"
STALLED_S = 1.0  # of sound that waits to be played
SERVER_S = 0.03  # of sound in the buffers of a sound server: with less there are gaps


def sounddevice(what: str) -> Any:
    """Import sounddevice. what: needs it, with its verb, as in "playing needs". Raises ConfigError if it is absent."""
    try:
        import sounddevice
    except ModuleNotFoundError as error:
        raise ConfigError(needs_package(what, error, "live")) from error
    except OSError as error:  # the library behind it is absent
        raise ConfigError(f"{what} PortAudio, the system's library (apt install libportaudio2): {error}") from error
    _hush()
    return sounddevice


@functools.cache
def _hush() -> object:
    """Keep ALSA's library from printing each gap on standard error: they are counted. Returns what has to live on."""
    if sys.platform != "linux":
        return None
    words = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p)
    nothing = words(lambda *_: None)
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libasound.so.2").snd_lib_error_set_handler(nothing)
    return nothing


@dataclass(frozen=True)
class Device:
    """A sound device. number: PortAudio's. inputs, outputs: channels, 0 for none. rate: Hz, its own."""

    number: int
    name: str
    system: str
    inputs: int
    outputs: int
    rate: int

    @property
    def direct(self) -> bool:
        """True for a device without a sound server in front of it, as far as its name says."""
        return sys.platform != "linux" or "(hw:" in self.name

    def line(self) -> str:
        """Describe it in a line of a list."""
        ways = [f"{count} {way}" for count, way in ((self.inputs, "in"), (self.outputs, "out")) if count]
        return f"{self.number:3}  {self.name} ({self.system}; {', '.join(ways)}; {self.rate} Hz)"


def list_devices() -> list[Device]:
    """List what PortAudio knows, as it is now. Raises ConfigError without PortAudio."""
    library = sounddevice("live needs")
    systems = library.query_hostapis()
    return [
        Device(
            number,
            each["name"],
            systems[each["hostapi"]]["name"],
            each["max_input_channels"],
            each["max_output_channels"],
            int(each["default_samplerate"]),
        )
        for number, each in enumerate(library.query_devices())
    ]


def find_device(wanted: str, way: str, devices: list[Device], others: Sequence[str] = ()) -> Device:
    """Find the device of a name, a part of it in any case, or a number. way: "inputs" or "outputs".

    Raises DenoiseError that names those that there are, and others, which are to be had elsewhere.
    """
    usable = [each for each in devices if getattr(each, way)]
    exact = [each for each in usable if wanted in (str(each.number), each.name)]
    close = [each for each in usable if wanted.lower() in each.name.lower()]
    if exact or close:
        return (exact or close)[0]
    option = "--input" if way == "inputs" else "--output"
    there = ", ".join([*(f"{each.number} {each.name}" for each in usable), *others]) or "none at all"
    raise DenoiseError(f"{option} {wanted}: there is no such sound device; there are {there}")


def look_again() -> None:
    """Have PortAudio look at what is plugged in: it does so only when it starts."""
    library = sounddevice("live needs")
    with contextlib.suppress(Exception):
        library._terminate()
    library._initialize()


class Between:
    """Blocks on their way from a device that hears to one that plays, each at its own pace.

    One thread puts, another takes. It waits for two blocks before it gives any, and again after it ran dry; what piles
    up is left out. gaps: times that either happened.
    """

    READY, MOST = 2, 8  # blocks

    def __init__(self, block: int, channels: int) -> None:
        self._block = block
        self._ring = np.zeros((2 * self.MOST * block, channels), np.float32)
        self._put = self._taken = self.gaps = 0  # frames ever
        self._running = False

    @property
    def waiting(self) -> int:
        """Frames that wait."""
        return self._put - self._taken

    def room(self) -> Float32:
        """Where the next block goes; it is there once `put` is called."""
        at = self._put % len(self._ring)
        return self._ring[at : at + self._block]

    def put(self) -> None:
        self._put += self._block

    def take(self, out: Float32) -> None:
        """Fill a block, with silence if there is none."""
        if not self._running and self.waiting >= self.READY * self._block:
            self._running = True
        if self.waiting > self.MOST * self._block:
            self._taken = self._put - self.READY * self._block
            self.gaps += 1
        if self._running and self.waiting < self._block:
            self._running = False
            self.gaps += 1
        if not self._running:
            out[:] = 0.0
            return
        at = self._taken % len(self._ring)
        out[:] = self._ring[at : at + self._block]
        self._taken += self._block


class Opened:
    """Devices that are open, and run within a `with` block. latency_s: seconds of all of them."""

    def __init__(self, streams: list[Any], between: Between | None, rate: int) -> None:
        self._streams, self._between, self._rate = streams, between, rate

    @property
    def latency_s(self) -> float:
        """Seconds that the devices add, as they say it, and what waits between them."""
        latencies = [stream.latency for stream in self._streams]
        said = sum(sum(each) if isinstance(each, tuple) else each for each in latencies)
        return float(said) + (0 if self._between is None else self._between.waiting / self._rate)

    @property
    def broken(self) -> str:
        """Why they have to be opened anew, "" if they have not.

        The one who plays takes nothing any more, as ALSA's way to a sound server does now and then.
        """
        return GONE if self._between is not None and self._between.waiting > STALLED_S * self._rate else ""

    @property
    def gaps(self) -> int:
        """Times that the one who plays had to wait for the one who hears, or the other way round."""
        return 0 if self._between is None else self._between.gaps

    def __enter__(self) -> Opened:
        try:
            for stream in self._streams:
                stream.start()
        except Exception as error:
            self.__exit__()
            raise DenoiseError(f"the sound devices cannot be started: {error}") from error
        return self

    def __exit__(self, *_: object) -> None:
        for stream in self._streams:
            with contextlib.suppress(Exception):
                stream.abort()
                stream.close()


def open_devices(
    fill: Callable[[Any, Any, bool], object],
    over: Callable[[], object],
    *,
    devices: tuple[int | None, int | None],
    rate: int,
    channels: int,
    block: int,
    playing: bool,
    apart: bool,
) -> Opened:
    """Open a device to hear, and one to play unless playing is False; not started yet.

    fill: called as fill(heard, to play or None, whether samples were lost) with float32 (block, channels). over: called
    when the devices give up. block: frames. apart: whether each goes at its own pace, as ALSA's way to a sound server
    loses most blocks of a pair. Raises DenoiseError if they cannot be had.
    """
    library = sounddevice("live needs")
    between = Between(block, channels) if apart and playing else None

    def both(heard: Any, played: Any, frames: int, time: Any, status: Any) -> None:
        fill(heard, played, bool(status))

    def hear(heard: Any, frames: int, time: Any, status: Any) -> None:
        if between is None:
            fill(heard, None, bool(status))
        else:
            fill(heard, between.room(), bool(status))
            between.put()

    def play(played: Any, frames: int, time: Any, status: Any) -> None:
        assert between is not None
        between.take(played)

    how = {"samplerate": rate, "blocksize": block, "channels": channels, "dtype": "float32", "finished_callback": over}
    how["latency"] = SERVER_S if apart else "low"
    try:
        if playing and not apart:
            return Opened([library.Stream(device=devices, callback=both, **how)], None, rate)
        streams = [library.InputStream(device=devices[0], callback=hear, **how)]
        if playing:
            streams.append(library.OutputStream(device=devices[1], callback=play, **how))
        return Opened(streams, between, rate)
    except (library.PortAudioError, ValueError) as error:
        raise DenoiseError(
            f"the sound devices cannot be opened with {channels} channel(s) at {rate} Hz: {error}"
        ) from error
