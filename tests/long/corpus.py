"""A corpus made by formula, and what `batch` does with it: overhead, --resume, memory, scale, faults.

    python tests/long/corpus.py make WORK --clips 10000 --least 2 --most 20 --long 10800
    python tests/long/corpus.py overhead WORK --clips 300 --backend dtln-16k [--ray]
    python tests/long/corpus.py resume WORK [--ray]            # all clips, memory, and --resume
    python tests/long/corpus.py finished WORK --clips 10000    # --resume where all is done already
    python tests/long/corpus.py ledger WORK --clips 10000      # what the manifest costs for each file
    python tests/long/corpus.py workers WORK 1 2               # by Ray; and what leading costs for each file
    python tests/long/corpus.py calls WORK --clips 20000       # what a call of Ray costs the process that leads
    python tests/long/corpus.py faults WORK --seconds 300      # two nodes of Ray, killed workers, a node that goes
    python tests/long/corpus.py storage WORK --kind az [--ray] # emulated, behind a proxy that fails; s3, gs or az

WORK gets `clips`, and results beside it. Every figure is of one machine at one time: compare within a run only.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
RATE = 16000
BROKEN = 100  # one file in so many is no audio


def make(folder: Path, clips: int, least: float, most: float, long_s: float) -> None:
    """Clips of a voice made of harmonics under noise, in folders of 1000; some that are broken; one that is long.

    Each is a piece of one of fifty minutes, from a sample of its own on.
    """
    rng = np.random.default_rng(7)
    minutes = [np.rint(32767 * clip(60.0, seed)).astype(np.int16) for seed in range(50)]
    lengths = rng.uniform(least, most, clips)
    for number, length in enumerate(lengths):
        path = folder / f"{number // 1000:03}" / f"{number:06}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        if number % BROKEN == BROKEN - 1:
            path.write_bytes(b"RIFF" + rng.bytes(200))
        else:
            begin = rng.integers(round((60.0 - length) * RATE))
            soundfile.write(path, minutes[number % 50][begin : begin + round(length * RATE)], RATE, subtype="PCM_16")
    if long_s:
        with soundfile.SoundFile(folder / "long.wav", "w", RATE, 1, "PCM_16") as file:
            for part in range(int(long_s / 60)):
                file.write(minutes[part % 50])
    print(f"{clips} clips, {lengths.sum() / 3600:.2f} h, and one of {long_s / 3600:.2f} h in {folder}")


def clip(seconds: float, seed: int) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(seed)
    at = np.arange(round(seconds * RATE)) / RATE
    pitch = 90 + 60 * rng.random() + 20 * np.sin(2 * np.pi * 0.7 * at)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    voice = sum(np.sin(k * phase) / k for k in range(1, 8)) * np.maximum(0, np.sin(2 * np.pi * 2.1 * at))
    return 0.1 * voice + 0.02 * rng.standard_normal(len(at))


@dataclass
class Run:
    """What a verb took and said. took: seconds by the clock. own: of the processor, by the process itself.

    used: (time, seconds of the processor until then by the process and all that Ray has started for it), every
    twentieth of a second. resident: its memory in MB, likewise; cleaning: most of a worker of Ray, every second.
    """

    took: float
    code: int
    said: str
    own: float
    used: list[tuple[float, float]]
    resident: list[int]
    cleaning: list[int]

    def within(self, begin: float, end: float) -> float:
        """Seconds of the processor between two times."""
        first = max((used for when, used in self.used if when <= begin), default=0.0)
        return max((used for when, used in self.used if when <= end), default=0.0) - first

    def told(self) -> str:
        return f"{self.took:.2f} s, {self.flat(self.resident)}, exit {self.code}: {self.said.strip()[-200:]}"

    def flat(self, found: list[int]) -> str:
        """Memory while it ran: at a tenth, the half and nine tenths of its time, and the most."""
        if not found:
            return "no memory seen"
        at = [found[len(found) * tenth // 10] for tenth in (1, 5, 9)]
        return f"{at[0]}, {at[1]}, {at[2]} MB, peak {max(found)}"


def run(*words: object) -> Run:
    """Run a verb of the command."""
    from ray_nodes import cleaners

    begin = time.perf_counter()
    verb = [sys.executable, "-m", "denoise_wrapper", *map(str, words)]
    with subprocess.Popen(verb, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        done = Run(0.0, 0, "", 0.0, [], [], [])
        others: dict[int, float] = {}
        text: list[str] = []
        reader = threading.Thread(target=lambda: text.append(process.stderr.read()))  # type: ignore[union-attr]
        reader.start()
        while process.poll() is None:
            done.resident += _resident(process.pid)
            done.own = max(done.own, _processor(process.pid))
            if "--ray" in words and len(done.resident) % 20 == 0:
                done.cleaning += [max((_resident(pid) for pid in cleaners()), default=[0])[0]]
                others = dict.fromkeys(_below(process.pid), 0.0) | others
            others = {pid: max(used, _processor(pid)) for pid, used in others.items()}
            done.used.append((time.time(), done.own + sum(others.values())))
            time.sleep(0.05)
        reader.join()
    done.took, done.code, done.said = time.perf_counter() - begin, process.returncode, text[0]
    return done


def _resident(pid: int) -> list[int]:
    try:
        return [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 >> 20]
    except (OSError, IndexError):
        return []


def _below(pid: int) -> list[int]:
    """Processes that a process has started, and those that they have: by Ray its workers and what serves them."""
    parents: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, IndexError):
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            parents.setdefault(parent, []).append(int(path.parent.name))
    found = [pid]
    for each in found:
        found += parents.get(each, [])
    return found[1:]


def _processor(pid: int) -> float:
    """Seconds of processor that a process has taken itself."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError):
        return 0.0


def fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*.wav") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def started(said: str) -> float:
    """Seconds that a run said it took to start."""
    match = re.search(r"([\d.]+) (ms|s|min)(?: (\d+) s)? to start", said)
    assert match is not None, said
    number = float(match[1]) * {"ms": 1e-3, "s": 1.0, "min": 60.0}[match[2]]
    return number + float(match[3] or 0)


def overhead(work: Path, clips: int, backend: str, rounds: int, ray: bool) -> None:
    """The same clips by `filter` and by `batch`, in turns: time by the clock and of the processor for each of them.

    Without the start: of `filter` less a run of one clip, of `batch` from the moment on at which each worker has ended
    a file, by its manifest. It takes the longest clips first: make all equally long.
    """
    few = some(work, clips, broken=False)
    one = _made(fresh(work / "one"))
    first = min(few.iterdir())
    os.link(first, one / first.name)
    kinds: dict[str, list[object]] = {"filter": []} | ({"batch --ray local": ["--ray", "local"]} if ray else {})
    kinds["batch"] = []
    took: dict[str, list[float]] = {name: [] for name in kinds}
    cpu: dict[str, list[float]] = {name: [] for name in kinds}
    verbs = {name: [name.split()[0], *words, "--jobs", 2, "-b", backend, "-o"] for name, words in kinds.items()}
    base = run(*verbs["filter"], fresh(work / "out"), one)
    for _ in range(rounds):
        for name, verb in verbs.items():
            whole = run(*verb, fresh(work / "out"), few)
            assert whole.code == 0, whole.said
            if name == "filter":
                seconds, used = (whole.took - base.took) / (clips - 1), (whole.own - base.own) / (clips - 1)
            else:
                begin, end, files = steady(work / "out")
                seconds, used = (end - begin) / files, whole.within(begin, end) / files
            took[name].append(seconds)
            cpu[name].append(used)
            print(f"{name}: {1e3 * seconds:.1f} ms a clip, {1e3 * used:.1f} of processor; {whole.took:.1f} s in all")
    for name in kinds:
        ratio = min(took[name]) / min(took["filter"])
        used = min(cpu[name]) / min(cpu["filter"])
        print(f"{backend}, {clips} clips, {name}: {ratio:.3f} of filter's time, {used:.3f} of its processor time")


def steady(folder: Path) -> tuple[float, float, int]:
    """(when each worker had ended a file, when the last one ended, how many ended between), by the manifest."""
    lines = [json.loads(line) for line in (folder / ".denoise-batch.jsonl").read_text().splitlines()]
    ends = [(line["time"], line["worker"]) for line in lines if line["event"] == "done"]
    begin = max(min(when for when, of in ends if of == worker) for worker in {of for _, of in ends})
    return begin, max(ends)[0], sum(when > begin for when, _ in ends)


