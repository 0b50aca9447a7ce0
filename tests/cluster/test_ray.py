"""`batch --ray` and `denoise_wrapper.integrations.ray` on this machine, where Ray is installed: make cluster."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from batch_runs import batch, contents, make_files, records
from ray_nodes import add_node, cleaners, head
from storms import REFUSAL, SECRET, Proxy, bucket, free_port, wait_for

from denoise_wrapper import ConfigError, DenoiseError, Denoiser
from denoise_wrapper.cluster import store
from denoise_wrapper.cluster.manifest import NAME
from denoise_wrapper.cluster.plan import make_tasks
from denoise_wrapper.cluster.ray_engine import ray_engine, start
from denoise_wrapper.cluster.run import Counts, run_tasks
from denoise_wrapper.cluster.store import scheme_of
from denoise_wrapper.cluster.work import How

ray = pytest.importorskip("ray", reason="Ray is large, and installed apart: make cluster")
RATE = 16000


@pytest.fixture(scope="module")
def s3() -> Iterator[tuple[str, Proxy] | None]:
    """Storage that the workers of the cluster reach too, where its emulator is installed."""
    if any(importlib.util.find_spec(name) is None for name in ("moto", "flask", "s3fs")):
        yield None
        return
    with bucket("s3") as (address, _, proxy):
        yield address, proxy


@pytest.fixture(scope="module")
def cluster(s3: object) -> Iterator[Any]:
    """Ray on two cores of this machine, for all tests here, as it takes long to start; --ray finds it connected."""
    with head(cores=2) as nodes:
        yield start(nodes.address)
        ray.shutdown()


def test_results_are_those_without_ray(cluster: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_files(tmp_path / "in", {"a.wav": 0.2, "sub/b.flac": 0.5, "c.wav": 0.3})
    (tmp_path / "in/bad.wav").write_text("this is text")
    ways = {"out": ("--ray", "local"), "wide": ("--ray", "local", "--cpus-per-worker", 2), "plain": ()}
    for folder, words in ways.items():
        assert batch(tmp_path / "in", "-o", tmp_path / folder, "-b", "dtln-16k", "--mix", 0.9, *words) == 2
        assert "3 done, 1 failed" in capsys.readouterr().err
    assert contents(tmp_path / "out") == contents(tmp_path / "wide") == contents(tmp_path / "plain")
    workers = {line["worker"] for line in records(tmp_path / "out")}
    assert not {worker for worker in workers if worker.endswith(f":{os.getpid()}")}
    assert batch(tmp_path / "in", "-o", tmp_path / "out", "-b", "dtln-16k", "--mix", 0.9, "--resume") == 2
    assert "3 were done before" in capsys.readouterr().err


def test_ray_is_started_here_for_a_run_and_ends_with_it(tmp_path: Path) -> None:
    make_files(tmp_path / "in", {"a.wav": 0.2, "b.wav": 0.3})
    lines = (
        "from ray_nodes import at_once",
        "from denoise_wrapper.cli import main",
        "with at_once(): exit(main.main())",
    )
    words = ["batch", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--ray", "local", "--jobs", "2"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1] / "support"), *sys.path])}
    answer = subprocess.run(
        [sys.executable, "-c", "\n".join(lines), *words], capture_output=True, text=True, env=environment
    )
    assert answer.returncode == 0, answer.stderr
    assert "2 done" in answer.stderr
    assert batch(tmp_path / "in", "-o", tmp_path / "plain") == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "plain")


def test_a_cluster_that_is_not_there_is_said_in_a_line(tmp_path: Path) -> None:
    make_files(tmp_path / "in", {"a.wav": 0.2})
    words = [sys.executable, "-m", "denoise_wrapper", "batch", str(tmp_path / "in"), "-o", str(tmp_path / "out")]
    answer = subprocess.run([*words, "--ray", f"127.0.0.1:{free_port()}"], capture_output=True, text=True)
    assert answer.returncode == 2
    (line,) = answer.stderr.splitlines()
    assert "no cluster answers there" in line
    assert not (tmp_path / "out").exists()


def test_a_worker_that_is_killed_costs_the_files_that_it_was_at(cluster: Any, tmp_path: Path) -> None:
    make_files(tmp_path / "in", {f"{number:02}.wav": 60.0 for number in range(8)})
    killed: list[int] = []

    def kill() -> None:
        deadline = time.monotonic() + 120
        while not (found := cleaners(tmp_path / "out")) and time.monotonic() < deadline:
            time.sleep(0.01)
        for pid in found[:1]:
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)

    thread = threading.Thread(target=kill)
    thread.start()
    assert batch(tmp_path / "in", "-o", tmp_path / "out", "--ray", "local") == 0
    thread.join()
    assert len(killed) == 1
    assert batch(tmp_path / "in", "-o", tmp_path / "plain") == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "plain")
    done, begun = records(tmp_path / "out"), records(tmp_path / "out", "begin")
    assert len({line["target"] for line in done}) == len(done) == 8
    assert len(begun) == 8 + 2  # what it was at, and what waited behind that: either may have ended it
    assert {line["attempt"] for line in begun} == {1}
    assert records(tmp_path / "out", "failed") == []


def test_one_of_many_short_files_that_ends_its_worker_is_set_aside_alone(cluster: Any, tmp_path: Path) -> None:
    """Several go to a worker in one call; those beside the one at fault are not blamed for it."""

    class Deadly(Denoiser):
        def _transform(self, source: Any, *rest: Any) -> None:
            if Path(source).name == "07.wav":
                os._exit(9)
            super()._transform(source, *rest)

    make_files(tmp_path / "in", {f"{number:02}.wav": 0.2 for number in range(40)})
    made = make_tasks([str(tmp_path / "in")], str(tmp_path / "out"))
    counts = run_tasks(made, str(tmp_path / "out"), How(Deadly()), ray_engine(cluster), attempts=2)
    assert (counts.done, counts.failed) == (39, 1)
    done = records(tmp_path / "out")
    assert len({line["target"] for line in done}) == len(done) == 39
    assert {line["attempt"] for line in done} == {1}
    tries = [(Path(line["source"]).name, line["aside"]) for line in records(tmp_path / "out", "failed")]
    assert tries == [("07.wav", False), ("07.wav", True)]


def test_how_far_a_long_file_is_is_told_before_it_ends(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("denoise_wrapper.cluster.ray_engine.LOOK_S", 0.02)
    make_files(tmp_path / "in", {"long.wav": 900.0})  # guessed to be 450, more than LONG_S
    made, counts, seen = make_tasks([str(tmp_path / "in")], str(tmp_path / "out")), Counts(), list[float]()
    engine = ray_engine(cluster, check=lambda: seen.append(counts.seconds_open))
    run_tasks(made, str(tmp_path / "out"), How(Denoiser()), engine, counts=counts)
    assert seen == sorted(seen)
    assert len({each for each in seen if 0 < each < 900}) > 1
    assert (counts.seconds, counts.seconds_open) == (900.0, 0.0)


def test_a_disk_that_is_full_for_a_worker_ends_the_run_in_a_line(
    cluster: Any, small_disk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_files(tmp_path / "in", {f"{number}.wav": 2.0 for number in range(10)})
    words = ("--manifest", tmp_path / "book", "--ray", "local")
    assert batch(tmp_path / "in", "-o", small_disk / "out", *words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "the disk is full; stopped there, and --resume goes on" in line
    assert batch(tmp_path / "in", "-o", tmp_path / "plain") == 0
    assert contents(small_disk / "out").items() < contents(tmp_path / "plain").items()


@pytest.mark.parametrize("what", ["key", "bucket"])
def test_storage_that_refuses_a_worker_ends_the_run_in_a_line(
    cluster: Any, s3: tuple[str, Proxy] | None, what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A key that expires once all has been listed, and files that may be listed and not be read."""
    if s3 is None:
        pytest.skip("the emulator of S3 is installed apart: make cluster")
    (address, proxy), folder = s3, tmp_path / "in"
    make_files(folder, {f"{number}.wav": 0.5 for number in range(4)})
    for name in contents(folder):
        store.store(folder / name, f"{address}/{what}/in/{name}")
    output = f"{address}/{what}/out" if what == "key" else tmp_path / "out"
    words = (f"{address}/{what}/in", "-o", output, "--ray", "local", "--manifest", tmp_path / "book")
    denied = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
    proxy.answer = REFUSAL["s3"] if what == "key" else (403, denied)
    proxy.refuses = lambda method, path: method == ("PUT" if what == "key" else "GET") and ".wav" in path
    try:
        assert batch(*words) == 2
    finally:
        proxy.answer = None
    (line,) = capsys.readouterr().err.splitlines()
    assert "see whether bucket, key and its date are right; stopped there, and --resume goes on" in line
    assert SECRET not in line + (tmp_path / "book").read_text()
    assert not [name for name in store.below(f"{address}/{what}/out") if name.endswith(".wav")]
    assert not contents(tmp_path / "out")
    assert batch(*words, "--resume") == 0
    assert batch(folder, "-o", tmp_path / "plain") == 0
    for name, data in contents(tmp_path / "plain").items():
        store.copy(f"{output}/{name}", str(tmp_path / "got"), tmp_path / "scratch")
        assert (tmp_path / "got").read_bytes() == data


