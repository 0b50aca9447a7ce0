"""`batch` on object storage: fsspec's own in memory, and emulators of S3, Google's and Azure's that are installed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from batch_runs import batch, contents, make_files
from require import require
from storms import AZURE_KEY, REFUSAL, SECRET, Proxy, bucket

from denoise_wrapper.cluster import store
from denoise_wrapper.cluster.manifest import NAME
from denoise_wrapper.errors import ConfigError, FileError

fsspec = require("fsspec")


@pytest.fixture
def memory(tmp_path: Path) -> Any:
    """Storage in memory, with a corpus in it that is in a folder too."""
    system = fsspec.filesystem("memory")
    system.store.clear()
    make_files(tmp_path / "in", {"a.wav": 0.2, "sub/b.flac": 0.4})
    for name, data in contents(tmp_path / "in").items():
        system.pipe_file(f"/raw/calls/{name}", data)
    system.pipe_file("/raw/calls/notes.txt", b"no audio")
    yield system
    system.store.clear()


def stored(system: Any, prefix: str) -> dict[str, bytes]:
    found = system.find(prefix)
    return {name[len(prefix) + 1 :]: system.cat_file(name) for name in found if not name.endswith(".jsonl")}


def test_results_in_storage_are_those_of_files(memory: Any, tmp_path: Path) -> None:
    book = tmp_path / "book.jsonl"
    assert batch(tmp_path / "in", "-o", tmp_path / "out") == 0
    assert batch("memory://raw/calls", "-o", "memory://clean/x", "--manifest", book) == 0
    assert stored(memory, "/clean/x") == contents(tmp_path / "out")
    assert memory.cat_file(f"/clean/x/{NAME}") == book.read_bytes()
    assert batch("memory://raw/calls/**/*.flac", "-o", tmp_path / "flac") == 0
    assert set(contents(tmp_path / "flac")) == {"sub/b.flac"}
    assert batch(tmp_path / "in", "-o", "memory://clean/y", "--manifest", tmp_path / "other.jsonl") == 0
    assert stored(memory, "/clean/y") == stored(memory, "/clean/x")


def test_a_run_goes_on_from_the_manifest_in_storage(
    memory: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As where the machine that led the first run is gone, and its disk with it."""
    words = ("memory://raw/calls", "-o", "memory://clean/x", "--manifest")
    assert batch(*words, tmp_path / "one.jsonl") == 0
    assert batch(*words, tmp_path / "two.jsonl") == 2
    assert "tells of an earlier run" in capsys.readouterr().err
    memory.pipe_file("/clean/x/a.wav", b"damage")
    assert batch(*words, tmp_path / "two.jsonl", "--resume") == 0
    assert "1 done, 1 were done before" in capsys.readouterr().err


