"""Load on `denoise-wrapper serve`: how many live streams of 10 ms chunks it carries, and how late its answers are.

python -m benchmarks.server --backend rnnoise --streams 25 50 100 --seconds 10
python -m benchmarks.server --cut 1000          connections that are opened and cut at random

The server runs in a process of its own, the clients in this one: both share the processor. Each client sends a chunk
every 10 ms by the clock, whether the last was answered or not, and starts at its own moment.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np

HANDSHAKE = (
    b"GET /v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
CHUNK_S, RATE, HEAD = 0.01, 48000, 4  # s; Hz; bytes before 960 bytes of an answer


def frame(kind: int, data: bytes) -> bytes:
    """A message of a client, with a mask of zeros."""
    size = bytes([0x80 | len(data)]) if len(data) < 126 else bytes([0xFE]) + len(data).to_bytes(2, "big")
    return bytes([kind]) + size + bytes(4) + data


async def talk(port: int, begin: bytes, chunk: bytes, start: float, end: float, took: list[float]) -> None:
    """One client, in real time from start to end; took: gets the seconds from when a chunk was due to its answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(HANDSHAKE)
    await reader.readuntil(b"\r\n\r\n")
    writer.write(begin)
    await reader.readuntil(b"}")
    due: list[float] = []

    async def send() -> None:
        at = start
        while at < end:
            await asyncio.sleep(at - time.perf_counter())
            due.append(at)
            writer.write(chunk)
            at += CHUNK_S

    sending = asyncio.create_task(send())
    number = 0
    with suppress(TimeoutError, asyncio.IncompleteReadError):
        while time.perf_counter() < end:
            async with asyncio.timeout(end - time.perf_counter() + 0.5):
                await reader.readexactly(HEAD + 960)
            took.append(time.perf_counter() - due[number])
            number += 1
    sending.cancel()
    writer.close()


async def load(port: int, backend: str, streams: int, seconds: float) -> tuple[list[float], int]:
    """All clients at once, from a second on that they have to begin. Returns the times, and how many answers in all."""
    begin = frame(0x81, json.dumps({"type": "start", "sample_rate": RATE, "backend": backend}).encode())
    noise = (2000 * np.random.default_rng(0).standard_normal(480)).astype("<i2").tobytes()
    chunk, took = frame(0x82, noise), [list[float]() for _ in range(streams)]
    start = time.perf_counter() + 1.0 + 0.01 * streams
    starts = [start + random.Random(number).uniform(0, CHUNK_S) for number in range(streams)]
    talks = (talk(port, begin, chunk, at, start + seconds, each) for at, each in zip(starts, took, strict=True))
    await asyncio.gather(*talks)
    skip = 100  # chunks of the first second
    return [value for each in took for value in each[skip:]], sum(map(len, took))


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


def processor_s(process: int) -> float:
    """Seconds of the processor that a process has had, all its threads together."""
    words = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(process: int) -> float:
    """Memory of a process, where the system tells."""
    status = Path(f"/proc/{process}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", default="rnnoise")
    parser.add_argument("--streams", type=int, nargs="*", default=[])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--cut", type=int, default=0)
    args = parser.parse_args()
    bounds = ["--per-client", "0", "--per-minute", "0", "--max-streams", "2000"]
    server = subprocess.Popen(
        [sys.executable, "-m", "denoise_wrapper", "serve", "--port", "0", *bounds], stderr=subprocess.PIPE, text=True
    )
    try:
        assert server.stderr is not None
        port = int(server.stderr.readline().split()[2].rstrip("/").rsplit(":", 1)[1])
        for streams in args.streams:
            spent = processor_s(server.pid)
            times, answers = asyncio.run(load(port, args.backend, streams, args.seconds))
            took, spent_us = 1e3 * np.array(times), 1e6 * (processor_s(server.pid) - spent) / max(1, answers)
            answered = len(took) / (streams * (args.seconds - 1.0) / CHUNK_S)
            p50, p99, p999 = np.quantile(took, (0.5, 0.99, 0.999)) if len(took) else (np.nan,) * 3
            print(
                f"{args.backend} {streams} streams: {100 * answered:.0f} % answered, {p50:.1f} ms, p99 {p99:.1f}, "
                f"p99.9 {p999:.1f}, worst {took.max(initial=0):.1f}; {spent_us:.0f} us of the server's processor a "
                f"chunk, as many as {1e6 * CHUNK_S / spent_us:.0f} streams have; load {os.getloadavg()[0]:.1f}",
                flush=True,
            )
        if args.cut:
            before = resident_mb(server.pid)
            for _ in range(4):
                begin = time.perf_counter()
                asyncio.run(cut(port, args.cut))
                took_s = time.perf_counter() - begin
                time.sleep(12)  # after which the server has let go of them
                print(f"{args.cut} cut in {took_s:.1f} s: {before:.0f} -> {resident_mb(server.pid):.0f} MB", flush=True)
    finally:
        server.terminate()
        server.wait(30)


if __name__ == "__main__":
    main()
