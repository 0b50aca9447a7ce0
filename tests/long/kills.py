"""Every verb of the command line is sent every signal, at many moments: when it ends, and what is left behind.

    python tests/long/kills.py [--verb NAME ...] [--signal INT ...] [--moments 6] [--seed 1]

A verb runs once to its end, which tells how long it takes; then, for each signal, it is sent one at moments that are
spread over that time by chance. Wrong is: an end later than a second (ten of what saves or finishes: a training, a
recording, a server; but one after a second signal), a target that is neither the old file nor a whole new one, a part,
a folder, a process, a sound server's module or a terminal without echo that is left.
Of a second, what a thread of it waited for a core, as on a busy machine, does not count as late; it is told.
PIPE is sent once Python has imported the program: until then Python itself ignores it. After KILL parts may be left,
and wrong are those that the verb, run once more, has not removed. `live` and `listen` need PulseAudio, `data blind` the
recordings in DENOISE_WRAPPER_SHARED; without them these are said and left out. Exits with 1 if something is wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from sets import write_set
from sound_server import SoundServer
from training_packs import write_packs

import denoise_wrapper
from denoise_wrapper.atomic import is_part
from denoise_wrapper.backends.convert import read_any_model, write_model

SIGNALS = ("INT", "TERM", "HUP", "PIPE", "KILL")
CRASHES = [-getattr(signal, f"SIG{name}") for name in ("SEGV", "ABRT", "BUS", "FPE", "ILL") if os.name != "nt"]
TWICE = "twice"  # behind a signal's name: the second one has to end all within a second
OLD = b"precious"
RATE = 48000
SHARED = Path(os.environ.get("DENOISE_WRAPPER_SHARED", Path(__file__).resolve().parents[3] / "shared")) / "data"
MODULE = "denoise_wrapper_"  # in the names of a sound server's modules of ours
SOUNDS = ("live", "live mic", "listen")  # verbs that need a sound server
ROWS = (
    'kind = "rows"\nchannels = 6\nwidth = 4\nblocks = 1\nrows = 8\n'
    "recurrent_blocks = 1\nrecurrent_width = 4\nheads = 2\n"
)
FAMILIES = {
    "rnnoise": "[features]\nhours = 0.004\nvalidation_hours = 0.001\nprocesses = 2\nonline = false\n[network]\n"
    'family = "classic"\ndense = 4\nvad_gru = 3\nnoise_gru = 5\ndenoise_gru = 6\n[train]\nframes = 20\n',
    "dtln": "[validation]\nclips = 2\n[train]\nseconds = 0.5\nprocesses = 1\n",
    "enhancer": f"[body]\n{ROWS}[validation]\nclips = 2\n[train]\nseconds = 0.25\nprocesses = 1\n",
}
RUN = (
    'work_dir = "run"\n[data]\nspeech = ["{0}/speech"]\nnoise = ["{0}/noise"]\nvalidation = 0.3\n[mix]\nclip_s = 1.0\n'
)


@dataclass
class Verb:
    """A command, as it is run in a folder of its own.

    words: of the command line. targets: files that it makes, or patterns of such, which are there before, with OLD in
    them, if it may overwrite. limit_s: seconds in which it has to end, but at a second signal. lasts_s: seconds for
    which it is let run where it has no end of its own, None where it has. port: at which it serves, and is kept busy.
    terminal: whether it is given one. grows: whether a target is a recording, which is there from its first sample on.
    """

    name: str
    words: Sequence[str]
    targets: Sequence[str] = ()
    overwrite: bool = True
    limit_s: float = 1.0
    lasts_s: float | None = None
    port: int = 0
    terminal: bool = False
    grows: bool = False


@dataclass
class Outcome:
    """What became of a verb and a signal, over all moments."""

    moments: int = 0
    ended_before: int = 0
    slowest_s: float = 0.0
    slowest_alone_s: float = 0.0  # without the time for which a thread of it waited for a core
    old: int = 0
    new: int = 0
    wrong: list[str] = field(default_factory=list)
    codes: set[int] = field(default_factory=set)


def make_inputs(folder: Path, seconds: int = 40) -> None:
    """So many seconds of noise in a file, a set of two clips, packs for training, and settings of each family."""
    noise = np.random.default_rng(1).integers(-9000, 9000, seconds * RATE).astype(np.int16)
    soundfile.write(folder / "a.wav", noise, RATE)
    (folder / "a.raw").write_bytes(noise.tobytes())
    write_set(folder / "set", {"one": 5.0, "two": 10.0})
    write_packs(folder)
    write_model(read_any_model(None), folder / "small.dnnw")
    for name, settings in FAMILIES.items():
        shared = "steps = 60\nbatch = 2\nthreads = 1\nlog_every = 1\nevaluate_every = 5\nwarm_up = 2\n"
        (folder / f"{name}.toml").write_text(RUN.format(folder) + settings + shared)


def verbs(inputs: Path) -> list[Verb]:
    """All verbs, with words that keep each busy for a while."""
    at = str(inputs)
    port = free_port()
    raw = ["--rate", "48000", "--channels", "1", "--dtype", "int16"]
    data = [f"{at}/speech"]
    return [
        Verb("filter", ["filter", f"{at}/a.wav", "-o", "out.wav", "--overwrite", "-q"], ["out.wav"]),
        Verb("filter flac", ["filter", f"{at}/a.wav", "-o", "out.flac", "--overwrite", "-b", "dtln-16k"], ["out.flac"]),
        Verb("filter -", ["filter", "-", *raw]),
        Verb("filter folder", ["filter", f"{at}/speech", "-o", "cleaned", "-b", "dtln-16k", "--jobs", "2", "-q"], [
            f"cleaned/voice{number}.wav" for number in range(4)
        ], overwrite=False),
        Verb("batch", ["batch", f"{at}/speech", "-o", "cleaned", "-b", "dtln-16k", "--jobs", "2", "--resume", "-q"], [
            f"cleaned/voice{number}.wav" for number in range(4)
        ], overwrite=False),
        Verb("segments", ["segments", f"{at}/a.wav", "-o", "out.csv", "--overwrite"], ["out.csv"]),
        Verb("models list", ["models"]),
        Verb("models info", ["models", "info", "rnnoise"]),
        Verb("models wheel", ["models", "wheel", f"{at}/small.dnnw", "-o", "dist"], ["dist/*.whl"], overwrite=False),
        Verb("info", ["info"]),
        Verb("help", ["help", "filter"]),
        Verb("completion", ["completion", "bash"]),
        Verb("convert", ["convert", "rnnoise", "-o", "out.dnnw", "--overwrite"], ["out.dnnw"]),
        Verb("convert dtln", [
            "convert", f"{at}/dtln_1.onnx", f"{at}/dtln_2.onnx", "-o", "pair", "--name", "mine",
        ], ["pair/mine_1.onnx", "pair/mine_2.onnx"], overwrite=False),
        Verb("compare", [
            "compare", f"{at}/set/noisy", "-a", "rnnoise", "-b", "rnnoise-classic", "-o", "out.html", "--overwrite",
            "--jobs", "2", "-q",
        ], ["out.html"]),
        Verb("evaluate", [
            "evaluate", "--set", f"{at}/set", "--csv", "out.csv", "--json", "out.json", "--overwrite", "-q",
            "--jobs", "2",
        ], ["out.csv", "out.json"]),
        Verb("data check", ["data", "check", *data, "--csv", "out.csv", "--overwrite"], ["out.csv"]),
        Verb("data prepare", [
            "data", "prepare", "--speech", *data, "--noise", f"{at}/noise", "-o", "tables", "--overwrite",
        ], ["tables/speech.csv", "tables/noise.csv"]),
        Verb("data balance", [
            "data", "balance", *data, "--by", "voice", "--equal", "-o", "out.csv", "--overwrite",
        ], ["out.csv"]),
        Verb("data join", ["data", "join", *data, "-o", "out.wav", "--overwrite"], ["out.wav"]),
        Verb("data join dir", ["data", "join", *data, "-o", "joined"], ["joined/segments.csv"], overwrite=False),
        Verb("data features", [
            "data", "features", f"{at}/rnnoise.toml", "-o", "out.h5", "--rows", "6000", "--overwrite",
        ], ["out.h5"]),
        Verb("data mix", [
            "data", "mix", "--speech", *data, "--noise", f"{at}/noise", "-o", "mixed", "--clips", "40",
            "--seconds", "2",
        ], ["mixed/*/*.wav"], overwrite=False),
        Verb("data blind", [
            "data", "blind", "--speech", f"{SHARED}/speech", "--noise", f"{SHARED}/noise", "--rooms", f"{SHARED}/rir",
            "-o", "blind",
        ], ["blind/manifest.json", "blind/*/*.flac"], overwrite=False),
        Verb("data cleaned", [
            "data", "cleaned", *data, *data, "-o", "targets",
        ], ["targets/segments.csv"], overwrite=False),
        Verb("data telephone", ["data", "telephone", f"{at}/set", "-o", "tel"], ["tel/manifest.json"], overwrite=False),
        *(Verb(f"train {name}", ["train", name, "-C", f"{at}/{name}.toml"], limit_s=10.0) for name in FAMILIES),
        Verb("serve", ["serve", "--port", str(port), "--spool", ".", "--threads", "2"], [], limit_s=10.0,
             lasts_s=6.0, port=port),
        Verb("live", [
            "live", "--input", "room.monitor", "--output", "none", "--seconds", "5", "--record", "noisy.wav",
            "clean.wav",
        ], ["noisy.wav", "clean.wav"], overwrite=False, limit_s=10.0, grows=True),
        Verb("live mic", [
            "live", "--input", "room.monitor", "--virtual-mic", "Clean", "--seconds", "5",
        ], limit_s=10.0, terminal=True),
        Verb("listen", ["listen", f"{at}/set/noisy/one.wav"], terminal=True),
    ]  # fmt: skip


def free_port() -> int:
    """Find a port that nobody listens at."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def whole(path: Path, grows: bool = False) -> bool:
    """True for a file that can be read to its end. grows: whether it may be without a sample so far."""
    content = path.read_bytes()
    if path.suffix in (".wav", ".flac"):
        return soundfile.info(path).frames >= (0 if grows else 1)
    if path.suffix == ".json":
        return bool(json.loads(content))
    if path.suffix == ".whl":
        return zipfile.ZipFile(path).testzip() is None
    ends = {".html": b"</html>", ".c": b"};", ".csv": b"\n"}
    return bool(content) and content.rstrip(b"\n" if path.suffix != ".csv" else b"").endswith(
        ends.get(path.suffix, b"")
    )


