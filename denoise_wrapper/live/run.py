"""From a microphone to headphones, a file or another program, until the key q; what is unplugged is waited for."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from denoise_wrapper.errors import ConfigError, DenoiseError
from denoise_wrapper.live import pulse
from denoise_wrapper.live.devices import GONE, Device, Opened, find_device, list_devices, look_again, open_devices
from denoise_wrapper.live.pipes import Piped, server_is_there
from denoise_wrapper.live.session import Session

if TYPE_CHECKING:
    from denoise_wrapper.stream.stream import Stream

SILENT_S = 2.0  # without a block, after which the device is taken for gone
AGAIN_S = 1.0  # between two tries to have it back
TICK_S = 0.1
LIMIT_DB = 3.0  # of a key
MOST_DB = 60.0
CABLES = ("BlackHole", "CABLE Input")  # devices of others that stand for a virtual microphone on macOS and Windows


@dataclass(frozen=True)
class Wiring:
    """Where sound comes from and goes to.

    input: a device, or a source of the sound server; None for the system's. output: a device; "none" for none; None
    for the system's. virtual: the name of a virtual microphone to play into; None for none. block: frames at a time.
    """

    input: str | None = None
    output: str | None = None
    virtual: str | None = None
    block: int = 0


class Rig:
    """Opens the devices of a session, and opens them again. say: called with what the user should know."""

    def __init__(self, session: Session, wiring: Wiring, say: Callable[[str], object]) -> None:
        self.session, self._wiring, self._say = session, wiring, say
        self._gone = threading.Event()
        self._stack, self._kept = contextlib.ExitStack(), contextlib.ExitStack()  # devices; the virtual microphone
        self._microphone: pulse.VirtualMicrophone | None = None
        self._followed: str | None = None  # the sound server's own choice of a source, as it was last
        self.opened: Opened | Piped | None = None
        self.lost, self._again = False, 0.0
        self._gaps = 0  # of devices that were open before

    def open(self) -> None:
        """Open all. Raises DenoiseError."""
        wiring, stream = self._wiring, self.session.stream
        form: dict[str, Any] = {"rate": stream.sample_rate, "channels": stream.channels, "block": wiring.block}
        form["playing"] = wiring.output != "none"
        self._gone.clear()
        self.session.last = time.monotonic()
        with contextlib.ExitStack() as stack:
            places = self._places()
            if places is not None:
                source, sink = places
                if wiring.virtual is not None:
                    sink = self._sink_of_microphone(wiring.virtual)
                form |= {"source": source, "sink": sink, "follows": wiring.input is None}
                opened: Any = Piped(self.session.fill, self._gone.set, **form)
            else:
                if self.lost:
                    look_again()
                numbers = self._numbers()
                known: dict[Any, bool] = {each.number: each.direct for each in list_devices()}
                apart = not all(known.get(number, sys.platform != "linux") for number in numbers)
                opened = open_devices(self.session.fill, self._gone.set, devices=numbers, apart=apart, **form)
            self.opened = stack.enter_context(opened)
            self._stack = stack.pop_all()

    def close(self) -> None:
        """Close all, and undo the virtual microphone."""
        for each in (self._stack, self._kept):
            with contextlib.suppress(Exception):
                each.close()

    def _sink_of_microphone(self, name: str) -> str:
        """Make the virtual microphone, unless it is there: a meeting keeps it while devices come and go."""
        if self._microphone is None or not pulse.is_there(self._microphone.sink):
            self._kept.close()
            stream = self.session.stream
            made = pulse.virtual_microphone(name, stream.sample_rate, stream.channels)
            self._microphone = self._kept.enter_context(made)
        return self._microphone.sink

    def watch(self) -> None:
        """Have devices back that are gone: to be called every now and then."""
        now = time.monotonic()
        if self.lost:
            if now < self._again:
                return
            self._again = now + AGAIN_S
            try:
                self.open()
            except DenoiseError:
                return
            self.lost = False
            self._say("the sound device is back")
        elif why := self._broken(now):
            self.lost, self._again = True, now + AGAIN_S
            self._say(why)
            with contextlib.suppress(Exception):
                self._stack.close()
            self._gaps, self.opened = self.xruns - self.session.xruns, None

    def _broken(self, now: float) -> str:
        """Why devices have to be opened anew, "" if they have not."""
        if self._gone.is_set() or now - self.session.last > SILENT_S:
            return GONE
        return "" if self.opened is None else self.opened.broken

    @property
    def latency_s(self) -> float:
        """Seconds from the microphone to the ear, as the devices say it."""
        devices = 0.0 if self.opened is None else self.opened.latency_s
        return devices + self.session.stream.latency_seconds

    @property
    def xruns(self) -> int:
        """Times that samples were lost."""
        return self.session.xruns + self._gaps + (0 if self.opened is None else self.opened.gaps)

    def _places(self) -> tuple[str, str | None] | None:
        """Names of the sound server's source and sink; None where PortAudio is to be asked."""
        wiring = self._wiring
        wants = wiring.virtual is not None and sys.platform == "linux"
        if sys.platform != "linux" or not server_is_there():
            if wants:
                pulse.pactl("info")  # which says what is wrong
                raise ConfigError("a virtual microphone needs parec and pacat (apt install pulseaudio-utils)")
            return None
        source: str | None
        if wiring.input is None:
            source = self._followed = pulse.microphone(self._followed)
        else:
            source = pulse.find_place(wiring.input, "sources")
        sink = None if wiring.output in (None, "none") else pulse.find_place(str(wiring.output), "sinks")
        if source is None or (wiring.output not in (None, "none") and sink is None):
            if wants:
                there = "; ".join(pulse.place_lines("sources"))
                raise ConfigError(f"--input {wiring.input}: the sound server has no such source; there are {there}")
            return None
        return source, sink

    def _numbers(self) -> tuple[int | None, int | None]:
        """PortAudio's devices."""
        wiring, devices = self._wiring, list_devices()
        heard = played = None
        if wiring.input is not None:
            heard = find_device(wiring.input, "inputs", devices, pulse.place_lines("sources")).number
        if wiring.virtual is not None:
            played = _cable(devices)
        elif wiring.output not in (None, "none"):
            played = find_device(str(wiring.output), "outputs", devices, pulse.place_lines("sinks")).number
        return heard, played


