"""What a server counts, as Prometheus reads it."""

from __future__ import annotations

import functools
import threading
from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Metric, disable_created_metrics
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

if TYPE_CHECKING:
    from denoise_wrapper.serve.limits import Counts
    from denoise_wrapper.serve.pump import Pump

KIND = CONTENT_TYPE_LATEST
_BUCKETS_S = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0)
SMOOTHING = 0.01  # share of the last piece in the real-time factor


class Seconds(Collector):
    """How many times lasted how long. One thread adds to it, as a Histogram of Prometheus' costs it too much."""

    def __init__(self, name: str, words: str) -> None:
        self._name, self._words = name, words
        self._counts, self._sum = [0] * (len(_BUCKETS_S) + 1), 0.0

    def add(self, seconds: float) -> None:
        """Count a time."""
        self._counts[bisect_left(_BUCKETS_S, seconds)] += 1
        self._sum += seconds

    def collect(self) -> Iterator[Metric]:
        """Show all of it."""
        bounds = [*map(floatToGoString, _BUCKETS_S), "+Inf"]
        buckets = [(bound, float(count)) for bound, count in zip(bounds, accumulate(self._counts), strict=True)]
        yield HistogramMetricFamily(self._name, self._words, buckets, self._sum)


class Metrics:
    """Counters of one server. Threads may call its methods."""

    def __init__(self) -> None:
        disable_created_metrics()  # a second series for each, which says when it began
        self.registry = CollectorRegistry()
        name = "denoise"
        self.opened = Counter(f"{name}_opened", "Streams and uploads so far", ["kind"], registry=self.registry)
        self.audio = Counter(f"{name}_audio_seconds", "Audio that was cleaned", ["kind"], registry=self.registry)
        self.work = Counter(f"{name}_work_seconds", "Time that cleaning took", ["kind"], registry=self.registry)
        self.rejections = Counter(f"{name}_rejections", "Requests refused", ["reason"], registry=self.registry)
        self.chunk = Seconds(f"{name}_chunk_seconds", "From a chunk's arrival to its answer")
        self.registry.register(self.chunk)
        self._factor = Gauge(
            f"{name}_real_time_factor", "Time of cleaning live audio, of the audio's, lately", registry=self.registry
        )
        self._lock, self._recent = threading.Lock(), (0.0, 0.0)
        self._work_s = self._audio_s = 0.0  # of streams, since somebody looked

    def watch(self, pump: Pump, counts: Counts) -> None:
        """Show what is open and what waits, as it is when somebody looks."""
        open_now = Gauge("denoise_open", "Streams and uploads that are open", ["kind"], registry=self.registry)
        for kind in ("streams", "uploads"):
            open_now.labels(kind).set_function(functools.partial(counts.open.__getitem__, kind))
        queue = Gauge("denoise_queue", "Streams whose chunk waits to be cleaned", registry=self.registry)
        queue.set_function(lambda: pump.waiting)

    def live(self, work_s: float, audio_s: float) -> None:
        """Count what a round of live streams took."""
        with self._lock:
            self._work_s += work_s
            self._audio_s += audio_s
            work, audio = self._recent
            self._recent = work + SMOOTHING * (work_s - work), audio + SMOOTHING * (audio_s - audio)

    def text(self) -> bytes:
        """Return all of it in Prometheus' text."""
        with self._lock:  # what was counted more quickly than Prometheus' counters do it
            work_s, audio_s, (recent_work, recent_audio) = self._work_s, self._audio_s, self._recent
            self._work_s = self._audio_s = 0.0
        self.audio.labels("stream").inc(audio_s)
        self.work.labels("stream").inc(work_s)
        self._factor.set(recent_work / recent_audio if recent_audio else 0.0)
        return generate_latest(self.registry)
