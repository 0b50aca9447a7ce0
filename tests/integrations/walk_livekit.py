"""A track in one process, from an AudioSource to an AudioStream that cleans. Runs in LiveKit's environment.

given: noisy, int16 (frames,) at 48 kHz; rate: of the stream, Hz; bypass, the frames of 10 ms from which and to which
the noise is passed.
"""

from __future__ import annotations

import asyncio
import pickle
import sys
from typing import Any

import numpy as np
from livekit import rtc

from denoise_wrapper import Denoiser
from denoise_wrapper.integrations.livekit import PROBABILITY, Denoise

RATE, SIZE = 48000, 480


def samples_of(frame: rtc.AudioFrame) -> Any:
    """Copy them."""
    return np.frombuffer(frame.data, np.int16).copy()


class Kept(Denoise):
    """Keeps what comes and goes."""

    def __init__(self, *words: Any, bypass: tuple[int, int], **settings: Any) -> None:
        super().__init__(*words, **settings)
        self.noisy, self.clean, self.bypass = list[Any](), list[Any](), bypass

    def _process(self, frame: rtc.AudioFrame) -> rtc.AudioFrame:
        self.enabled = not self.bypass[0] <= len(self.noisy) < self.bypass[1]
        self.noisy.append(samples_of(frame))
        made = super()._process(frame)
        self.clean.append(samples_of(made))
        return made


async def main(given: str, made: str) -> None:
    with np.load(given) as file:
        noisy, rate, bypass = file["noisy"], int(file["rate"]), tuple(file["bypass"])
    source = rtc.AudioSource(RATE, 1, queue_size_ms=200)
    track = rtc.LocalAudioTrack.create_audio_track("microphone", source)
    processor = Kept(pickle.loads(pickle.dumps(Denoiser("rnnoise"))), bypass=bypass)
    stream = rtc.AudioStream.from_track(track=track, sample_rate=rate, num_channels=1, noise_cancellation=processor)
    frames = list[rtc.AudioFrame]()

    async def listen() -> None:
        async for event in stream:
            frames.append(event.frame)

    listening = asyncio.ensure_future(listen())
    for start in range(0, len(noisy) - SIZE + 1, SIZE):
        await source.capture_frame(rtc.AudioFrame(noisy[start : start + SIZE].tobytes(), RATE, 1, SIZE))
    await source.wait_for_playout()
    await asyncio.sleep(0.2)
    await stream.aclose()
    await source.aclose()
    await listening
    latency, rest = processor.latency, processor.flush()
    assert rest is not None
    # Another form within a track: what the processor itself is given by an agent's pre-connect buffer and its stream.
    other, changed = Denoise("rnnoise"), list[Any]()
    for number, form in enumerate([(48000, 1), (24000, 1), (48000, 2)] * 2):
        size = form[0] // 100
        for _ in range(20):
            block = np.full(size * form[1], 100 * (number + 1), np.int16)
            frame = other._process(rtc.AudioFrame(block.tobytes(), form[0], form[1], size))
            changed.append((frame.sample_rate, frame.num_channels, frame.samples_per_channel, other.latency / form[0]))
    np.savez(
        made,
        received=np.concatenate(processor.noisy),
        cleaned=np.concatenate([*processor.clean, samples_of(rest)]),
        heard=np.concatenate([samples_of(frame) for frame in frames]),
        latency=latency,
        probability=np.array([frame.userdata.get(PROBABILITY, np.nan) for frame in frames]),
        changed=np.array(changed),
    )


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