def _cable(devices: list[Device]) -> int:
    for name in CABLES:
        with contextlib.suppress(DenoiseError):
            return find_device(name, "outputs", devices).number
    raise ConfigError(
        "a virtual microphone needs another program's device here: BlackHole on macOS, VB-Cable on Windows; install "
        "it, and choose it as the microphone in the meeting"
    )


class Desk:
    """What the keys do. backends: that a key goes through, loaded."""

    HELP = "space: bypass   + -: stronger, weaker   n: next backend   m: mute   q: end"

    def __init__(self, session: Session, backends: list[Any]) -> None:
        self._session, self._backends = session, backends
        self._at = 0
        self.limit_db = session.stream.settings.atten_lim_db
        self.backend = session.stream.backend.name

    def steer(self, key: str) -> bool:
        """Do what a key asks for. False for the end."""
        session = self._session
        if key == " ":
            session.clean = not session.clean
        elif key == "m":
            session.muted = not session.muted
        elif key in ("+", "="):
            self._limit(
                None if self.limit_db is None or self.limit_db + LIMIT_DB > MOST_DB else self.limit_db + LIMIT_DB
            )
        elif key == "-":
            self._limit(MOST_DB if self.limit_db is None else max(0.0, self.limit_db - LIMIT_DB))
        elif key == "n" and len(self._backends) > 1:
            self._at = (self._at + 1) % len(self._backends)
            backend = self._backends[self._at]
            session.wishes.append(lambda stream: stream.switch(backend))
            self.backend = backend.name
        return key != "q"

    def _limit(self, limit_db: float | None) -> None:
        self.limit_db = limit_db
        self._session.wishes.append(lambda stream: stream.limit(limit_db))

    def line(self, rig: Rig) -> str:
        """The status, in a line."""
        session = self._session
        before, after = session.levels_db
        times = session.times()
        marks = [self.backend, "all" if self.limit_db is None else f"{self.limit_db:g} dB at most"]
        marks += ["NO DEVICE"] if rig.lost else []
        marks += [] if session.clean else ["BYPASS"]
        marks += ["MUTE"] if session.muted else []
        voice = f"speech {100 * session.speech:3.0f} %  " if session.stream.backend.has_vad else ""
        return (
            f"in {before:4.0f} dB  out {after:4.0f} dB  {voice}{times.p50:.2f} ms, p99 {times.p99:.2f}  "
            f"latency {1e3 * rig.latency_s:.0f} ms  xruns {rig.xruns}  [{', '.join(marks)}]"
        )


def run_live(
    rig: Rig,
    desk: Desk,
    *,
    keys: Callable[[float], str] | None,
    show: Callable[[str], object],
    say: Callable[[str], object],
    seconds: float | None = None,
) -> None:
    """Run until the key q, or for so many seconds. keys: as `keyboard` gives them, None for none.

    show: called with the status. say: with what happens. Raises DenoiseError.
    """
    session = rig.session
    said: object = None
    try:
        rig.open()
        end = float("inf") if seconds is None else time.monotonic() + seconds
        while time.monotonic() < end:
            show(desk.line(rig))
            if keys is None:
                time.sleep(TICK_S)
            elif not desk.steer(keys(TICK_S)):
                break
            rig.watch()
            for error in (session.error, session.recorder and session.recorder.error):
                if error is not None and str(error) != said:
                    said = str(error)
                    say(said)
    finally:
        rig.close()


def summary(session: Session, rig: Rig) -> str:
    """What to say in the end."""
    times, rate = session.times(), session.stream.sample_rate
    lost = 0 if session.recorder is None else session.recorder.lost
    return (
        f"{session.frames / rate:.0f} s in {session.blocks} blocks: {times.p50:.2f} ms a block, "
        f"p99 {times.p99:.2f}, p99.9 {times.p999:.2f}, worst {times.worst:.2f}; {rig.xruns} xruns"
        + (f"; {lost / rate:.1f} s not recorded, as the disk was too slow" if lost else "")
    )


def open_stream(denoisers: list[Any], rate: int | None, channels: int) -> Stream:
    """Open a stream of the first of these denoisers, late enough that any of the others can take its place."""
    first = denoisers[0]
    latency = max(each.latency(rate or first.backend.sample_rate) for each in denoisers)
    stream: Stream = first.stream(rate, channels, latency)
    return stream