def test_a_node_that_goes_and_one_that_comes_cost_nothing(tmp_path: Path) -> None:
    """Two nodes in processes of their own; one is taken away while it works, and another one added."""
    make_files(tmp_path / "in", {f"{number:02}.wav": 60.0 for number in range(12)})
    with head(cores=0) as nodes:
        first = add_node(nodes)
        words = ["batch", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--ray", nodes.address]
        with subprocess.Popen([sys.executable, "-m", "denoise_wrapper", *words], stderr=subprocess.PIPE) as process:
            deadline = time.monotonic() + 120
            while not cleaners(tmp_path / "out") and time.monotonic() < deadline and process.poll() is None:
                time.sleep(0.01)
            nodes.remove_node(first, allow_graceful=False)
            assert process.poll() is None
            add_node(nodes)
            _, said = process.communicate(timeout=300)
        assert process.returncode == 0, said.decode()
    assert batch(tmp_path / "in", "-o", tmp_path / "plain") == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "plain")
    targets = [line["target"] for line in records(tmp_path / "out")]
    assert len(targets) == len(set(targets)) == 12
    assert len({line["worker"] for line in records(tmp_path / "out")}) > 1


def test_rays_own_metrics_tell_what_workers_have_done_and_how_far_all_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are what Prometheus reads; of the process that leads they go a while after it."""
    monkeypatch.setenv("RAY_metrics_report_interval_ms", "300")
    make_files(tmp_path / "in", {"a.wav": 0.5, "b.wav": 0.5})
    (tmp_path / "in/bad.wav").write_text("this is text")
    told = {"files": 2.0, "audio_seconds": 1.0, "failures": 1.0}
    with head(cores=2, small=False) as nodes:
        place = f"http://{nodes.head_node.node_ip_address}:{nodes.head_node.metrics_export_port}/metrics"

        def read(name: str) -> list[float]:
            lines = urllib.request.urlopen(place).read().decode().splitlines()
            return [float(line.split()[-1]) for line in lines if line.startswith(f"ray_denoise_{name}{{")]

        wait_for(nodes.head_node.metrics_export_port, nodes.head_node.node_ip_address)
        words = ["batch", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--ray", nodes.address, "--jobs", "1"]
        failed: list[float] = []
        with subprocess.Popen([sys.executable, "-m", "denoise_wrapper", *words], stderr=subprocess.DEVNULL) as process:
            while process.poll() is None:
                failed += read("batch_files_failed")
                time.sleep(0.1)
        assert process.returncode == 2
        deadline, found = time.monotonic() + 120, dict[str, float]()
        while found != told and time.monotonic() < deadline:
            failed += read("batch_files_failed")
            time.sleep(0.2)
            found = {name: sum(read(f"{name}_total")) for name in told}
        assert found == told
        assert 1.0 in failed


def test_a_dataset_is_cleaned_as_the_denoiser_does(cluster: Any) -> None:
    from denoise_wrapper.integrations.ray import denoise

    rng, denoiser = np.random.default_rng(1), Denoiser(preset="voice")
    clips = [0.1 * rng.standard_normal((1, 1600 * (1 + number))).astype(np.float32) for number in range(5)]
    rows = [{"amplitude": clip, "sample_rate": RATE, "number": number} for number, clip in enumerate(clips)]
    dataset = denoise(ray.data.from_items(rows), denoiser=denoiser, concurrency=1, batch_size=2)
    for row in dataset.take_all():
        expected = denoiser.filter(clips[row["number"]][0], RATE)
        np.testing.assert_array_equal(np.asarray(row["amplitude"]).reshape(-1), expected)


def test_a_dataset_of_files_keeps_or_drops_what_is_broken(cluster: Any) -> None:
    from denoise_wrapper.integrations.ray import denoise

    file = io.BytesIO()
    soundfile.write(file, 0.1 * np.random.default_rng(2).standard_normal(1600), RATE, format="WAV")
    cleaned = io.BytesIO()
    Denoiser().filter_file(io.BytesIO(file.getvalue()), cleaned)
    dataset = ray.data.from_items([{"bytes": data, "number": at} for at, data in enumerate((file.getvalue(), b"none"))])
    for on_error, expected in (("drop", [cleaned.getvalue()]), ("keep", [cleaned.getvalue(), b"none"])):
        rows = denoise(dataset, on_error=on_error, concurrency=1).take_all()  # type: ignore[arg-type]
        assert [row["bytes"] for row in sorted(rows, key=lambda row: row["number"])] == expected
    with pytest.raises(ConfigError, match="on_error is"):
        denoise(dataset, on_error="stop")  # type: ignore[arg-type]


def test_files_are_cleaned_from_within_a_program_on_ray(cluster: Any, tmp_path: Path) -> None:
    from denoise_wrapper.integrations.ray import denoise_files

    make_files(tmp_path / "in", {"a.wav": 0.2, "b.wav": 0.3})
    told = []
    counts = denoise_files(tmp_path / "in", tmp_path / "out", told=lambda outcome, last: told.append(outcome.kind))
    assert (counts.done, counts.failed, told) == (2, 0, ["done", "done"])
    assert denoise_files(tmp_path / "in", tmp_path / "out", resume=True).skipped == 2
    assert ray.is_initialized()
    with pytest.raises(DenoiseError, match="tells of an earlier run"):
        denoise_files(tmp_path / "in", tmp_path / "out")
    lines = [json.loads(line) for line in (tmp_path / "out" / NAME).read_text().splitlines()]
    assert all(scheme_of(line.get("target", "")) is None for line in lines)


def test_more_cores_than_there_are_is_said(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("denoise_wrapper.cluster.ray_engine.LOST_S", 3.0)
    make_files(tmp_path / "in", {"a.wav": 0.2})
    assert batch(tmp_path / "in", "-o", tmp_path / "out", "--ray", "local", "--cpus-per-worker", 64) == 2
    assert "each wants 64 free cores of one machine" in capsys.readouterr().err
