"""Load on `denoise-wrapper serve`: how many live streams of 10 ms chunks it carries, and how late its answers are.

python -m benchmarks.server --streams 25 50 100 --seconds 10        -b rnnoise for one backend
python -m benchmarks.server --cut 1000          connections that are opened and cut at random
python -m benchmarks.server --upload 2.07       a file of so many GB, of silence, to /v1/denoise

The server runs in a process of its own, the clients, which are written in C, in another: both share the processor. Each
client sends a chunk every 10 ms by the clock, whether the last was answered or not, and starts at its own moment.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import itertools
import json
import os
import random
import resource
import socket
import struct
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np

from benchmarks.programs import PLAINLY, compiled

HANDSHAKE = (
    b"GET /v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
CHUNK_S, RATE = 0.01, 48000  # s; Hz


def frame(kind: int, data: bytes) -> bytes:
    """A message of a client, with a mask of zeros."""
    size = bytes([0x80 | len(data)]) if len(data) < 126 else bytes([0xFE]) + len(data).to_bytes(2, "big")
    return bytes([kind]) + size + bytes(4) + data


def begin(port: int, backend: str) -> socket.socket:
    """A client whose stream has begun."""
    client = socket.create_connection(("127.0.0.1", port))
    client.sendall(HANDSHAKE)
    wait_for(client, b"\r\n\r\n")
    start = {"type": "start", "sample_rate": RATE, "backend": backend}
    client.sendall(frame(0x81, json.dumps(start).encode()))
    wait_for(client, b"}")
    return client


def wait_for(client: socket.socket, end: bytes) -> None:
    """Read what the server says to its end, which nothing follows."""
    said = b""
    while not said.endswith(end):
        more = client.recv(4096)
        if not more:
            raise RuntimeError(f"the server ended the connection after {said!r}")
        said += more


def carry(program: Path, server: subprocess.Popen[str], port: int, backend: str, streams: int, seconds: float) -> str:
    """How late the answers to so many streams are, each from when its chunk was due, but for the first second."""
    with ExitStack() as stack:
        numbers = [stack.enter_context(begin(port, backend)).fileno() for _ in range(streams)]
        spent_s, clients_s = processor_s(server.pid), children_s()
        words = [str(program), str(seconds), *map(str, numbers)]
        took = np.frombuffer(subprocess.run(words, pass_fds=numbers, stdout=subprocess.PIPE, check=True).stdout, "f4")
        spent_s, clients_s = processor_s(server.pid) - spent_s, children_s() - clients_s
    share_us = 1e6 * CHUNK_S / (streams * seconds)
    answered = len(took) / (streams * (seconds - 1.0) / CHUNK_S)
    p50, p99, p999 = np.quantile(took, (0.5, 0.99, 0.999)) if len(took) else (np.nan,) * 3
    return (
        f"{backend} {streams} streams: {100 * answered:.0f} % answered, {p50:.1f} ms, p99 {p99:.1f}, p99.9 {p999:.1f}, "
        f"worst {took.max(initial=0):.1f}; of the processor {share_us * spent_s:.0f} us a chunk for the server, "
        f"{share_us * clients_s:.0f} for the clients; load {os.getloadavg()[0]:.1f}"
    )


async def cut(port: int, count: int) -> None:
    """Connections that end at any moment of a stream, 50 at a time."""
    begin = frame(0x81, b'{"type": "start", "sample_rate": 48000}') + 50 * frame(0x82, bytes(960))
    rng, slots = random.Random(1), asyncio.Semaphore(50)

    async def one() -> None:
        async with slots:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            length = rng.randrange(len(HANDSHAKE + begin))
            writer.write(HANDSHAKE[:length])
            with suppress(TimeoutError):
                async with asyncio.timeout(rng.uniform(0, 0.2)):
                    if length > len(HANDSHAKE):
                        await reader.readuntil(b"\r\n\r\n")
                        writer.write(begin[: length - len(HANDSHAKE)])
                    await reader.readexactly(rng.randrange(20000))
            writer.transport.abort()

    await asyncio.gather(*(one() for _ in range(count)))


def upload(port: int, gigabytes: float) -> str:
    """Have a WAV of so many GB cleaned, 48 kHz stereo of int16; what came of it."""
    frames = round(gigabytes * 1e9 / 4)
    with tempfile.TemporaryFile() as file:
        head = struct.pack("<4sI8sIHHIIHH", b"RIFF", 4 * frames + 36, b"WAVEfmt ", 16, 1, 2, RATE, 4 * RATE, 4, 16)
        file.write(head + struct.pack("<4sI", b"data", 4 * frames))
        file.truncate(4 * frames + 44)
        file.seek(0)
        began, size = time.perf_counter(), 0
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.request("POST", "/v1/denoise", file, {"Content-Length": str(4 * frames + 44)})
        answer = connection.getresponse()
        while data := answer.read(1 << 20):
            size += len(data)
        return f"{answer.status}, {size / 1e9:.2f} GB in {time.perf_counter() - began:.0f} s"


def children_s() -> float:
    """Seconds of the processor that programs have had which this one ran to their end."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def processor_s(process: int) -> float:
    """Seconds of the processor that a process has had, all its threads together."""
    words = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(process: int, kind: str = "VmRSS") -> float:
    """Memory of a process, where the system tells. kind: VmHWM for the most that it has had."""
    status = Path(f"/proc/{process}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(kind)) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backends", "-b", nargs="*", default=["rnnoise", "dtln-16k"])
    parser.add_argument("--streams", type=int, nargs="*", default=[])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--cut", type=int, default=0)
    parser.add_argument("--upload", type=float, default=0.0)
    args = parser.parse_args()
    with compiled("clients", PLAINLY, alone=True) as program:
        run(program, args)


def run(program: Path | None, args: argparse.Namespace) -> None:
    """Start a server, and put on it what was asked for."""
    if program is None:
        raise SystemExit("the clients are written in C: no compiler (cc, or what CC names) was found")
    bounds = ["--per-client", "0", "--per-minute", "0", "--max-streams", "2000", "--max-upload", "4000"]
    server = subprocess.Popen(
        [sys.executable, "-m", "denoise_wrapper", "serve", "--port", "0", *bounds], stderr=subprocess.PIPE, text=True
    )
    try:
        assert server.stderr is not None
        port = int(server.stderr.readline().split()[2].rstrip("/").rsplit(":", 1)[1])
        for backend, streams in itertools.product(args.backends, args.streams):
            print(carry(program, server, port, backend, streams, args.seconds), flush=True)
        if args.cut:
            before = resident_mb(server.pid)
            for _ in range(4):
                began = time.perf_counter()
                asyncio.run(cut(port, args.cut))
                took_s = time.perf_counter() - began
                time.sleep(12)  # after which the server has let go of them
                print(f"{args.cut} cut in {took_s:.1f} s: {before:.0f} -> {resident_mb(server.pid):.0f} MB", flush=True)
        if args.upload:
            before, said = resident_mb(server.pid), upload(port, args.upload)
            most = resident_mb(server.pid, "VmHWM")
            print(f"{said}; {before:.0f} -> {resident_mb(server.pid):.0f} MB, at most {most:.0f}", flush=True)
    finally:
        server.terminate()
        server.wait(30)


if __name__ == "__main__":
    main()