def processes_of(session: int) -> list[int]:
    """Processes of a session that are still there, and no zombies."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, its = path.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(its) == session and state != "Z":
            found.append(int(path.parent.name))
    return found


def answers(port: int) -> bool:
    """True where somebody listens at a port of this machine."""
    try:
        socket.create_connection(("127.0.0.1", port), 1.0).close()
    except OSError:
        return False
    return True


class Terminal:
    """A terminal whose screen nobody looks at."""

    def __init__(self) -> None:
        self._main, self.side = os.openpty()
        self._before = self._settings()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # as Linux says that nobody has it any more
            while os.read(self._main, 4096):
                pass
        os.close(self._main)

    def _settings(self) -> list[Any]:
        import termios  # which Windows has not

        return termios.tcgetattr(self.side)

    def changed(self) -> bool:
        """True where it is not as it was: keys are not shown, or lines not waited for."""
        return self._settings() != self._before

    def close(self) -> None:
        os.close(self.side)


class Clients:
    """A server's, which give it no rest until they are closed: files, an upload that never ends, and a stream."""

    def __init__(self, port: int, audio: bytes) -> None:
        self._port, self._audio, self._ended = port, audio, threading.Event()
        asked = (self._file, self._slow, self._stream)
        self._threads = [threading.Thread(target=self._again, args=(each,)) for each in asked]
        for thread in self._threads:
            thread.start()

    def _again(self, ask: Callable[[], None]) -> None:
        while not self._ended.wait(0.05):
            with contextlib.suppress(Exception):  # whatever a server that ends makes of it
                ask()

    def _file(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        with contextlib.closing(connection):
            connection.request("POST", "/v1/denoise", self._audio)
            connection.getresponse().read()

    def _slow(self) -> None:
        with socket.create_connection(("127.0.0.1", self._port), 30) as connection:
            connection.sendall(b"POST /v1/denoise HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000000\r\n\r\n")
            while not self._ended.wait(0.02):
                connection.sendall(self._audio[:10000])

    def _stream(self) -> None:
        from websockets.sync.client import connect

        address = f"ws://127.0.0.1:{self._port}/v1/stream"
        with connect(address, compression=None, max_size=None, proxy=None) as client:
            client.send(json.dumps({"type": "start", "sample_rate": RATE}))
            while not self._ended.wait(0.01):
                client.send(bytes(4 * RATE // 100))
                client.recv(timeout=30)

    def close(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()


class Place:
    """A folder to run verbs in, and one for their temporary files. sound: a server of sounds, None for none."""

    def __init__(self, inputs: Path, folder: Path, sound: SoundServer | None = None) -> None:
        self.inputs, self.folder, self.scratch, self.sound = inputs, folder / "work", folder / "tmp", sound
        self._beside = contextlib.ExitStack()
        self._terminal: Terminal | None = None

    def prepare(self, verb: Verb) -> None:
        """Begin with nothing but the old files."""
        self.close()
        for folder in (self.folder, self.scratch):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        for target in verb.targets if verb.overwrite else ():
            (self.folder / target).parent.mkdir(exist_ok=True)
            (self.folder / target).write_bytes(OLD)

    def written(self, target: str) -> list[Path]:
        """Files that a target of a verb stands for: it, or those of its pattern that are there."""
        return sorted(self.folder.glob(target)) if "*" in target else [self.folder / target]

    def start(self, verb: Verb) -> subprocess.Popen[bytes]:
        """Run a verb in a session of its own, with INT as a terminal would have it."""
        here = str(Path(denoise_wrapper.__file__).parents[1])
        environment: Mapping[str, str] = os.environ
        if verb.name in SOUNDS and self.sound is not None:
            environment = self.sound.environment
        environment = {**environment, "TMPDIR": str(self.scratch), "OMP_NUM_THREADS": "1", "PYTHONPATH": here}
        if verb.port:
            self._beside.enter_context(contextlib.closing(Clients(verb.port, (self.inputs / "a.wav").read_bytes())))
        if verb.terminal:
            self._terminal = self._beside.enter_context(contextlib.closing(Terminal()))
        screen = subprocess.DEVNULL if self._terminal is None else self._terminal.side
        with open(self.inputs / "a.raw", "rb") as stdin:
            return subprocess.Popen(
                [sys.executable, "-m", "denoise_wrapper", *verb.words], cwd=self.folder, env=environment,
                stdin=stdin if self._terminal is None else screen, stdout=screen, stderr=subprocess.PIPE,
                start_new_session=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )  # fmt: skip

    def run_whole(self, verb: Verb) -> tuple[int, str]:
        """Run a verb to its end, or as long as it lasts; returns its exit code and what it said."""
        process = self.start(verb)
        if verb.lasts_s is not None:
            while verb.port and process.poll() is None and not answers(verb.port):
                time.sleep(0.1)
            time.sleep(verb.lasts_s)
            process.terminate()
        said = process.communicate()[1]
        return process.returncode, said.decode(errors="replace")

    def left(self) -> list[str]:
        """Parts, what lies in the folder of temporary files, and modules of the server of sounds."""
        parts = [path for path in self.folder.rglob("*") if is_part(path)]
        parts += [path for path in self.inputs.rglob("*") if is_part(path)]
        mine = [path for path in self.scratch.iterdir() if path.name.startswith("denoise-")]
        modules = [] if self.sound is None else self.sound.pactl("list", "short", "modules").stdout.splitlines()
        return [*(str(path) for path in (*parts, *mine)), *(line for line in modules if MODULE in line)]

    def has_changed_terminal(self) -> bool:
        """True where a verb has left its terminal another one than it was."""
        return self._terminal is not None and self._terminal.changed()

    def close(self) -> None:
        """End what was beside the verb."""
        self._beside.close()
        self._terminal = None


def run_whole(place: Place, verb: Verb) -> float:
    """Run a verb to its end; returns the seconds that it takes. Raises RuntimeError if it fails."""
    place.prepare(verb)
    begin = time.monotonic()
    code, said = place.run_whole(verb)
    if code:
        raise RuntimeError(f"{verb.name} fails by itself: {said[-2000:]}")
    for target in verb.targets:
        if not all(map(whole, written := place.written(target))) or not written:
            raise RuntimeError(f"{verb.name} has not written {target}")
    return time.monotonic() - begin


def queueing(process: int) -> dict[str, float]:
    """Seconds for which each thread of a process could have run and had no core so far, where Linux tells."""
    found = {}
    for path in Path(f"/proc/{process}/task").glob("*/schedstat"):
        with contextlib.suppress(OSError, ValueError):
            found[path.parent.name] = int(path.read_text().split()[1]) / 1e9
    return found


def interrupt(place: Place, verb: Verb, name: str, moment_s: float, outcome: Outcome) -> None:
    """Send a verb a signal after so many seconds, and add what comes of it to outcome."""
    place.prepare(verb)
    process = place.start(verb)
    try:
        process.wait(moment_s)
        outcome.ended_before += 1
    except subprocess.TimeoutExpired:
        pass
    sent, limit_s, queued = time.monotonic(), verb.limit_s, queueing(process.pid)
    number = getattr(signal, f"SIG{name.split()[0]}")
    process.send_signal(number)
    if name.endswith(TWICE):
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.3)
        sent, limit_s, queued = time.monotonic(), 1.0, queueing(process.pid)
        process.send_signal(number)
    waited_s = 0.0
    while process.poll() is None and time.monotonic() < sent + 30:
        waits = [since - queued.get(thread, 0.0) for thread, since in queueing(process.pid).items()]
        waited_s = max([waited_s, *waits])
        time.sleep(0.005)
    took = time.monotonic() - sent
    if process.poll() is None:
        outcome.wrong.append(f"at {moment_s:.2f} s: still there after 30 s")
        process.kill()
    said = process.communicate()[1].decode(errors="replace")
    outcome.moments += 1
    outcome.codes.add(process.returncode)
    outcome.slowest_s = max(outcome.slowest_s, took)
    if process.returncode in CRASHES:
        crash = signal.Signals(-process.returncode).name
        outcome.wrong.append(f"at {moment_s:.2f} s: {crash}; it said {said[-200:]!r}")
    outcome.slowest_alone_s = max(outcome.slowest_alone_s, took - waited_s)
    if (took if limit_s > 1.0 else took - waited_s) > limit_s:
        outcome.wrong.append(f"at {moment_s:.2f} s: ended after {took:.2f} s, {waited_s:.2f} of them without a core")
    judge(place, verb, name, moment_s, outcome, process.pid, said)


def judge(place: Place, verb: Verb, name: str, moment_s: float, outcome: Outcome, session: int, said: str) -> None:
    """Look at what is left."""
    where = f"at {moment_s:.2f} s"
    for path in (path for target in verb.targets for path in place.written(target)):
        target = path.relative_to(place.folder)
        if not path.exists() or path.read_bytes() == OLD:
            outcome.old += 1
            if verb.overwrite and not path.exists():
                outcome.wrong.append(f"{where}: the old {target} is gone")
        elif whole(path, verb.grows):
            outcome.new += 1
        else:
            outcome.wrong.append(f"{where}: {target} is half-written")
    deadline = time.monotonic() + 2.0
    while (processes := processes_of(session)) and time.monotonic() < deadline:
        time.sleep(0.05)
    if processes:
        outcome.wrong.append(f"{where}: {len(processes)} processes are left")
        os.killpg(session, signal.SIGKILL)
    if name != "KILL" and place.left():
        outcome.wrong.append(f"{where}: left are {place.left()}; it said {said[-200:]!r}")
    if name != "KILL" and place.has_changed_terminal():
        outcome.wrong.append(f"{where}: the terminal is not as it was")
    if name == "KILL" and (parts := [left for left in place.left() if is_part(Path(left)) or MODULE in left]):
        place.close()
        _, said = place.run_whole(verb)
        if kept := [left for left in place.left() if left in parts]:
            outcome.wrong.append(f"{where}: the next run has left {kept}; it said {said[-200:]!r}")


def moments(seconds: float, count: int, rng: random.Random) -> Iterator[float]:
    """Moments of a run of so many seconds, one in each part of it, by chance."""
    for number in range(count):
        yield (number + rng.random()) * seconds / count


def run_verbs(
    place: Place, chosen: Sequence[Verb], signals: Sequence[str], count: int, seed: int,
    tell: Callable[[str], object] = print,
) -> dict[tuple[str, str], Outcome]:  # fmt: skip
    """Send every verb every signal; tell: is given a line of each."""
    outcomes: dict[tuple[str, str], Outcome] = {}
    rng = random.Random(seed)
    start_s = 1.5 * run_whole(place, Verb("version", ["--version"]))
    for verb in chosen:
        seconds = run_whole(place, verb)
        again = [f"{name} {TWICE}" for name in signals if name in ("INT", "TERM") and verb.limit_s > 1.0]
        for name in (*signals, *again):
            outcome = outcomes[verb.name, name] = Outcome()
            early = start_s if name == "PIPE" else 0.0
            for moment in moments(max(0.0, seconds - early), count, rng):
                interrupt(place, verb, name, early + moment, outcome)
            tell(told(verb.name, name, seconds, outcome))
    return outcomes


def told(verb: str, name: str, seconds: float, outcome: Outcome) -> str:
    """A line of the table."""
    return (
        f"{verb:<16}{name:<11}{outcome.moments:3} moments of {seconds:5.1f} s, {outcome.ended_before} after the end; "
        f"slowest {outcome.slowest_s:5.2f} s, {outcome.slowest_alone_s:5.2f} but for waits for a core; "
        f"old {outcome.old}, new {outcome.new}; codes {sorted(outcome.codes)}; "
        f"{'; '.join(outcome.wrong) or 'nothing left'}"
    )


def start_sound(folder: Path) -> SoundServer | None:
    """A PulseAudio, which PortAudio finds by ALSA; None where there is none."""
    program = shutil.which("pulseaudio")
    if program is None or shutil.which("pactl") is None:
        return None
    folder.mkdir()
    (folder / ".asoundrc").write_text("pcm.!default { type pulse }\nctl.!default { type pulse }\n")
    server = SoundServer(folder, program)
    server.start()
    return server


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--verb", nargs="+", help="names, as the table has them")
    parser.add_argument("--signal", nargs="+", default=list(SIGNALS), choices=SIGNALS)
    parser.add_argument("--moments", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        inputs = Path(name) / "inputs"
        inputs.mkdir()
        make_inputs(inputs)
        models = Path(__file__).parents[2] / "denoise_wrapper/models"
        for stage in (1, 2):
            shutil.copy(models / f"dtln-16k_{stage}.onnx", inputs / f"dtln_{stage}.onnx")
        sound = start_sound(Path(name) / "sound")
        missing = [*(SOUNDS if sound is None else ()), *(() if SHARED.is_dir() else ("data blind",))]
        chosen = [verb for verb in verbs(inputs) if not args.verb or verb.name in args.verb]
        if out := [verb.name for verb in chosen if verb.name in missing]:
            print(f"left out, for want of PulseAudio or of recordings: {', '.join(out)}")
        with contextlib.closing(Place(inputs, Path(name), sound)) as place:
            outcomes = run_verbs(
                place, [verb for verb in chosen if verb.name not in missing], args.signal, args.moments, args.seed,
                lambda line: print(line, flush=True),
            )  # fmt: skip
        if sound is not None:
            sound.stop()
    wrong = sum(len(outcome.wrong) for outcome in outcomes.values())
    print(f"{sum(outcome.moments for outcome in outcomes.values())} signals, {wrong} of them with something wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
