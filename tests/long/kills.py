"""Every verb of the command line is sent every signal, at many moments: when it ends, and what is left behind.

    python tests/long/kills.py [--verb NAME ...] [--signal INT ...] [--moments 6] [--seed 1]

A verb runs once to its end, which tells how long it takes; then, for each signal, it is sent one at moments that are
spread over that time by chance. Wrong is: an end later than a second (ten of a training, which saves, but one after
a second signal), a target that is neither the old file nor a whole new one, a part, a folder or a process that is left.
PIPE is sent once Python has imported the program: until then Python itself ignores it. After KILL parts may be left,
and wrong are those that the verb, run once more, has not removed. Exits with 1 if something is wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from sets import write_set
from training_packs import write_packs

import denoise_wrapper
from denoise_wrapper.atomic import is_part
from denoise_wrapper.backends.convert import read_any_model, write_model

SIGNALS = ("INT", "TERM", "HUP", "PIPE", "KILL")
TWICE = "twice"  # behind a signal's name: the second one has to end all within a second
OLD = b"precious"
RATE = 48000
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
    them, if it may overwrite. limit_s: seconds in which it has to end, but at a second signal.
    """

    name: str
    words: Sequence[str]
    targets: Sequence[str] = ()
    overwrite: bool = True
    limit_s: float = 1.0


@dataclass
class Outcome:
    """What became of a verb and a signal, over all moments."""

    moments: int = 0
    ended_before: int = 0
    slowest_s: float = 0.0
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
    """All verbs that end by themselves, with words that keep each busy for a while.

    But `listen`, for which keys are pressed, and `data blind`, of recordings that are not made by formula.
    """
    at = str(inputs)
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
        Verb("data telephone", ["data", "telephone", f"{at}/set", "-o", "tel"], ["tel/manifest.json"], overwrite=False),
        *(Verb(f"train {name}", ["train", name, "-C", f"{at}/{name}.toml"], limit_s=10.0) for name in FAMILIES),
    ]  # fmt: skip


def whole(path: Path) -> bool:
    """True for a file that can be read to its end."""
    content = path.read_bytes()
    if path.suffix in (".wav", ".flac"):
        return soundfile.info(path).frames > 0
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


class Place:
    """A folder to run verbs in, and one for their temporary files."""

    def __init__(self, inputs: Path, folder: Path) -> None:
        self.inputs, self.folder, self.scratch = inputs, folder / "work", folder / "tmp"

    def prepare(self, verb: Verb) -> None:
        """Begin with nothing but the old files."""
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
        environment = {**os.environ, "TMPDIR": str(self.scratch), "OMP_NUM_THREADS": "1", "PYTHONPATH": here}
        with open(self.inputs / "a.raw", "rb") as stdin:
            return subprocess.Popen(
                [sys.executable, "-m", "denoise_wrapper", *verb.words], cwd=self.folder, env=environment, stdin=stdin,
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )  # fmt: skip

    def left(self) -> list[str]:
        """Parts, and what lies in the folder of temporary files."""
        parts = [path for path in self.folder.rglob("*") if is_part(path)]
        parts += [path for path in self.inputs.rglob("*") if is_part(path)]
        mine = [path for path in self.scratch.iterdir() if path.name.startswith("denoise-")]
        return [str(path) for path in (*parts, *mine)]


def run_whole(place: Place, verb: Verb) -> float:
    """Run a verb to its end; returns the seconds that it takes. Raises RuntimeError if it fails."""
    place.prepare(verb)
    begin = time.monotonic()
    process = place.start(verb)
    said = process.communicate()[1]
    if process.returncode:
        raise RuntimeError(f"{verb.name} fails by itself: {said.decode()[-2000:]}")
    for target in verb.targets:
        if not all(map(whole, written := place.written(target))) or not written:
            raise RuntimeError(f"{verb.name} has not written {target}")
    return time.monotonic() - begin


def interrupt(place: Place, verb: Verb, name: str, moment_s: float, outcome: Outcome) -> None:
    """Send a verb a signal after so many seconds, and add what comes of it to outcome."""
    place.prepare(verb)
    process = place.start(verb)
    try:
        process.wait(moment_s)
        outcome.ended_before += 1
    except subprocess.TimeoutExpired:
        pass
    sent, limit_s = time.monotonic(), verb.limit_s
    number = getattr(signal, f"SIG{name.split()[0]}")
    process.send_signal(number)
    if name.endswith(TWICE):
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.3)
        sent, limit_s = time.monotonic(), 1.0
        process.send_signal(number)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        outcome.wrong.append(f"at {moment_s:.2f} s: still there after 30 s")
        process.kill()
    took = time.monotonic() - sent
    said = process.communicate()[1].decode(errors="replace")
    outcome.moments += 1
    outcome.codes.add(process.returncode)
    outcome.slowest_s = max(outcome.slowest_s, took)
    if took > limit_s:
        outcome.wrong.append(f"at {moment_s:.2f} s: ended after {took:.2f} s")
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
        elif whole(path):
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
    if name == "KILL" and (parts := [path for path in place.left() if is_part(Path(path))]):
        again = place.start(verb)
        said = again.communicate()[1].decode(errors="replace")
        if kept := [path for path in parts if Path(path).exists()]:
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
        f"slowest {outcome.slowest_s:5.2f} s; old {outcome.old}, new {outcome.new}; codes {sorted(outcome.codes)}; "
        f"{'; '.join(outcome.wrong) or 'nothing left'}"
    )


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
        chosen = [verb for verb in verbs(inputs) if not args.verb or verb.name in args.verb]
        place = Place(inputs, Path(name))
        outcomes = run_verbs(place, chosen, args.signal, args.moments, args.seed, lambda line: print(line, flush=True))
    wrong = sum(len(outcome.wrong) for outcome in outcomes.values())
    print(f"{sum(outcome.moments for outcome in outcomes.values())} signals, {wrong} of them with something wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
