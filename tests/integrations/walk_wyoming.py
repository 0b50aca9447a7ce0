"""wyoming-satellite with a microphone's command, and a server that it streams to. Runs in its environment.

given: noisy, int16 (frames,) at 16 kHz.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from wyoming.audio import AudioChunk
from wyoming.client import AsyncTcpClient
from wyoming.satellite import RunSatellite

RATE = 16000
MICROPHONE = Path(__file__).with_name("arecord_like.py")
EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "agent_satellite.sh"


async def main(given: str, made: str) -> None:
    with np.load(given) as file:
        noisy = file["noisy"]
    folder = Path(made).parent
    clip, go, times = folder / "clip.raw", folder / "go", folder / "times.npy"
    clip.write_bytes(noisy.tobytes())
    words = [sys.executable, str(MICROPHONE), str(clip), str(RATE), str(go), str(times)]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    facts = {"PYTHON": sys.executable, "MICROPHONE": shlex.join(words), "URI": f"tcp://127.0.0.1:{port}", "CLEAN": ""}
    satellite = subprocess.Popen([str(EXAMPLE), "--name", "test", "--no-zeroconf"], env={**os.environ, **facts})
    parts, came = [np.zeros(0, np.int16)], []
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                client = AsyncTcpClient("127.0.0.1", port)
                await client.connect()
                break
            except OSError:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.1)
        await client.write_event(RunSatellite().event())
        await asyncio.sleep(1.0)
        go.touch()
        while sum(map(len, parts)) < len(noisy) // 1024 * 1024:
            event = await asyncio.wait_for(client.read_event(), 30)
            assert event is not None
            if AudioChunk.is_type(event.type):
                parts.append(np.frombuffer(AudioChunk.from_event(event).audio, np.int16))
                came.append(time.monotonic())
        while not times.exists():
            await asyncio.sleep(0.05)
        await client.disconnect()
    finally:
        satellite.terminate()
        satellite.wait(10)
    np.savez(made, cleaned=np.concatenate(parts), came=np.array(came), written=np.load(times))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
