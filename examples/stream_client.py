"""Cleans a file through a server as if it came from a microphone, chunk by chunk over a WebSocket.

denoise-wrapper serve &
python examples/stream_client.py NOISY.wav CLEAN.wav [ws://127.0.0.1:8000/v1/stream [KEY]]
"""

from __future__ import annotations

import asyncio
import json
import sys

import numpy as np
import soundfile

try:
    from websockets.asyncio.client import connect
except ImportError:
    sys.exit("stream_client.py needs websockets: pip install 'denoise-wrapper[serve]'")


async def clean(source: str, target: str, url: str, key: str | None) -> None:
    noisy, rate = soundfile.read(source, dtype="int16", always_2d=True)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with connect(url, additional_headers=headers, compression=None) as socket:
        await socket.send(json.dumps({"type": "start", "sample_rate": rate, "channels": noisy.shape[1]}))
        started = json.loads(await socket.recv())
        if started["type"] == "error":
            sys.exit(started["message"])
        print(f"{started['backend']}, {started['latency_ms']:.0f} ms late")
        parts = []
        for at in range(0, len(noisy), rate // 100):
            await socket.send(noisy[at : at + rate // 100].tobytes())
            parts.append(await socket.recv(decode=False))  # as many samples: what came `latency` frames before
        await socket.send(json.dumps({"type": "flush"}))
        parts.append(await socket.recv(decode=False))  # the last `latency` frames
    samples = np.frombuffer(b"".join(parts), "<i2").reshape(-1, noisy.shape[1])
    soundfile.write(target, samples[started["latency"] :], rate)  # in time with the noisy file, and as long


if __name__ == "__main__":
    if not 3 <= len(sys.argv) <= 5:
        sys.exit(__doc__)
    url = sys.argv[3] if len(sys.argv) > 3 else "ws://127.0.0.1:8000/v1/stream"
    asyncio.run(clean(sys.argv[1], sys.argv[2], url, sys.argv[4] if len(sys.argv) > 4 else None))