def test_two_machines_that_lead_in_turn_know_of_each_other(
    memory: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first leads again, with a manifest of its own that is older than the copy beside the results."""
    words = ("memory://raw/calls", "-o", "memory://clean/x", "--resume", "--manifest")
    assert batch(*words, tmp_path / "one.jsonl") == 0
    memory.pipe_file("/raw/calls/c.wav", memory.cat_file("/raw/calls/a.wav"))
    assert batch(*words, tmp_path / "two.jsonl") == 0
    assert "1 done, 2 were done before" in capsys.readouterr().err
    assert batch(*words, tmp_path / "one.jsonl") == 0
    assert "0 done, 3 were done before" in capsys.readouterr().err
    lines = [json.loads(line) for line in memory.cat_file(f"/clean/x/{NAME}").splitlines()]
    assert len([line for line in lines if line["event"] == "done"]) == 3


def test_outputs_of_like_names_have_manifests_of_their_own(
    memory: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for output in ("memory://clean/x", "memory://clean-x", "memory://clean/y/x"):
        assert batch("memory://raw/calls", "-o", output) == 0
    assert len(list(tmp_path.glob("denoise-batch-*.jsonl"))) == 3


def test_storage_that_fails_is_tried_again(memory: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put, failures = type(memory).pipe_file, iter([OSError("500 Internal Error"), TimeoutError("slow")])

    def failing(self: Any, path: str, *rest: Any, **more: Any) -> None:
        error = next(failures, None) if path.endswith(".wav") else None
        if error is not None:
            raise error
        put(self, path, *rest, **more)

    monkeypatch.setattr(type(memory), "pipe_file", failing)
    book = tmp_path / "book.jsonl"
    assert batch("memory://raw/calls", "-o", "memory://clean/x", "--manifest", book) == 0
    lines = [json.loads(line) for line in book.read_text().splitlines()]
    tries = [(line["attempt"], line["event"]) for line in lines if line.get("source", "").endswith("a.wav")]
    assert tries == [(1, "failed"), (2, "failed"), (3, "done")]


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("s3://key:secret@bucket/x", "holds no key"),
        ("az://container/x?sig=abc", "holds no key"),
        ("s3://bucket/../x", "has no '..'"),
        ("s3:///x", "names a bucket"),
        ("ftp://host/x", "no storage known here"),
    ],
)
def test_addresses_that_are_none_are_refused(place: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        store.normal(place)
    assert "secret" not in str(caught.value)
    assert "sig=abc" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "output"),
    [
        ("s3://b/raw", "s3://b/raw"),
        ("s3://b/raw/", "s3a://b/raw/clean"),
        ("s3://b/raw/*.wav", "s3://b/raw/clean"),
        ("gs://b", "gcs://b/clean"),
        ("abfs://c/raw", "az://c/raw/clean"),
    ],
)
def test_an_output_in_an_input_of_storage_is_refused_before_anything_is_asked(
    given: str, output: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(store, "opened", lambda place: pytest.fail(f"{place} was opened"))
    assert batch(given, "-o", output) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "is the input" in line or "lies inside the input" in line


def test_credentials_are_taken_out_of_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "/Qsecret/token+Q==")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", __file__)
    assert store.redacted(f"no key in {__file__}, /Qsecret/token+Q== came") == f"no key in {__file__}, *** came"
    text = f"403 for {SECRET} AKIAABCDEFGHIJKLMNOP https://u:p@host/x?sig=abc%3D&X-Amz-Signature=99 AccountKey=abc;"
    told = store.redacted(text)
    for secret in (SECRET, "AKIAABCDEFGHIJKLMNOP", "u:p", "abc%3D", "=99", "=abc"):
        assert secret not in told
    assert told.startswith("403 for *** ")


NEEDS = {"s3": ("moto", "flask", "s3fs"), "gs": ("gcp_storage_emulator", "gcsfs"), "az": ("adlfs",)}


@pytest.fixture(scope="module", params=["s3", "gs", "az"])
def cloud(request: pytest.FixtureRequest) -> Iterator[tuple[str, Proxy]]:
    """(address of a bucket, proxy before its storage), and the environment that leads there."""
    for package in NEEDS[request.param]:
        pytest.importorskip(package, reason="emulators of storage are installed apart: make cluster")
    if request.param == "az" and shutil.which(os.environ.get("AZURITE", "azurite-blob")) is None:
        pytest.skip("Azure's storage is emulated by Azurite, a package of npm: AZURITE=.../azurite-blob make cluster")
    with bucket(request.param) as (address, _, proxy):
        yield address, proxy


def test_every_file_is_whole_although_requests_fail(cloud: tuple[str, Proxy], tmp_path: Path) -> None:
    address, proxy = cloud
    make_files(tmp_path / "in", {f"sub/{number}.wav": 0.2 for number in range(6)})
    for name in contents(tmp_path / "in"):
        store.store(tmp_path / "in" / name, f"{address}/in/{name}")
    assert batch(tmp_path / "in", "-o", tmp_path / "out") == 0
    words, before = (f"{address}/in", "-o", f"{address}/out", "--manifest", tmp_path / "book.jsonl"), proxy.failed
    proxy.storm(failing=0.2, delay_s=0.02)
    try:
        assert batch(*words, "--attempts", 9) == 0
    finally:
        proxy.storm()
    assert proxy.failed > before
    for name, data in contents(tmp_path / "out").items():
        store.fetch(f"{address}/out/{name}", tmp_path / "got")
        assert (tmp_path / "got").read_bytes() == data
    assert len(store.below(f"{address}/out")) == 6 + 1
    assert batch(*words, "--resume") == 0
    lines = (tmp_path / "book.jsonl").read_text().splitlines()
    done = [line["target"] for line in map(json.loads, lines) if line["event"] == "done"]
    assert len(done) == len(set(done)) == 6
    for secret in (SECRET, AZURE_KEY):
        assert secret not in "".join(lines)


@pytest.mark.parametrize("place", ["absent-bucket", "corpus/absent"])
def test_a_bucket_that_is_not_there_is_said_in_a_line(
    cloud: tuple[str, Proxy], tmp_path: Path, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    scheme = cloud[0].partition(":")[0]
    assert batch(f"{scheme}://{place}", "-o", tmp_path / "out") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert place in line
    assert not (tmp_path / "out").exists()


def test_a_bucket_to_write_to_that_is_not_there_is_said_in_a_line(
    cloud: tuple[str, Proxy], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_files(tmp_path / "in", {"a.wav": 0.2})
    absent = f"{cloud[0].partition(':')[0]}://absent-bucket/x"
    assert batch(tmp_path / "in", "-o", absent, "--manifest", tmp_path / "book") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("denoise-wrapper: cannot ")
    assert "absent-bucket" in line


def test_a_key_that_has_expired_is_said_in_a_line(
    cloud: tuple[str, Proxy], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    address, proxy = cloud
    proxy.answer = REFUSAL[address.partition(":")[0]]
    try:
        assert batch(f"{address}/in", "-o", tmp_path / "out") == 2
    finally:
        proxy.answer = None
    (line,) = capsys.readouterr().err.splitlines()
    assert "see whether bucket, key and its date are right" in line
    assert SECRET not in line
    assert AZURE_KEY not in line
    assert not (tmp_path / "out").exists()


def test_a_package_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> None:
        raise ImportError("install s3fs")

    monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
    with pytest.raises(ConfigError, match=r"denoise-wrapper\[s3\]"):
        store.opened("s3://bucket/x")
    with pytest.raises(FileError):
        store.look("/" + "x" * 5000)