def resume(work: Path, backend: str, words: list[object]) -> None:
    """All clips by `batch`, from where an earlier call of this stopped, then --resume twice, with memory."""
    out = work / f"all-{backend}"
    verb = ["batch", work / "clips", "-o", out, "--jobs", 2, "-b", backend, "--resume", *words]
    done = run(*verb)
    print(f"all: {done.told()}")
    if words:
        print(f"a worker: {done.flat(done.cleaning)}")
    lines = [json.loads(line) for line in (out / ".denoise-batch.jsonl").read_text().splitlines()]
    print(f"manifest: {len(lines)} lines, {(out / '.denoise-batch.jsonl').stat().st_size >> 10} kB")
    whole = {path for path in out.rglob("*.wav") if path.stat().st_size > 1000}
    targets = [line["target"] for line in lines if line["event"] == "done"]
    assert len(targets) == len(set(targets))
    assert {str(path.resolve()) for path in whole} == set(targets)
    print(f"each of {len(targets)} done once, and there; {sum(line.get('aside', False) for line in lines)} set aside")
    for _ in range(2):
        print(f"--resume: {run(*verb).told()}")


def finished(work: Path, clips: int) -> None:
    """A corpus that is finished: one clip and its result under so many names, and a manifest that says so; --resume."""
    first, out = fresh(work / "first"), fresh(work / "finished")
    sources = fresh(work / "names")
    first.mkdir(parents=True)
    soundfile.write(first / "0.wav", clip(2.0, 0), RATE, subtype="PCM_16")
    assert run("batch", first, "-o", work / "first-out", "--overwrite", "-q").code == 0
    lines = [json.loads(line) for line in (work / "first-out/.denoise-batch.jsonl").read_text().splitlines()]
    (done,) = [line for line in lines if line["event"] == "done"]
    with open(_made(out) / ".denoise-batch.jsonl", "w") as book:
        for number in range(clips):
            source, target = (folder / f"{number // 1000:03}/{number:06}.wav" for folder in (sources, out))
            os.link(first / "0.wav", _made(source.parent) / source.name)
            os.link(work / "first-out/0.wav", _made(target.parent) / target.name)
            line = done | {"source": os.path.realpath(source), "target": os.path.realpath(target)}
            begin = {"event": "begin", "time": line["time"], "target": line["target"], "attempt": 1}
            book.write(json.dumps(begin) + "\n")
            book.write(json.dumps(line) + "\n")
    for _ in range(2):
        done = run("batch", sources, "-o", out, "--resume")
        print(f"--resume: {done.own:.2f} s of processor, {done.told()}")


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def ledger(work: Path, clips: int) -> None:
    """Processor time of the process that leads, for each file: both lines in the manifest, without an engine."""
    from denoise_wrapper.cluster.manifest import Manifest
    from denoise_wrapper.cluster.plan import Task
    from denoise_wrapper.cluster.run import Counts, Ledger
    from denoise_wrapper.cluster.work import Outcome

    path = work / "ledger.jsonl"
    path.unlink(missing_ok=True)
    book = Manifest(path, go_on=False, anew=False)
    led = Ledger(book, "0" * 16, 5, lambda outcome, last: None, Counts())
    fields = {"seen": [1, "2"], "made": [1, "2"], "input_sha256": "0" * 64, "output_sha256": "0" * 64, "worker": "w:1"}
    begin, wall = time.process_time(), time.perf_counter()
    for number in range(clips):
        task = Task(f"s3://corpus/raw/{number:09}.flac", f"s3://corpus/clean/{number:09}.flac")
        led.begin(task)
        led.answer(Outcome(task, "done", None, 10.0, fields))
    took, wall = time.process_time() - begin, time.perf_counter() - wall
    book.close()
    each = path.stat().st_size / clips
    print(f"ledger: {1e6 * took / clips:.0f} us of processor a file, {1e6 * wall / clips:.0f} in all, {each:.0f} bytes")
    begin = time.process_time()
    again = Manifest(path, go_on=True, anew=False)
    print(f"read again: {1e6 * (time.process_time() - begin) / clips:.0f} us a file")
    again.close()


