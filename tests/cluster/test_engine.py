"""Which files the engine on Ray gives to which worker, and blames when one dies; with a Ray of a few lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from batch_runs import make_files, records

from denoise_wrapper import Denoiser
from denoise_wrapper.cluster import ray_engine
from denoise_wrapper.cluster.plan import Task, Tasks, make_tasks
from denoise_wrapper.cluster.ray_worker import Call
from denoise_wrapper.cluster.run import Counts, run_tasks
from denoise_wrapper.cluster.work import How, Outcome


class _Died(Exception):
    pass


class _Busy(Exception):
    """A call that goes on."""


class _Task(Exception):
    pass


class _NodeDied(_Died):
    pass


@dataclass(eq=False)
class _Actor:
    """A worker. do: a call of it. told: how far it is with each.

    calls: that it has, by their references; done when the engine waits for any.
    """

    do: Callable[[Call], list[Outcome]]
    told: Callable[[], dict[str, tuple[float, float]]]
    calls: dict[object, Callable[[], Any]] = field(default_factory=dict)
    answers: dict[object, Any] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Any:
        return SimpleNamespace(remote=lambda *words: self._call(name, words))

    def _call(self, name: str, words: Sequence[Any]) -> object:
        reference = object()
        ways = {"hello": lambda: "ready", "far": self.told, "clean": lambda: self.do(*words)}
        self.calls[reference] = ways[name]
        return reference

    def work(self) -> None:
        """Do all calls. One that ends the worker takes the answers before it along, which were not asked for yet."""
        left: dict[object, Callable[[], Any]] = {}
        for reference, call in self.calls.items():
            try:
                if left and call is not self.told:
                    raise _Busy
                self.answers[reference] = call()
            except _Busy:
                left[reference] = call
            except _Died as error:
                self.answers = dict.fromkeys(self.calls, error)
                return
        self.calls = left


class _Ray:
    """As much of Ray as the engine uses, for workers of so many cores."""

    exceptions = SimpleNamespace(RayError=_Died, RayTaskError=_Task, NodeDiedError=_NodeDied)

    def __init__(
        self, cores: int, clean: Callable[[Call], list[Outcome]], far: Callable[[], dict[str, Any]] = dict
    ) -> None:
        self._cores, self._actors, self.most = cores, list[_Actor](), 0
        self._clean, self._far = clean, far

    def put(self, value: Any) -> Any:
        return value

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": self._cores}

    def method(self, **_: Any) -> Callable[[Any], Any]:
        return lambda method: method

    def remote(self, **_: Any) -> Callable[[Any], Any]:
        return lambda _: SimpleNamespace(options=lambda **_: SimpleNamespace(remote=self._start))

    def _start(self, *_: Any) -> _Actor:
        self._actors.append(actor := _Actor(self._clean, self._far))
        return actor

    def wait(self, references: Sequence[object], **_: Any) -> tuple[list[object], list[object]]:
        for actor in self._actors:
            self.most = max(self.most, len(actor.calls))
            actor.work()
        known = {reference for actor in self._actors for reference in actor.answers}
        return [each for each in references if each in known], []

    def get(self, reference: object) -> Any:
        (answer,) = [actor.answers.pop(reference) for actor in self._actors if reference in actor.answers]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def kill(self, actor: _Actor) -> None:
        self._actors.remove(actor)


def _stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_engine, "HIRE_S", 0.0)
    monkeypatch.setattr(ray_engine, "_board", lambda: lambda counts: None)


@pytest.mark.parametrize("cpus", [1, 3])
@pytest.mark.parametrize("deadly", [["07.wav"], ["00.wav", "01.wav"], ["39.wav"]])
def test_whoever_is_with_a_file_that_ends_its_worker_is_not_blamed(
    cpus: int, deadly: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither what shares a call with it nor what comes before, beside or behind it, whose answer dies with it."""
    _stand_in(monkeypatch)
    make_files(tmp_path / "in", {f"{number:02}.wav": 0.01 for number in range(40)})
    made = make_tasks([str(tmp_path / "in")], str(tmp_path / "out"))

    def clean(call: Call) -> list[Outcome]:
        if any(Path(task.source).name in deadly for task, _ in call):
            raise _Died
        return [Outcome(task, "done", None, 0.01, {"seen": [0, ""], "made": [0, ""]}) for task, _ in call]

    ray = _Ray(2 * cpus, clean)
    engine = ray_engine.ray_engine(ray, cpus)
    counts = run_tasks(made, str(tmp_path / "out"), How(Denoiser()), engine, attempts=2)
    assert (counts.done, counts.failed) == (40 - len(deadly), len(deadly))
    assert ray.most == cpus + 1
    tries = sorted((Path(line["source"]).name, line["attempt"]) for line in records(tmp_path / "out", "failed"))
    assert tries == [(name, attempt) for name in deadly for attempt in (1, 2)]
    done = records(tmp_path / "out")
    assert len({line["target"] for line in done}) == len(done)
    assert {line["attempt"] for line in done} == {1}


