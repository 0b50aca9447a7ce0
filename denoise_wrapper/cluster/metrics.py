"""What a run counts, as Prometheus reads it over HTTP."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from denoise_wrapper.cluster.run import Counts
from denoise_wrapper.errors import ConfigError, FileError, needs_package


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
            left = counts.total - counts.done - counts.failed
            yield GaugeMetricFamily("denoise_batch_files_left", "Files to do", value=left)
            weight = max(0.0, counts.weight - counts.weight_done - counts.weight_open)
            yield GaugeMetricFamily("denoise_batch_audio_seconds_left", "Audio to do, as guessed by the sizes of files",
                                    value=weight)  # fmt: skip
            yield GaugeMetricFamily("denoise_batch_audio_seconds_open", "Audio that was cleaned of files not yet ended",
                                    value=counts.seconds_open)  # fmt: skip
            yield GaugeMetricFamily("denoise_batch_workers", "Workers that clean", value=counts.workers)
            yield GaugeMetricFamily("denoise_batch_speed", "Times real time, since the first file", value=counts.speed)
            yield GaugeMetricFamily("denoise_batch_run_seconds", "Since the first file began",
                                    value=time.monotonic() - counts.began)  # fmt: skip

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
