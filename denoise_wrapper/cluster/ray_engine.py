"""The engine that does tasks on a cluster, by Ray: actors with a share of its cores and the model loaded once, each."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from denoise_wrapper.arguments import warn_caller
from denoise_wrapper.cluster.metrics import gauges
from denoise_wrapper.cluster.plan import Task
from denoise_wrapper.cluster.ray_worker import Call, worker_class
from denoise_wrapper.cluster.store import redacted
from denoise_wrapper.cluster.work import How, Outcome
from denoise_wrapper.errors import ConfigError, DenoiseError, FileError, needs_package
from denoise_wrapper.machine import check_jobs

if TYPE_CHECKING:
    from denoise_wrapper.cluster.run import Counts, Ledger

CALL_S = 60.0  # of audio that a call of a worker is about, unless a single file is longer,
CALL_FILES = 32  # and so many at most; both are more on a large cluster, for one process to lead it:
CALL_CORES = 120  # for so many cores as much again
AHEAD_S = 120.0  # a call waits at a worker only behind one of less audio than this
WAIT_S = 0.5  # between two looks at what else is to be done
HIRE_S = 2.0  # between two looks at how many cores the cluster has
PATIENCE_S = 8.0  # for workers to give up what they are at, before they are ended
LONG_S = 300.0  # of audio, from which on a worker is asked how far it is with a file
LOOK_S = 4.0  # between two such questions
LATE_S = 60.0  # after which it is said that no worker has come
LOST_S = 900.0  # without any, after which none is waited for
FAILURES = 10  # of workers to start, one after the other, after which none is tried
CONNECT_S = 10.0  # for the machine at an address to answer
STORE_BYTES = 200_000_000  # of a cluster that is started here: tasks and outcomes are small
_NO_CLUSTER = "--ray {address}: no cluster answers there ({why}); start one with 'ray start --head'"
_TOKEN = ", or set RAY_AUTH_MODE=token: this machine has a token, which a cluster that 'ray start' began then asks for"


def start(address: str, cores: int | None = None) -> Any:
    """Connect to a cluster, and return the module ray.

    address: "auto" for the one that this machine belongs to, "local" for one that is started here and ends with this
    process, or the address of another. cores: of one that is started here, None for all.
    Raises ConfigError if Ray is not installed, FileError if there is no such cluster.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody
    try:
        import ray
    except ImportError as error:
        raise ConfigError(needs_package("--ray needs", error, "ray")) from error
    if ray.is_initialized():
        return ray
    where = os.environ.get("RAY_ADDRESS", address) if address == "auto" else address
    _check_listens(where.removeprefix("ray://"), address)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    options: dict[str, Any] = {"address": address}
    if address == "local":
        # Ray's workers are nicer than others by 15, and on a busy machine slower than `filter` by as much.
        os.environ.setdefault("RAY_worker_niceness", "0")
        options |= {"num_cpus": check_jobs(cores), "include_dashboard": False, "object_store_memory": STORE_BYTES}
    try:
        ray.init(**options, logging_level="ERROR", log_to_driver=False)
    except Exception as error:  # a node that does not come up raises no narrower one
        why = redacted(" ".join(str(error).split()))[:200]
        if address == "local":
            raise FileError(
                f"--ray local: Ray did not start here ({why}); a machine that is busy may be why"
            ) from error
        hint = _TOKEN if _has_token() and "RAY_AUTH_MODE" not in os.environ else ""
        raise FileError(_NO_CLUSTER.format(address=address, why=why) + hint) from error
    finally:
        for number, handler in before.items():  # Ray has one of its own for TERM
            with contextlib.suppress(ValueError):  # in another thread than the first one there are none
                signal.signal(number, handler)
    return ray


def _has_token() -> bool:
    """True if this machine has a token for clusters, where Ray looks for one."""
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    return "RAY_AUTH_TOKEN" in os.environ or Path(named or Path.home() / ".ray/auth_token").is_file()


