"""A call between two peers in one process, in real time. Runs in aiortc's environment.

One peer sends the noisy clip, which the other one cleans as it receives it; that one sends the clip clean.
given: noisy, int16 (frames,) at 48 kHz; bypass, the frames of 20 ms from which and to which the receiver's track passes
the noise.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from fractions import Fraction
from typing import Any

import numpy as np
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame

from denoise_wrapper.integrations.aiortc import CleanTrack

RATE, SIZE = 48000, 960


class Clip(MediaStreamTrack):
    """A clip, in real time, then the end."""

    kind = "audio"

    def __init__(self, samples: Any) -> None:
        super().__init__()
        self._samples, self._at, self._begin = samples, 0, 0.0

    async def recv(self) -> AudioFrame:
        if self._at + SIZE > len(self._samples):
            self.stop()
            raise MediaStreamError
        self._begin = self._begin or time.monotonic()
        await asyncio.sleep(self._begin + self._at / RATE - time.monotonic())
        frame = AudioFrame.from_ndarray(self._samples[None, self._at : self._at + SIZE], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, self._at, Fraction(1, RATE)
        self._at += SIZE
        return frame


class Tee(MediaStreamTrack):
    """A track that keeps what comes through it, and ends when it is told to."""

    kind = "audio"

    def __init__(self, source: MediaStreamTrack) -> None:
        super().__init__()
        self._source, self.kept, self.over = source, list[Any](), asyncio.Event()

    async def recv(self) -> Any:
        coming, over = asyncio.ensure_future(self._source.recv()), asyncio.ensure_future(self.over.wait())
        done, _ = await asyncio.wait({coming, over}, return_when=asyncio.FIRST_COMPLETED)
        if coming not in done:
            coming.cancel()
            raise MediaStreamError
        over.cancel()
        self.kept.append(coming.result().to_ndarray())
        return coming.result()


async def main(given: str, made: str) -> None:
    with np.load(given) as file:
        noisy, bypass = file["noisy"], file["bypass"]
    alone = RTCConfiguration(iceServers=[])
    first, second = RTCPeerConnection(alone), RTCPeerConnection(alone)
    first.addTrack(Clip(noisy))
    second.addTrack(CleanTrack(Clip(noisy)))
    received: dict[str, MediaStreamTrack] = {}
    first.on("track", lambda track: received.update(first=track))
    second.on("track", lambda track: received.update(second=track))
    await first.setLocalDescription(await first.createOffer())
    await second.setRemoteDescription(first.localDescription)
    await second.setLocalDescription(await second.createAnswer())
    await first.setRemoteDescription(second.localDescription)

    heard, tee = list[Any](), Tee(received["second"])
    track = CleanTrack(tee)
    cleaned, stamps = list[Any](), list[Any]()

    async def clean() -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                track.enabled = not bypass[0] <= len(cleaned) < bypass[1]
                frame = await track.recv()
                cleaned.append(frame.to_ndarray())
                stamps.append((frame.pts, frame.samples))
                latency[0] = track.latency or latency[0]

    async def listen() -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                heard.append((await received["first"].recv()).to_ndarray())

    latency = [0]
    tasks = [asyncio.ensure_future(clean()), asyncio.ensure_future(listen())]
    before = -1
    while not tee.kept or len(tee.kept) > before:  # as long as anything comes, however late the two have met
        before = len(tee.kept)
        await asyncio.sleep(1.0)
    tee.over.set()
    await tasks[0]
    await first.close()
    await second.close()
    await tasks[1]
    arrays: dict[str, Any] = {
        name: np.concatenate(each, axis=1).reshape(-1, 2)
        for name, each in (("received", tee.kept), ("cleaned", cleaned), ("heard", heard))
    }
    np.savez(made, latency=latency[0], stamps=np.array(stamps), **arrays)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