def workers(work: Path, numbers: list[int], clips: int) -> None:
    """Clips by Ray with so many workers each: what a worker does."""
    few = some(work, clips, broken=False)
    one = run("batch", min(few.iterdir()), "-o", fresh(work / "out"), "--ray", "local", "--jobs", 1)
    for number in numbers:
        done = run("batch", few, "-o", fresh(work / "out"), "--ray", "local", "--jobs", number)
        assert done.code == 0, done.said
        start, lead = started(done.said), done.own - one.own
        steady = done.took - start
        print(
            f"{number} workers: {steady:.1f} s, {clips / steady / number:.2f} files/s each; {start:.1f} s to start; "
            f"the leading process {1e6 * lead / clips:.0f} us of processor a file"
        )


def calls(number: int, pending: int) -> None:
    """What Ray takes of the process that leads: for a call of an actor and its answer, and for a look at many calls."""
    from denoise_wrapper.cluster.plan import Task
    from denoise_wrapper.cluster.ray_engine import start
    from denoise_wrapper.cluster.ray_worker import Call
    from denoise_wrapper.cluster.work import Outcome

    ray = start("local", 2)
    task = Task("s3://corpus/raw/000000000.flac", "s3://corpus/clean/000000000.flac")
    fields = {"seen": [1, "2"], "made": [1, "2"], "input_sha256": "0" * 64, "output_sha256": "0" * 64, "worker": "w:1"}
    made = Outcome(task, "done", None, 10.0, fields)

    class Answers:
        def clean(self, call: Call) -> list[Outcome]:
            return [made] * len(call)

        def rest(self) -> None:
            time.sleep(60)

    actor = ray.remote(Answers).remote()
    for files in (1, 6, 32, 100):
        call = [(task, True)] * files
        ray.get(actor.clean.remote(call))
        waiting: list[Any] = []
        left, begin, wall = number, time.process_time(), time.perf_counter()
        while left or waiting:
            while left and len(waiting) < 64:
                waiting.append(actor.clean.remote(call))
                left -= 1
            ready, waiting = ray.wait(waiting, num_returns=1)
            ray.get(ready)
        used, wall = time.process_time() - begin, time.perf_counter() - wall
        print(
            f"a call about {files} files and its answer: {1e6 * used / number:.0f} us of processor, "
            f"{number / wall:.0f} a second by the clock"
        )
    many = [actor.rest.remote() for _ in range(pending)]
    begin = time.process_time()
    for _ in range(20):
        ray.wait(many, num_returns=pending, timeout=0)
    print(f"a look at {pending} calls: {1e3 * (time.process_time() - begin) / 20:.1f} ms of processor")


def faults(work: Path, seconds: float, every: float, files: int, clips: int) -> None:
    """Two nodes; a worker is killed every so many seconds or files, one node goes and one comes; then all bits."""
    from ray_nodes import add_node, cleaners, head

    few = some(work, clips)
    print(f"calm: {run('batch', few, '-o', work / 'calm', '--jobs', 2, '--resume').told()}")
    words = ["batch", str(few), "-o", str(fresh(work / "stormy")), "--attempts", "30", "--ray"]
    killed, begin, moved = 0, time.monotonic(), 0
    rng = random.Random(5)
    with head(cores=2) as cluster:
        other = add_node(cluster)
        words = [sys.executable, "-m", "denoise_wrapper", *words, cluster.address]
        with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
            last, known = time.monotonic(), 0
            while process.poll() is None and time.monotonic() - begin < seconds:
                time.sleep(0.2)
                done = _done(work / "stormy")
                if done - known < files if files else time.monotonic() - last < every:
                    continue
                last, known = time.monotonic(), done
                found = cleaners(work / "stormy") or cleaners()
                if found:
                    os.kill(rng.choice(found), signal.SIGKILL)
                    killed += 1
                if killed == 2 and not moved:
                    cluster.remove_node(other, allow_graceful=False)
                    moved = 1
                elif killed == 4 and moved == 1:
                    add_node(cluster)
                    moved = 2
            assert process.stderr is not None
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            said = process.stderr.read()
        took = time.monotonic() - begin
        print(f"stormy: exit {process.returncode} after {took:.0f} s, {killed} workers killed, node moves {moved}: "
              f"{said.splitlines()[-1]}")  # fmt: skip
        compare(work / "calm", work / "stormy")
        once(work / "stormy")