def _check_listens(where: str, address: str) -> None:
    """Raise FileError if nothing listens at where, host:port: Ray itself would wait for many minutes."""
    host, _, port = where.rpartition(":")
    if not host or not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_S).close()
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or error
        raise FileError(_NO_CLUSTER.format(address=address, why=f"{where}: {why}".lower())) from error


@dataclass(eq=False)
class _Worker:
    """An actor. calls: that it has, those at work first, by their references.

    came: whether it has answered yet. gone: whether it was dismissed. alone: whether its call is to have no other one
    beside or behind it. asked: the question how far it is, until there is an answer. far: what it said of calls that it
    has, by the target of the first task: seconds, share of weight.
    """

    actor: Any
    hello: Any
    came: bool = False
    gone: bool = False
    alone: bool = False
    asked: Any = None
    far: dict[str, tuple[float, float]] = field(default_factory=dict)
    calls: dict[Any, Call] = field(default_factory=dict)


def ray_engine(
    ray: Any, cpus_per_worker: int = 1, *, workers: int | None = None, check: Callable[[], object] = lambda: None
) -> Callable[[Sequence[tuple[Task, bool]], How, Ledger], None]:
    """An engine on the cluster that ray is connected to.

    cpus_per_worker: cores of an actor, which does as many calls at a time, each of one file or of several short ones.
    workers: actors at most; None for as many as the cluster has cores for, also those that come later. check: called
    now and then.
    """

    def run(tasks: Sequence[tuple[Task, bool]], how: How, ledger: Ledger) -> None:
        _Run(ray, cpus_per_worker, workers, check, tasks, how, ledger).run()

    return run


