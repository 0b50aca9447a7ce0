"""`POST /v1/denoise` of a real server: the same kind back, what is refused, and nothing left on the disk."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from require import require
from serving import NOISY, Served, serving, until

for package in ("starlette", "uvicorn", "python_multipart", "websockets"):
    require(package, reason="the server needs its packages: pip install 'denoise-wrapper[serve]'")

import soundfile  # noqa: E402

from denoise_wrapper import Denoiser  # noqa: E402
from denoise_wrapper.serve.uploads import NAMES, kind_of, result_name  # noqa: E402


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with serving("--max-upload", "3", "--idle", "1") as served:
        yield served


def left(server: Served) -> list[str]:
    return [path.name for path in server.spool.glob(".*/*")]


def form(data: bytes, name: str, part: str = "file") -> tuple[bytes, str]:
    head = f'--x\r\nContent-Disposition: form-data; name="{part}"; filename="{name}"\r\n\r\n'
    first = '--x\r\nContent-Disposition: form-data; name="note"\r\n\r\na note\r\n'
    return first.encode() + head.encode() + data + b"\r\n--x--\r\n", "multipart/form-data; boundary=x"


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "aiff"])
def test_the_same_kind_comes_back_as_filter_makes_it(server: Served, suffix: str, tmp_path: Path) -> None:
    noisy, rate = soundfile.read(NOISY, dtype="int16")
    source = tmp_path / f"talk.{suffix}"
    soundfile.write(source, noisy[: 2 * rate], rate)
    answer = server.ask("POST", "/v1/denoise?preset=voice&name=talk", source.read_bytes())
    assert answer.status == 200, answer.body
    kind, own = kind_of(answer.body[:16])
    assert answer.headers["content-type"] == kind
    assert answer.headers["content-disposition"].endswith(f"talk_denoised{own}")
    wanted = Denoiser("rnnoise", preset="voice").filter_file(source)
    np.testing.assert_array_equal(soundfile.read(io.BytesIO(answer.body))[0], soundfile.read(wanted)[0])
    with soundfile.SoundFile(io.BytesIO(answer.body)) as file, soundfile.SoundFile(source) as before:
        assert (file.format, file.subtype, file.samplerate) == (before.format, before.subtype, before.samplerate)
    until(lambda: not left(server))


def test_tags_and_a_form_and_another_format(server: Served, tmp_path: Path) -> None:
    mutagen = require("mutagen", reason="tags: pip install 'denoise-wrapper[tags]'")
    noisy, rate = soundfile.read(NOISY, dtype="int16")
    source = tmp_path / "talk.flac"
    soundfile.write(source, noisy[:rate], rate)
    tags = mutagen.File(source)
    tags["title"] = "Ein Gespräch"
    tags.save()
    body, kind = form(source.read_bytes(), "Gespräch.flac")
    answer = server.ask("POST", "/v1/denoise", body, Content_Type=kind)
    assert answer.status == 200, answer.body
    assert mutagen.File(io.BytesIO(answer.body))["title"] == ["Ein Gespräch"]
    assert "Gespr%C3%A4ch_denoised.flac" in answer.headers["content-disposition"]
    answer = server.ask("POST", "/v1/denoise?format=wav", body, Content_Type=kind)
    assert answer.body.startswith(b"RIFF")


@pytest.mark.parametrize(
    ("path", "body", "status", "reason"),
    [
        ("?backend=nonsense", b"RIFF", 400, "query"),
        ("?backend=librnnoise", b"RIFF", 400, "query"),
        ("?mix=2", b"RIFF", 400, "query"),
        ("?mix=nan", b"RIFF", 400, "query"),
        ("?atten_lim_db=loud", b"RIFF", 400, "query"),
        ("?model=/etc/passwd", b"RIFF", 400, "query"),
        ("?format=../x", b"RIFF", 400, "query"),
        ("?preset=quiet", b"RIFF", 400, "query"),
        ("", b"", 400, "audio"),
        ("", b"no audio at all, but some words", 422, "audio"),
        ("", bytes((3 << 20) + 1), 413, "size"),
    ],
)
def test_what_is_refused_says_why(server: Served, path: str, body: bytes, status: int, reason: str) -> None:
    answer = server.ask("POST", f"/v1/denoise{path}", body)
    assert (answer.status, answer.reason) == (status, reason)
    assert str(server.spool) not in answer.body.decode()
    until(lambda: not left(server))


FILE_PART = b'Content-Disposition: form-data; name="file"\r\n\r\nRIFF\r\n--x--\r\n'


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"--x\r\nnonsense", "multipart/form-data; boundary=x"),
        (b"RIFF", "multipart/form-data"),
        (form(b"RIFF", "a.wav", part="sound")[0], "multipart/form-data; boundary=x"),
        (b"--x\r\n" + b"A" * 100_000, "multipart/form-data; boundary=x"),
        (b"--x\r\nA:1\r\nB:2\r\nC:3\r\nD:4\r\nE:5\r\nF:6\r\n" + FILE_PART, "multipart/form-data; boundary=x"),
    ],
)
def test_a_form_that_is_damaged_is_refused(server: Served, body: bytes, kind: str) -> None:
    answer = server.ask("POST", "/v1/denoise", body, Content_Type=kind)
    assert (answer.status, answer.reason) == (400, "form")


def raw(server: Served, head: str, body: bytes = b"") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    connection.sendall(f"{head}\r\nHost: 127.0.0.1\r\n\r\n".encode() + body)
    return connection


def test_a_body_that_ends_early_or_stands_still_leaves_nothing(server: Served) -> None:
    chunked = "POST /v1/denoise HTTP/1.1\r\nTransfer-Encoding: chunked"
    with raw(server, chunked, b"400\r\n" + bytes(0x400) + b"\r\n"):
        until(lambda: left(server))  # cut off in the midst
    until(lambda: not left(server))
    with raw(server, "POST /v1/denoise HTTP/1.1\r\nContent-Length: 5000", bytes(100)) as connection:
        assert b" 408 " in connection.recv(1000)
    until(lambda: not left(server))
    with raw(server, chunked) as connection:  # that does not say how much comes
        with contextlib.suppress(OSError):
            for _ in range(80):
                connection.sendall(b"10000\r\n" + bytes(0x10000) + b"\r\n")
        assert b" 413 " in connection.recv(1000)


def test_a_quota_and_what_is_open_at_a_time_are_kept(tmp_path: Path) -> None:
    with serving("--spool-limit", "1", "--max-uploads", "1", "--per-minute", "5") as server:
        answer = server.ask("POST", "/v1/denoise", bytes(2 << 20))
        assert (answer.status, answer.reason) == (507, "disk")
        until(lambda: not left(server))
        with raw(server, "POST /v1/denoise HTTP/1.1\r\nContent-Length: 5000", bytes(100)):
            until(lambda: left(server))
            answer = server.ask("POST", "/v1/denoise", b"RIFF")
            assert (answer.status, answer.reason) == (503, "busy")
            assert int(answer.headers["retry-after"]) > 0
        until(lambda: not left(server))
        noisy, rate = soundfile.read(NOISY, dtype="int16", frames=48000)
        soundfile.write(tmp_path / "a.wav", np.tile(noisy, 6), rate)  # half the quota, and so is its result
        assert server.ask("POST", "/v1/denoise", (tmp_path / "a.wav").read_bytes()).status in (200, 507)
        statuses = [server.ask("POST", "/v1/denoise", b"") for _ in range(4)]
        assert statuses[-1].status == 429
        assert "retry-after" in statuses[-1].headers
        assert server.ask("GET", "/healthz").status == 200
        assert server.metric('denoise_rejections_total{reason="rate"}') >= 1


SMALL = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
"""


