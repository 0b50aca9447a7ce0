"""`batch` on object storage: fsspec's own in memory, and S3 as moto emulates it, where that is installed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from batch_runs import batch, contents, make_files
from require import require
from storms import Proxy, moto_server

from denoise_wrapper.cluster import store
from denoise_wrapper.cluster.manifest import NAME
from denoise_wrapper.errors import ConfigError, FileError

fsspec = require("fsspec")
SECRET = "not-a-real-secret-1234"


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


def test_credentials_are_taken_out_of_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    text = f"403 for {SECRET} AKIAABCDEFGHIJKLMNOP https://u:p@host/x?sig=abc%3D&X-Amz-Signature=99 AccountKey=abc;"
    told = store.redacted(text)
    for secret in (SECRET, "AKIAABCDEFGHIJKLMNOP", "u:p", "abc%3D", "=99", "=abc"):
        assert secret not in told
    assert told.startswith("403 for *** ")


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    """S3 on the loopback: (client, proxy before it), and the environment that leads there."""
    for package in ("moto", "s3fs", "flask"):
        pytest.importorskip(package, reason="S3 on the loopback wants moto[server] and s3fs: make cluster")
    import boto3

    with moto_server() as port, Proxy(port) as proxy, pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ACCESS_KEY_ID": "testing-access", "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{proxy.port}",
        }.items():  # fmt: skip
            patch.setenv(name, value)
        client = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{port}")
        client.create_bucket(Bucket="corpus")
        yield client, proxy
        fsspec.filesystem("s3").clear_instance_cache()


class TestS3:
    def test_every_file_is_whole_although_requests_fail(self, s3: Any, tmp_path: Path) -> None:
        client, proxy = s3
        make_files(tmp_path / "in", {f"sub/{number}.wav": 0.2 for number in range(6)})
        for name, data in contents(tmp_path / "in").items():
            client.put_object(Bucket="corpus", Key=f"in/{name}", Body=data)
        assert batch(tmp_path / "in", "-o", tmp_path / "out") == 0
        proxy._failing, book = 0.2, tmp_path / "book.jsonl"
        try:
            assert batch("s3://corpus/in", "-o", "s3://corpus/out", "--manifest", book, "--attempts", 9) == 0
        finally:
            proxy._failing = 0.0
        assert proxy.failed > 0
        got = {}
        for each in client.list_objects_v2(Bucket="corpus", Prefix="out/sub")["Contents"]:
            got[each["Key"].removeprefix("out/")] = client.get_object(Bucket="corpus", Key=each["Key"])["Body"].read()
        assert got == contents(tmp_path / "out")
        assert SECRET not in book.read_text()
        assert batch("s3://corpus/in", "-o", "s3://corpus/out", "--manifest", book, "--resume") == 0
        events = [json.loads(line) for line in book.read_text().splitlines()]
        done = [event["target"] for event in events if event["event"] == "done"]
        assert len(done) == len(set(done)) == 6

    @pytest.mark.parametrize("bucket", ["absent-bucket", "corpus/absent"])
    def test_a_bucket_that_is_not_there_is_said_in_a_line(
        self, s3: Any, tmp_path: Path, bucket: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert batch(f"s3://{bucket}", "-o", tmp_path / "out") == 2
        said = capsys.readouterr().err.splitlines()
        assert len([line for line in said if bucket in line]) == 1
        assert "Traceback" not in "".join(said)

    def test_a_bucket_to_write_to_that_is_not_there_is_said_in_a_line(
        self, s3: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        make_files(tmp_path / "in", {"a.wav": 0.2})
        assert batch(tmp_path / "in", "-o", "s3://absent-bucket/x", "--manifest", tmp_path / "book") == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "absent-bucket" in line

    def test_a_key_that_has_expired_is_said_in_a_line(
        self, s3: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        _, proxy = s3
        words = "<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"
        proxy.answer = 400, words.encode()
        try:
            assert batch("s3://corpus/in", "-o", tmp_path / "out") == 2
        finally:
            proxy.answer = None
        (line,) = capsys.readouterr().err.splitlines()
        assert "has expired" in line
        assert "see whether bucket, key and its date are right" in line
        assert os.environ["AWS_SECRET_ACCESS_KEY"] not in line
        assert not (tmp_path / "out").exists()


def test_a_package_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> None:
        raise ImportError("install s3fs")

    monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
    with pytest.raises(ConfigError, match=r"denoise-wrapper\[s3\]"):
        store.opened("s3://bucket/x")
    with pytest.raises(FileError):
        store.look("/" + "x" * 5000)