def some(work: Path, clips: int, *, broken: bool = True) -> Path:
    """A folder with the first so many of the clips, without the long one, and those that are broken or not."""
    few = _made(fresh(work / "few"))
    found = sorted(path for path in (work / "clips").glob("*/*.wav") if broken or path.stat().st_size > 1000)
    for path in found[:clips]:
        os.link(path, few / path.name)
    return few


def _done(folder: Path) -> int:
    try:
        return (folder / ".denoise-batch.jsonl").read_bytes().count(b'"event": "done"')
    except OSError:
        return 0


def compare(calm: Path, stormy: Path) -> None:
    first, second = digests(calm), digests(stormy)
    unlike = sum(first[name] != second.get(name) for name in first)
    print(f"{len(first)} results, {len(second)} with faults, {unlike} unlike, {len(second.keys() - first.keys())} more")
    assert first == second


def once(folder: Path) -> None:
    lines = [json.loads(line) for line in (folder / ".denoise-batch.jsonl").read_text().splitlines()]
    done = [line["target"] for line in lines if line["event"] == "done"]
    again = sum(line["event"] == "failed" and not line["final"] for line in lines)
    assert len(done) == len(set(done))
    print(f"each of {len(done)} done once by the manifest; {again} tries came to nothing")


def storage(work: Path, clips: int, kind: str, words: list[object]) -> None:
    """Storage of a kind, emulated behind a proxy that answers 500 to one request in ten, and is slow."""
    from storms import AZURE_KEY, SECRET, bucket

    few = some(work, clips)
    print(f"calm, here: {run('batch', few, '-o', fresh(work / 'calm'), '--jobs', 2).told()}")
    with bucket(kind) as (address, _, proxy):
        from denoise_wrapper.cluster import store

        for path in few.iterdir():
            store.store(path, f"{address}/in/{path.name}")
        proxy.storm(failing=0.1, delay_s=0.02)
        seen, failed, book = proxy.seen, proxy.failed, work / "remote.jsonl"
        book.unlink(missing_ok=True)
        verb = ["batch", f"{address}/in", "-o", f"{address}/out", "--jobs", 2, "--manifest", book, *words]
        done = run(*verb)
        print(f"{kind}: {proxy.failed - failed} of {proxy.seen - seen} requests failed, {done.told()}")
        got = _made(fresh(work / "stormy"))
        proxy.storm()
        for name in store.below(f"{address}/out"):
            if name.endswith(".wav"):
                store.fetch(f"{address}/out/{name}", got / name)
        shutil.copy(book, got / ".denoise-batch.jsonl")
        compare(work / "calm", got)
        once(got)
        assert not any(secret in book.read_text() + done.said for secret in (SECRET, AZURE_KEY))
        print(f"{kind} --resume: {run(*verb, '--resume').told()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "what", choices=("make", "overhead", "resume", "finished", "ledger", "workers", "calls", "faults", "storage")
    )
    parser.add_argument("work", type=Path)
    parser.add_argument("numbers", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--clips", type=int, default=300)
    parser.add_argument("--least", type=float, default=2.0)
    parser.add_argument("--most", type=float, default=20.0)
    parser.add_argument("--long", type=float, default=0.0)
    parser.add_argument("--backend", default="rnnoise")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--ray", action="store_true")
    parser.add_argument("--kind", default="s3", choices=("s3", "gs", "az"))
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--every", type=float, default=10.0)
    parser.add_argument("--files", type=int, default=0)
    args = parser.parse_args()
    words: list[object] = ["--ray", "local"] if args.ray else []
    if args.what == "make":
        make(fresh(args.work / "clips"), args.clips, args.least, args.most, args.long)
    elif args.what == "overhead":
        overhead(args.work, args.clips, args.backend, args.rounds, args.ray)
    elif args.what == "resume":
        resume(args.work, args.backend, words)
    elif args.what == "finished":
        finished(args.work, args.clips)
    elif args.what == "ledger":
        ledger(args.work, args.clips)
    elif args.what == "workers":
        workers(args.work, args.numbers, args.clips)
    elif args.what == "calls":
        calls(args.clips, pending=3200)
    elif args.what == "faults":
        faults(args.work, args.seconds, args.every, args.files, args.clips)
    else:
        storage(args.work, args.clips, args.kind, words)


if __name__ == "__main__":
    main()
