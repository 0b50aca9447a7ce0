"""A file through LiveKit's audio, without a room; an agent has the same object in its options:

RoomOptions(audio_input=AudioInputOptions(noise_cancellation=Denoise(Denoiser(preset="asr"))))

pip install 'denoise-wrapper[livekit]'
python examples/agent_livekit.py NOISY.wav CLEAN.wav
"""

from __future__ import annotations

import asyncio
import sys

import soundfile
from livekit import rtc

from denoise_wrapper import Denoiser
from denoise_wrapper.integrations.livekit import Denoise


async def clean(source: str, target: str) -> None:
    noisy, rate = soundfile.read(source, dtype="int16")
    microphone = rtc.AudioSource(rate, 1)
    track = rtc.LocalAudioTrack.create_audio_track("microphone", microphone)
    denoise = Denoise(Denoiser(preset="voice"))
    stream = rtc.AudioStream.from_track(track=track, sample_rate=rate, noise_cancellation=denoise)
    sending = asyncio.create_task(microphone.capture_frame(rtc.AudioFrame(noisy.tobytes(), rate, 1, len(noisy))))
    with soundfile.SoundFile(target, "w", rate, 1) as file:
        async for event in stream:
            file.buffer_write(event.frame.data, dtype="int16")
            if file.tell() > len(noisy) + denoise.latency:  # a track has no end of its own
                break
    await sending
    await stream.aclose()


if __name__ == "__main__":
    asyncio.run(clean(*sys.argv[1:])) if len(sys.argv) == 3 else sys.exit(__doc__)
