"""A file through an audio track that cleans, as a peer would send or receive it.

pip install 'denoise-wrapper[aiortc]'
python examples/agent_aiortc.py NOISY.wav CLEAN.wav
"""

from __future__ import annotations

import asyncio
import sys

from aiortc.contrib.media import MediaPlayer, MediaRecorder

from denoise_wrapper import Denoiser
from denoise_wrapper.integrations.aiortc import CleanTrack


async def clean(source: str, target: str) -> None:
    microphone = MediaPlayer(source).audio
    track = CleanTrack(microphone, Denoiser(preset="voice"))  # in a call: peer.addTrack(track)
    over = asyncio.Event()
    track.on("ended", over.set)
    recorder = MediaRecorder(target)
    recorder.addTrack(track)
    await recorder.start()
    await over.wait()
    await recorder.stop()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    asyncio.run(clean(*sys.argv[1:]))
