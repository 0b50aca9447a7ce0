"""A server with live streams for an hour: memory every minute, and how late answers are.

    python tests/long/serve_soak.py [--minutes 60] [--streams 4] [--backend rnnoise] [--out FILE]

Streams of 10 ms chunks run in real time; each ends after half a minute to a minute, some without a word, and another
one begins in its place. Once a minute a file is cleaned too. A line a minute says the server's memory, its open
files and threads, the answers, and their p50, p99 and worst. Exits with 1 if memory has grown by more than 8 MB from
minute 5 to the end, if files or threads have, or if an answer was missing or wrong in length.
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
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import IO

import numpy as np
from websockets.asyncio.client import connect

CHUNK_S, RATE, SETTLED = 0.01, 48000, 5  # s; Hz; minutes until memory is compared
MOST_GROWTH_MB = 8.0
CLIP = Path(__file__).resolve().parents[2] / "examples" / "noisy.wav"


class Tally:
    """Of all streams since it was last read. took: ms from when a chunk was due to its answer."""

    def __init__(self) -> None:
        self.took, self.begun, self.cut, self.wrong = list[float](), 0, 0, list[str]()

    def line(self) -> str:
        """What there was, which is then forgotten, but for what was wrong."""
        took = np.array(self.took or [np.nan])
        p50, p99 = np.quantile(took, (0.5, 0.99))
        text = f"{len(self.took)} answers, {p50:.1f} ms, p99 {p99:.1f}, worst {took.max():.0f}; "
        text += f"{self.begun} streams begun, {self.cut} cut"
        self.took, self.begun, self.cut = [], 0, 0
        return text


async def stream(url: str, backend: str, seconds: float, is_cut: bool, tally: Tally) -> None:
    """One live stream; is_cut: the connection is dropped at its end, without a flush."""
    noise = (2000 * np.random.default_rng(round(seconds * 1e6)).standard_normal(RATE // 100)).astype("<i2").tobytes()
    async with connect(url, compression=None) as socket:
        await socket.send(json.dumps({"type": "start", "sample_rate": RATE, "backend": backend}))
        started = json.loads(await socket.recv())
        if started["type"] != "started":
            tally.wrong.append(str(started))
            return
        tally.begun += 1
        due = begin = time.perf_counter()
        while due < begin + seconds:
            await asyncio.sleep(due - time.perf_counter())
            await socket.send(noise)
            answer = await socket.recv()
            tally.took.append(1e3 * (time.perf_counter() - due))
            if len(answer) != len(noise):
                tally.wrong.append(f"{len(answer)} bytes for {len(noise)}")
            due = max(due + CHUNK_S, time.perf_counter() - 1.0)  # who is a second late lets the rest go
        if is_cut:
            tally.cut += 1
            socket.transport.abort()
            return
        await socket.send(json.dumps({"type": "flush"}))
        if len(await socket.recv()) != 2 * started["latency"]:
            tally.wrong.append("a tail of another length")


async def place(url: str, backend: str, end: float, rng: random.Random, tally: Tally) -> None:
    """Streams one after the other."""
    while (left := end - time.monotonic()) > 1:
        try:
            await stream(url, backend, min(rng.uniform(30, 60), left), rng.random() < 0.3, tally)
        except OSError as error:
            tally.wrong.append(repr(error))
            await asyncio.sleep(1)


def post(url: str) -> int:
    """Have a file cleaned; returns how many bytes come back."""
    with urllib.request.urlopen(urllib.request.Request(url, CLIP.read_bytes()), timeout=60) as answer:
        return len(answer.read())


def look(process: int) -> tuple[float, int, int]:
    """Memory in MB, open files and threads of a process."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines())
    return int(lines["VmRSS"].split()[0]) / 1024, len(os.listdir(f"/proc/{process}/fd")), int(lines["Threads"])


async def soak(port: int, process: int, args: argparse.Namespace, out: IO[str] | None) -> list[str]:
    """Returns what is not as it should be."""
    base, end, tally = f"127.0.0.1:{port}", time.monotonic() + 60 * args.minutes, Tally()
    url, rng = f"ws://{base}/v1/stream", random.Random(0)
    places = [asyncio.create_task(place(url, args.backend, end, rng, tally)) for _ in range(args.streams)]
    rows = []
    for minute in range(1, args.minutes + 1):
        await asyncio.sleep(max(0.0, end - 60 * (args.minutes - minute) - time.monotonic()))
        with suppress(TimeoutError):
            if await asyncio.to_thread(post, f"http://{base}/v1/denoise?backend={args.backend}") < 1000:
                tally.wrong.append("a file came back empty")
        rows.append(look(process))
        memory, files, threads = rows[-1]
        text = f"minute {minute}: {memory:.1f} MB, {files} files, {threads} threads; {tally.line()}; "
        text += f"load {os.getloadavg()[0]:.1f}"
        for target in (sys.stdout, out):
            if target is not None:
                print(text, file=target, flush=True)
    await asyncio.gather(*places)
    settled, last = rows[min(SETTLED, len(rows)) - 1], rows[-1]
    wrong = list(tally.wrong)
    if last[0] - settled[0] > MOST_GROWTH_MB:
        wrong.append(f"memory went from {settled[0]:.1f} to {last[0]:.1f} MB")
    if last[1] > settled[1] + args.streams + 2 or last[2] > settled[2] + 2:
        wrong.append(f"files went from {settled[1]} to {last[1]}, threads from {settled[2]} to {last[2]}")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--streams", type=int, default=4)
    parser.add_argument("--backend", default="rnnoise")
    parser.add_argument("--out", type=Path, help="a file that gets the lines too")
    args = parser.parse_args()
    bounds = ["--per-client", "0", "--per-minute", "0"]
    words = [sys.executable, "-m", "denoise_wrapper", "--no-config", "serve", "--port", "0", *bounds]
    server = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stderr is not None
        port = int(server.stderr.readline().split()[2].rstrip("/").rsplit(":", 1)[1])
        out = args.out.open("a") if args.out is not None else None
        wrong = asyncio.run(soak(port, server.pid, args, out))
        for target in (sys.stdout, out):
            if target is not None:
                print("; ".join(wrong[:5]) or "all as it should be", file=target, flush=True)
        return 1 if wrong else 0
    finally:
        server.terminate()
        server.wait(30)


if __name__ == "__main__":
    sys.exit(main())