class _Run:
    def __init__(
        self, ray: Any, cpus: int, most: int | None, check: Callable[[], object], tasks: Sequence[tuple[Task, bool]],
        how: How, ledger: Ledger,
    ) -> None:  # fmt: skip
        self._ray, self._cpus, self._most, self._check = ray, cpus, most, check
        self._todo, self._ledger = deque(tasks), ledger
        self._later: list[tuple[float, tuple[Task, bool]]] = []  # (time.monotonic() from which on, task to try again)
        # Of tasks that a worker had when it died any may be to blame: each is then the only one that a worker has.
        self._suspects: deque[tuple[Task, bool]] = deque()
        self._suspected: set[str] = set()  # their targets, for good
        self._workers: list[_Worker] = []
        self._class, self._show = worker_class(ray), _board()
        self._how, self._key = ray.put(how), how.key
        self._hired = self._failures = self._looked = 0.0
        self._alone, self._said = time.monotonic(), False  # since when no worker is there, and whether that was said

    def run(self) -> None:
        try:
            while self._todo or self._suspects or self._later or any(worker.calls for worker in self._workers):
                self._check()
                self._hire()
                self._hand_out()
                self._ask()
                self._collect()
        except self._ray.exceptions.RayError as error:
            why = redacted(" ".join(str(error).split()))[:300]
            raise FileError(f"the cluster answers no more ({why}); --resume goes on") from error
        finally:
            self._end()

    def _hire(self) -> None:
        """Have as many actors as there are cores for; those for which there is no room yet wait for it."""
        now = time.monotonic()
        if now - self._hired < HIRE_S:
            return
        self._hired = now
        self._show(self._ledger.counts)
        cores = self._ray.cluster_resources().get("CPU", 0.0)
        busy = sum(len(call) for worker in self._workers for call in worker.calls.values())
        left = len(self._todo) + len(self._suspects) + len(self._later) + busy
        wanted = min(max(1, int(cores // self._cpus)), self._most or 1 << 30, -(-left // self._cpus))
        for _ in range(wanted - len(self._workers)):
            options = {"num_cpus": self._cpus, "max_concurrency": self._cpus, "scheduling_strategy": "SPREAD"}
            actor = self._class.options(**options).remote(self._how, self._key)
            self._workers.append(_Worker(actor, actor.hello.remote()))
        if any(worker.came for worker in self._workers):
            self._alone, self._said = now, False
        else:
            self._miss(now - self._alone, cores)

    def _miss(self, waited: float, cores: float) -> None:
        """Say that there is no worker, and give up in the end: nodes may still be starting, or come again."""
        why = (
            f"no worker has come within {waited:.0f} s: each wants {self._cpus} free cores of one machine, and the "
            f"cluster has {cores:g} in all; see 'ray status', or --cpus-per-worker"
        )
        if waited > LOST_S:
            raise FileError(f"{why}; --resume goes on")
        if waited > LATE_S and not self._said:
            self._said = True
            warn_caller(why)

    def _hand_out(self) -> None:
        """Give workers what they can take: a call a core, and one more behind what is soon done."""
        now = time.monotonic()
        self._put_back([task for when, task in self._later if when <= now])
        self._later = [each for each in self._later if each[0] > now]
        cores = self._cpus * sum(worker.came for worker in self._workers)
        for room in range(1, self._cpus + 2):
            for worker in self._workers:
                if not worker.came or len(worker.calls) >= room or (worker.calls and worker.alone):
                    continue
                ahead = (task.weight for call in worker.calls.values() for task, _ in call)
                if room > self._cpus and any(weight > AHEAD_S for weight in ahead):
                    continue
                if self._suspects:
                    if worker.calls:
                        continue  # until it has none, and can take one of them
                    worker.alone, call = True, [self._suspects.popleft()]
                elif self._todo:
                    worker.alone, call = False, self._next_call(cores)
                else:
                    continue
                for task, _ in call:
                    self._ledger.begin(task)
                worker.calls[worker.actor.clean.remote(call)] = call
        self._ledger.counts.workers = sum(worker.came for worker in self._workers)

    def _next_call(self, cores: int) -> Call:
        """Take what a worker is to do next: a file, or several short ones, as long as all cores have enough."""
        times = max(1.0, cores / CALL_CORES)
        most = min(CALL_FILES * times, len(self._todo) // (2 * cores))
        call = [self._todo.popleft()]
        seconds = call[0][0].weight
        while len(call) < most:
            seconds += self._todo[0][0].weight
            if seconds > CALL_S * times:
                break
            call.append(self._todo.popleft())
        return call

    def _ask(self) -> None:
        """Ask workers how far they are with long files."""
        now = time.monotonic()
        if now - self._looked < LOOK_S:
            return
        self._looked = now
        for worker in self._workers:
            if worker.asked is None and any(call[0][0].weight > LONG_S for call in worker.calls.values()):
                worker.asked = worker.actor.far.remote()

    def _count_open(self) -> None:
        far = [each for worker in self._workers for each in worker.far.values()]
        self._ledger.counts.open(sum(seconds for seconds, _ in far), sum(weight for _, weight in far))

    def _collect(self) -> None:
        """Wait for something to happen, and note it."""
        owners = {reference: worker for worker in self._workers for reference in worker.calls}
        owners |= {worker.hello: worker for worker in self._workers if not worker.came}
        owners |= {worker.asked: worker for worker in self._workers if worker.asked is not None}
        if not owners:
            time.sleep(WAIT_S)
            return
        ready, _ = self._ray.wait(list(owners), num_returns=1, timeout=WAIT_S)
        if ready:
            more, _ = self._ray.wait(list(owners), num_returns=len(owners), timeout=0)
            ready = [*ready, *(each for each in more if each not in ready)]
        for reference in ready:
            worker = owners[reference]
            if not worker.gone:  # as one is that was dismissed a moment ago
                self._take(worker, reference)

    def _take(self, worker: _Worker, reference: Any) -> None:
        errors = self._ray.exceptions
        try:
            answer = self._ray.get(reference)
        except errors.RayTaskError as error:  # an exception of ours: of memory, or a fault
            why = redacted(" ".join(str(error.cause).split()) or type(error.cause).__name__)[:300]
            self._blame(worker.calls.pop(reference), why)
        except errors.RayError as error:
            self._lost(worker, error)
        else:
            if reference is worker.hello:
                worker.came, self._failures = True, 0
                return
            if reference is worker.asked:
                there = {call[0][0].target for call in worker.calls.values()}
                worker.asked, worker.far = None, {name: far for name, far in answer.items() if name in there}
                self._count_open()
                return
            call = worker.calls.pop(reference)
            if worker.far.pop(call[0][0].target, None):
                self._count_open()
            for outcome in answer:
                self._answer(outcome)

    def _answer(self, outcome: Outcome) -> None:
        if self._ledger.answer(outcome):
            pause = 0.0 if outcome.fields.get("killed") else self._ledger.pause(outcome.task)
            self._later.append((time.monotonic() + pause, (outcome.task, True)))

    def _blame(self, call: Call, why: str) -> None:
        """Note a call that came to nothing. Of several files one may be at fault: which, calls of one each show."""
        if len(call) > 1:
            self._suspect(call)
            return
        ((task, _),) = call
        self._suspected.add(task.target)
        self._answer(Outcome(task, "again", f"{task.source}: {why}", 0.0, {"killed": True}))

    def _suspect(self, call: Call) -> None:
        self._suspected.update(task.target for task, _ in call)
        self._take_back(call)

    def _take_back(self, call: Call) -> None:
        """Have files of a call that came to nothing done again, as if they had not been tried."""
        for task, _ in call:
            self._ledger.forgive(task)
        self._put_back([(task, True) for task, _ in call])

    def _put_back(self, tasks: Call) -> None:
        """Have tasks done before all others."""
        for each in reversed(tasks):
            (self._suspects if each[0].target in self._suspected else self._todo).appendleft(each)

    def _lost(self, worker: _Worker, error: Exception) -> None:
        """A worker is gone: what it had is done again, one by one if that may be to blame."""
        self._dismiss(worker)
        self._hired = 0.0  # at once
        if not worker.came:
            self._failures += 1
            cause = getattr(error, "cause", None)
            if isinstance(cause, DenoiseError):
                raise cause
            if self._failures >= FAILURES:
                raise FileError(f"workers do not start: {redacted(' '.join(str(error).split()))[:300]}") from error
        # A node that is gone is no fault of what was done there.
        gone = isinstance(error, self._ray.exceptions.NodeDiedError) or "its node has died" in str(error)
        for call in worker.calls.values():
            if gone:
                self._take_back(call)
            elif len(worker.calls) == 1:
                self._blame(call, "the worker that cleaned it died")
            else:  # also what waited: it may have begun, and the answer of the one before it be lost
                self._suspect(call)
        worker.calls.clear()

    def _dismiss(self, worker: _Worker) -> None:
        worker.gone = True
        self._workers.remove(worker)
        self._count_open()
        with contextlib.suppress(Exception):  # it is gone already
            self._ray.kill(worker.actor)

    def _end(self) -> None:
        """Have all workers give up what they are at, so that nothing is half-written, and end them."""
        busy = [reference for worker in self._workers for reference in worker.calls]
        with contextlib.suppress(Exception):
            if busy:
                for worker in self._workers:
                    if worker.came:
                        worker.actor.stop.remote()
                self._ray.wait(busy, num_returns=len(busy), timeout=PATIENCE_S)
            self._show(self._ledger.counts)
        for worker in list(self._workers):
            self._dismiss(worker)


def _board() -> Callable[[Counts], None]:
    """What has Ray's dashboard and its addresses for Prometheus show how far a run is, on the machine that leads."""
    from ray.util.metrics import Gauge

    from denoise_wrapper.cluster.run import Counts

    shown = {name: Gauge(name, text) for name, text, _ in gauges(Counts())}
    failed = Gauge("denoise_batch_files_failed", "Files that are given up")

    def show(counts: Counts) -> None:
        for name, _, value in gauges(counts):
            shown[name].set(value)
        failed.set(counts.failed)

    return show