@pytest.mark.skipif(os.name == "nt", reason="no bound on the size of files there")
def test_a_disk_that_takes_no_more_is_507() -> None:
    with serving(before=SMALL) as server:
        answer = server.ask("POST", "/v1/denoise", bytes(200_000))
        assert (answer.status, answer.reason) == (507, "disk")
        data = io.BytesIO()
        soundfile.write(data, np.zeros(96000, np.int16), 48000, format="FLAC")  # there is room for it, none as WAV
        answer = server.ask("POST", "/v1/denoise?format=wav", data.getvalue())
        assert (answer.status, answer.reason) == (507, "disk"), answer.body
        until(lambda: not left(server))


@pytest.mark.fault
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_after_any_end(number: int) -> None:
    with serving() as server:
        with raw(server, "POST /v1/denoise HTTP/1.1\r\nContent-Length: 5000", bytes(100)):
            until(lambda: left(server))
            os.kill(server.process.pid, number)  # before the connection ends, after which a server removes it
            assert server.process.wait(20) == (-number if number == signal.SIGKILL else 0)
        if number == signal.SIGKILL:
            assert left(server)
            with serving(spool=server.spool):
                assert not left(server)  # the next one removes it
        assert not list(server.spool.iterdir())


@pytest.mark.fault
def test_an_upload_without_end_is_waited_for_no_longer_than_the_time_of_grace() -> None:
    with serving("--grace", "6") as server:
        with raw(server, "POST /v1/denoise HTTP/1.1\r\nContent-Length: 5000", bytes(100)):
            until(lambda: left(server))
            server.process.terminate()
            assert server.process.wait(20) == 0  # by itself; once that time has passed the end is by force, with 143
        assert not list(server.spool.iterdir())


def test_names_of_results_hold_nothing_that_acts() -> None:
    assert result_name("../../etc/pass\nwd.wav", ".wav") == "passwd_denoised.wav"
    assert result_name("C:\\talks\\a.b.flac", ".flac") == "a.b_denoised.flac"
    assert result_name("...", ".wav") == "audio_denoised.wav"
    assert len(result_name("a" * 5000, ".wav")) < 300


def test_the_description_is_openapi_and_names_every_path(server: Served) -> None:
    validator = require("openapi_spec_validator")
    described = json.loads(server.ask("GET", "/openapi.json").body)
    validator.validate(described)
    for path, methods in described["paths"].items():
        for method in methods:
            assert server.ask(method.upper(), path).status not in (404, 405), path
    names = {each["name"] for each in described["paths"]["/v1/denoise"]["post"]["parameters"]}
    assert names == {*NAMES, "name"}
