"""What a run counts, as Prometheus reads it over HTTP."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from denoise_wrapper.cluster.run import Counts
from denoise_wrapper.errors import ConfigError, FileError, needs_package


def gauges(counts: Counts) -> list[tuple[str, str, float]]:
    """What is told of a run that goes up and down: names, what they mean, values."""
    ran = time.monotonic() - counts.began
    done = counts.weight_done + counts.weight_open
    left = max(0.0, counts.weight - done)
    wait = left * ran / done if done else 0.0
    told = {
        "files_left": ("Files to do", counts.total - counts.done - counts.failed),
        "audio_seconds_left": ("Audio to do, as guessed by the sizes of files", left),
        "audio_seconds_open": ("Audio that was cleaned of files not yet ended", counts.seconds_open),
        "workers": ("Workers that clean", counts.workers),
        "speed": ("Times real time, since the first file", counts.speed),
        "run_seconds": ("Since the first file began", ran),
        "seconds_left": ("Until the end, at the speed so far; 0 if that is not known", wait),
    }
    return [(f"denoise_batch_{name}", *meaning) for name, meaning in told.items()]


@contextlib.contextmanager
def served(counts: Counts, port: int | None, host: str = "127.0.0.1") -> Iterator[None]:
    """Serve counts at http://host:port/metrics within the block; port None for not.

    Raises ConfigError if prometheus_client is not installed, FileError if the port cannot be had.
    """
    if port is None:
        yield
        return
    try:
        from prometheus_client import CollectorRegistry, start_http_server
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
        from prometheus_client.registry import Collector
    except ImportError as error:
        raise ConfigError(needs_package("--metrics-port needs", error, "cluster")) from error

    class Seen(Collector):
        def collect(self) -> Iterator[Metric]:
            files = CounterMetricFamily("denoise_batch_files", "Files that are done with", labels=["outcome"])
            for outcome in ("done", "failed", "skipped"):
                files.add_metric([outcome], getattr(counts, outcome))
            yield files
            yield CounterMetricFamily("denoise_batch_retries", "Tries that came to nothing", value=counts.again)
            yield CounterMetricFamily("denoise_batch_audio_seconds", "Audio that was cleaned", value=counts.seconds)
            for name, text, value in gauges(counts):
                yield GaugeMetricFamily(name, text, value=value)

    registry = CollectorRegistry()
    registry.register(Seen())
    try:
        server, thread = start_http_server(port, host, registry)
    except (OSError, OverflowError) as error:
        raise FileError(
            f"--metrics-port {port}: {getattr(error, 'strerror', None) or error}; choose another"
        ) from error
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
