"""The class of Ray's actors that clean, and what they count for its metrics."""

from __future__ import annotations

from typing import Any

from denoise_wrapper.cluster.plan import Task
from denoise_wrapper.cluster.work import How, Outcome
from denoise_wrapper.errors import ConfigError

Call = list[tuple[Task, bool]]  # what a worker gets at a time; with each task, whether its result may be replaced


def worker_class(ray: Any) -> Any:
    """The class of actors that clean."""

    class Cleaner:
        """Cleans files of a run on one machine of the cluster."""

        def __init__(self, how: How, key: str) -> None:
            import threading

            if how.key != key:
                import denoise_wrapper

                raise ConfigError(
                    f"a machine of the cluster has denoise_wrapper {denoise_wrapper.__version__} or a model that gives "
                    "other results than here; install one version everywhere"
                )
            self._how, self._stop = how, threading.Event()
            self._far: dict[str, tuple[float, float]] = {}
            self._files, self._seconds, self._failed = _counters()

        def hello(self) -> str:
            return "ready"

        def clean(self, call: Call) -> list[Outcome]:
            from denoise_wrapper.cluster.work import clean_tasks

            outcomes: list[Outcome] = []

            def far(seconds: float, weight: float) -> None:
                self._far[call[0][0].target] = seconds, weight

            try:
                clean_tasks(call, self._how, 1, outcomes.append, check=self._check, far=far)
            finally:
                self._far.pop(call[0][0].target, None)
            done = [outcome for outcome in outcomes if outcome.kind == "done"]
            if done:
                self._files.inc(len(done))
                self._seconds.inc(max(sum(outcome.seconds for outcome in done), 1e-6))
            if len(done) < len(outcomes):
                self._failed.inc(len(outcomes) - len(done))
            return outcomes

        def far(self) -> dict[str, tuple[float, float]]:
            """How far each call is: seconds of audio, share of the weight."""
            return dict(self._far)

        def stop(self) -> None:
            self._stop.set()

        def _check(self) -> None:
            if self._stop.is_set():
                raise RuntimeError("the run is ending")

    Cleaner.__qualname__ = Cleaner.__name__  # by which Ray's dashboard and its logs call it
    options = {"concurrency_groups": {"control": 1}, "max_restarts": 0, "max_task_retries": 0}
    Cleaner.hello = ray.method(concurrency_group="control")(Cleaner.hello)  # type: ignore[method-assign]
    Cleaner.far = ray.method(concurrency_group="control")(Cleaner.far)  # type: ignore[method-assign]
    Cleaner.stop = ray.method(concurrency_group="control")(Cleaner.stop)  # type: ignore[method-assign]
    return ray.remote(**options)(Cleaner)


def _counters() -> tuple[Any, Any, Any]:
    """Counters that Ray's own dashboard and its address for Prometheus show: files, seconds of audio, failures."""
    from ray.util.metrics import Counter

    return (
        Counter("denoise_files", "Files cleaned"),
        Counter("denoise_audio_seconds", "Seconds of audio cleaned"),
        Counter("denoise_failures", "Tries that came to nothing"),
    )
