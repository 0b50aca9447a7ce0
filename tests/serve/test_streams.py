"""`WS /v1/stream` of a real server: what a Stream gives, to many at once, whatever a hostile one does."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from require import require
from serving import Served, command, serving, start, stream_all, until
from speech import speechlike

for package in ("starlette", "uvicorn", "python_multipart", "websockets"):
    require(package, reason="the server needs its packages: pip install 'denoise-wrapper[serve]'")

from websockets.exceptions import ConnectionClosed, InvalidStatus  # noqa: E402

from denoise_wrapper import Denoiser  # noqa: E402

IDLE_S = 2.5  # that hostile clients have


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with serving("--per-client", "0", "--per-minute", "0") as served:
        yield served


def signal_of(kind: str, channels: int, seed: int = 0) -> Any:
    """A second of something like speech, and noise of its own."""
    rng = np.random.default_rng(seed)
    samples = speechlike(100)[:, None] + 0.02 * rng.standard_normal((48000, channels))
    samples = samples[:, 0] if channels == 1 else samples
    return (samples * 32767).clip(-32768, 32767).astype("<i2") if kind == "int16" else samples.astype("<f4")


def clean(samples: Any, rate: int = 48000, **how: Any) -> Any:
    """What a Stream makes of it, the tail too."""
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    with Denoiser(**how).stream(rate, channels) as stream:
        return np.concatenate([stream.process(samples), stream.flush()])


@pytest.mark.parametrize(
    ("rate", "kind", "channels", "chunk", "how"),
    [
        (48000, "int16", 1, 480, {}),
        (48000, "float32", 2, 441, {"preset": "voice"}),
        (16000, "int16", 1, 160, {"atten_lim_db": 12.0}),
        (44100, "float32", 1, 30000, {"mix": 0.5}),
    ],
)
def test_a_stream_gives_what_a_stream_gives(
    server: Served, rate: int, kind: str, channels: int, chunk: int, how: dict[str, Any]
) -> None:
    samples = signal_of(kind, channels)
    with server.connect() as ws:
        begun = start(ws, sample_rate=rate, channels=channels, dtype=kind, **how)
        assert begun["type"] == "started"
        assert begun["latency"] == Denoiser().latency(rate)
        np.testing.assert_array_equal(stream_all(ws, samples, chunk), clean(samples, rate, **how))
        np.testing.assert_array_equal(
            stream_all(ws, samples, chunk), clean(samples, rate, **how)
        )  # fresh after a flush


def test_many_at_once_give_each_its_own(server: Served) -> None:
    results: dict[int, Any] = {}

    def talk(number: int) -> None:
        with server.connect() as ws:
            start(ws, backend=("rnnoise", "rnnoise-classic")[number % 2])
            results[number] = stream_all(ws, signal_of("int16", 1, number), 480)

    threads = [threading.Thread(target=talk, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(12):
        wanted = clean(signal_of("int16", 1, number), backend=("rnnoise", "rnnoise-classic")[number % 2])
        np.testing.assert_array_equal(results[number], wanted)


def test_a_switch_and_a_limit_change_a_stream_without_a_jump_in_time(server: Served) -> None:
    samples = signal_of("int16", 1)
    with server.connect() as ws:
        start(ws, latency=4800, speech=True)
        assert command(ws, type="switch", backend="rnnoise-classic")["backend"] == "rnnoise-classic"
        assert command(ws, type="limit", atten_lim_db=0)["atten_lim_db"] == 0
        got = []
        spoken = 0
        for at in range(0, len(samples), 480):
            ws.send(samples[at : at + 480].tobytes())
            while isinstance(answer := ws.recv(timeout=20), str):
                spoken += json.loads(answer)["type"] == "speech"
            got.append(answer)
        late = np.frombuffer(b"".join(got), "<i2").astype(float)
        half = len(samples) // 2  # a limit of 0 dB passes all, once it is heard
        residual = late[half:] - samples[half - 4800 : -4800]
        assert np.sqrt(np.mean(residual**2)) < 0.05 * np.sqrt(np.mean(late[half:] ** 2))
        assert spoken >= 1


def test_a_backend_that_is_slower_than_the_stream_is_said_and_survived(server: Served) -> None:
    with server.connect() as ws:
        start(ws)
        answer = command(ws, type="switch", backend="dtln-16k")
        assert answer["type"] == "error"
        assert "latency" in answer["message"]
        ws.send(bytes(960))
        assert ws.recv(timeout=20) == bytes(960)


@pytest.mark.parametrize(
    "message",
    [
        "no JSON",
        "[1, 2]",
        '{"kind": "start"}',
        '{"type": "jump"}',
        "[" * 100_000,
        bytes(960),
        '{"type": "start"}',
        '{"type": "start", "sample_rate": 1e999}',
        '{"type": "start", "sample_rate": 99999999}',
        '{"type": "start", "sample_rate": 48000, "channels": 200}',
        '{"type": "start", "sample_rate": 48000, "latency": 48000000}',
        '{"type": "start", "sample_rate": 48000, "dtype": "int24"}',
        '{"type": "start", "sample_rate": 48000, "model": "/etc/passwd"}',
        '{"type": "start", "sample_rate": 48000, "backend": ["rnnoise"]}',
    ],
)
def test_what_is_none_of_the_protocol_is_said_and_ends_the_connection(server: Served, message: str | bytes) -> None:
    with server.connect() as ws:
        ws.send(message)
        assert json.loads(ws.recv(timeout=20))["type"] == "error"
        with pytest.raises(ConnectionClosed) as closed:
            ws.recv(timeout=20)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code in (1007, 1008)


def test_messages_that_come_faster_than_they_are_answered_are_answered_each(server: Served) -> None:
    rng = np.random.default_rng(2)
    samples = signal_of("float32", 1)
    bad = np.full(7, np.inf, "<f4")
    with server.connect() as ws:
        start(ws, dtype="float32")
        at, sizes = 0, []
        for number in range(200):
            size = int(rng.integers(0, 300))
            ws.send(samples[at : at + size].tobytes())
            sizes.append(4 * size)
            at += size
            if number % 50 == 20:
                ws.send(bad.tobytes())
                ws.send('{"type": "limit"}')
        ws.send('{"type": "flush"}')
        answers = [ws.recv(timeout=20) for _ in range(200 + 2 * 4 + 2)]
    sound = [answer for answer in answers if isinstance(answer, bytes)]
    words = [json.loads(answer)["type"] for answer in answers if isinstance(answer, str)]
    assert [len(answer) for answer in sound[:-1]] == sizes
    assert words == ["error", "limited"] * 4 + ["flushed"]
    late = np.frombuffer(b"".join(sound), "<f4")
    wanted = clean(samples[:at])
    half = len(wanted) // 2  # a limit that is set to none fades over into the same
    assert len(late) == len(wanted)
    np.testing.assert_array_equal(late[: sum(sizes[:20]) // 4], wanted[: sum(sizes[:20]) // 4])
    assert np.sum((late[half:] - wanted[half:]) ** 2) < 0.3 * np.sum(wanted[half:] ** 2)


def test_samples_that_are_no_numbers_are_left_out(server: Served) -> None:
    samples = signal_of("float32", 1)
    with server.connect() as ws:
        start(ws, dtype="float32")
        ws.send(np.full(480, np.nan, "<f4").tobytes())
        assert json.loads(ws.recv(timeout=20))["type"] == "error"
        np.testing.assert_array_equal(stream_all(ws, samples, 480), clean(samples))


def test_hostile_clients_are_ended_and_nobody_else_notices() -> None:
    """Slow, silent, greedy, giant, half-closed and cut off, beside one that speaks in real time."""
    with serving("--idle", str(IDLE_S), "--per-client", "0", "--per-minute", "0") as server:
        hostile(server)


def hostile(server: Served) -> None:
    worst: list[float] = []
    over = threading.Event()

    def speak() -> None:
        with server.connect() as ws:
            start(ws)
            due = time.perf_counter()
            while not over.is_set():
                due += 0.01
                time.sleep(max(0.0, due - time.perf_counter()))
                begin = time.perf_counter()
                ws.send(bytes(960))
                ws.recv(timeout=20)
                worst.append(time.perf_counter() - begin)

    speaker = threading.Thread(target=speak)
    speaker.start()
    handshake = (
        b"GET /v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    here = ("127.0.0.1", server.port)

    def opened() -> socket.socket:
        connection = socket.create_connection(here, timeout=20)
        connection.sendall(handshake)
        assert b" 101 " in connection.recv(4096)
        return connection

    silent, half = opened(), opened()
    giant = opened()
    giant.sendall(struct.pack("!BBQI", 0x82, 0xFF, 1 << 40, 0) + bytes(1000))
    torn = opened()
    torn.sendall(b"\xff\xff\xff\xff\xff\xff")
    half.shutdown(socket.SHUT_WR)
    begin, chunk = frame(0x81, b'{"type": "start", "sample_rate": 48000}'), frame(0x82, bytes(1 << 19))
    greedy = opened()  # sends and never reads
    greedy.sendall(begin)
    flood = threading.Thread(target=_flood, args=(greedy, chunk))
    flood.start()
    for number in range(8):
        cut = opened() if number % 4 else socket.create_connection(here)
        cut.sendall(handshake[: 10 * number] if number % 4 == 0 else (begin + chunk)[: 10**number])
        cut.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        cut.close()  # at once, with what was on its way
    for each in (silent, giant, torn, half):
        try:
            while each.recv(4096):
                pass  # until the server ends it
        except ConnectionResetError:
            pass
        each.close()
    flood.join(20)
    assert not flood.is_alive()
    until(lambda: server.metric('denoise_open{kind="streams"}') == 1.0, IDLE_S + 10)
    over.set()
    speaker.join(20)
    assert len(worst) > 50
    assert np.median(worst) < 0.05  # a server that is stuck would have kept it for seconds
    assert server.metric('denoise_rejections_total{reason="idle"}') >= 2
    assert server.process.poll() is None


def frame(kind: int, data: bytes) -> bytes:
    """A message as the protocol has it, with a mask of zeros."""
    size = struct.pack("!B", 0x80 | len(data)) if len(data) < 126 else b"\xff" + struct.pack("!Q", len(data))
    size = b"\xfe" + struct.pack("!H", len(data)) if 126 <= len(data) < 1 << 16 else size
    return bytes([kind]) + size + bytes(4) + data


def _flood(connection: socket.socket, data: bytes) -> None:
    try:
        for _ in range(1000):
            connection.sendall(data)
    except OSError:
        return


def test_streams_of_one_address_and_in_all_are_bounded() -> None:
    with serving("--per-client", "2", "--max-streams", "3") as server, server.connect():
        with server.connect():
            assert refused(server) == 429
        until(lambda: server.metric('denoise_open{kind="streams"}') == 1.0)
        with server.connect() as ws:
            assert start(ws)["type"] == "started"
    with serving("--max-streams", "1") as server, server.connect():
        assert refused(server) == 503


def refused(server: Served) -> int:
    """Status by which a connection is refused."""
    with pytest.raises(InvalidStatus) as error, server.connect():
        pass
    return int(error.value.response.status_code)


def test_a_stream_lasts_no_longer_than_it_may() -> None:
    with serving("--stream-time", "1") as server, server.connect() as ws:
        start(ws)
        begin = time.monotonic()
        with contextlib.suppress(ConnectionClosed):
            while time.monotonic() < begin + 20:
                ws.send(bytes(960))
                ws.recv(timeout=20)
                time.sleep(0.01)
        assert 0.5 < time.monotonic() - begin < 20


def test_a_server_that_stops_gives_the_tail_and_says_so() -> None:
    samples = signal_of("int16", 1)[:4800]
    with serving() as server, server.connect() as ws:
        start(ws)
        got = []
        for at in range(0, len(samples), 480):
            ws.send(samples[at : at + 480].tobytes())
            got.append(ws.recv(timeout=20, decode=False))
        server.process.terminate()
        got.append(ws.recv(timeout=20, decode=False))
        np.testing.assert_array_equal(np.frombuffer(b"".join(got), "<i2"), clean(samples))
        assert json.loads(ws.recv(timeout=20))["type"] == "end"
        with pytest.raises(ConnectionClosed) as closed:
            ws.recv(timeout=20)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012
        assert server.process.wait(20) == 0