def test_a_node_that_goes_makes_nobody_a_suspect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _stand_in(monkeypatch)
    make_files(tmp_path / "in", {f"{number:02}.wav": 0.01 for number in range(40)})
    made = make_tasks([str(tmp_path / "in")], str(tmp_path / "out"))
    calls: list[int] = []

    def clean(call: Call) -> list[Outcome]:
        calls.append(len(call))
        if len(calls) == 2:
            raise _NodeDied
        return [Outcome(task, "done", None, 0.01, {"seen": [0, ""], "made": [0, ""]}) for task, _ in call]

    counts = run_tasks(made, str(tmp_path / "out"), How(Denoiser()), ray_engine.ray_engine(_Ray(1, clean)))
    assert (counts.done, counts.failed, counts.again) == (40, 0, 0)
    assert calls[2] > 1


def test_the_bar_moves_within_long_files_and_never_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where an answer comes when its file is done already."""
    _stand_in(monkeypatch)
    monkeypatch.setattr(ray_engine, "LOOK_S", 0.0)
    monkeypatch.setattr(ray_engine, "LONG_S", 1.0)
    make_files(tmp_path / "in", {"a.wav": 8.0, "b.wav": 4.0, "c.wav": 0.01})
    made, counts = make_tasks([str(tmp_path / "in")], str(tmp_path / "out")), Counts()
    target, rounds, seen = made.tasks[0].target, [0], list[tuple[float, float]]()

    def clean(call: Call) -> list[Outcome]:
        if call[0][0].target == target and rounds[0] < 8:
            rounds[0] += 1
            raise _Busy
        return [Outcome(task, "done", None, 8.0, {"seen": [0, ""], "made": [0, ""]}) for task, _ in call]

    def look() -> None:
        seen.append((counts.seconds + counts.seconds_open, counts.weight_done + counts.weight_open))

    ray = _Ray(1, clean, lambda: {target: (float(rounds[0]), rounds[0] * made.tasks[0].weight / 8)})
    engine = ray_engine.ray_engine(ray, check=look)
    run_tasks(made, str(tmp_path / "out"), How(Denoiser()), engine, counts=counts)
    look()
    assert seen == sorted(seen)
    assert {(far, far * made.tasks[0].weight / 8) for far in (1.0, 3.0, 5.0, 7.0)} <= set(seen)
    assert seen[-1] == pytest.approx((24.0, counts.weight))
    assert (counts.seconds_open, counts.weight_open) == (0.0, 0.0)


@pytest.mark.parametrize(("cores", "files"), [(2, 32), (8, 64), (40, 25)])
def test_calls_are_larger_the_more_workers_one_process_leads(
    cores: int, files: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as there is enough for all."""
    _stand_in(monkeypatch)
    monkeypatch.setattr(ray_engine, "CALL_CORES", 4)
    tasks = [Task(f"/in/{number}", f"{tmp_path}/{number}", weight=1.0) for number in range(2000)]
    calls: list[int] = []

    def clean(call: Call) -> list[Outcome]:
        calls.append(len(call))
        return [Outcome(task, "done", None, 1.0, {"seen": [0, ""], "made": [0, ""]}) for task, _ in call]

    engine = ray_engine.ray_engine(_Ray(cores, clean))
    counts = run_tasks(Tasks(tasks), str(tmp_path), How(Denoiser()), engine)
    assert counts.done == 2000
    assert calls[0] == max(calls) == files


def test_an_answer_is_not_looked_for_among_all_workers() -> None:
    """To compare each with all others, field by field, took the process that leads longer than all else."""
    assert ray_engine._Worker.__eq__ is object.__eq__
