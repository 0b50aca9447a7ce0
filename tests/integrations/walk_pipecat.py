"""A pipeline with a transport's input that filters. Runs in pipecat's environment.

given: noisy, int16 (frames,); rate, Hz; bypass, the frames of 20 ms from which and to which the noise is passed; limit,
the frame from which noise goes down by 0 dB at most.
"""

from __future__ import annotations

import asyncio
import pickle
import sys
from typing import Any

import numpy as np
from pipecat.audio.vad.vad_analyzer import VADParams
from pipecat.frames.frames import (
    EndFrame,
    ErrorFrame,
    FilterEnableFrame,
    FilterUpdateSettingsFrame,
    Frame,
    InputAudioRawFrame,
    StartFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.transports.base_input import BaseInputTransport
from pipecat.transports.base_transport import TransportParams
from pipecat.workers.runner import WorkerRunner

from denoise_wrapper import Denoiser
from denoise_wrapper.integrations.pipecat import DenoiseFilter, FilterVAD


class Microphone(BaseInputTransport):
    """A transport whose sound is pushed in."""

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        await self.set_transport_ready(frame)


class Ears(FrameProcessor):
    """The next in the pipeline: keeps the sound, and asks the voice detector of it."""

    def __init__(self, vad: FilterVAD) -> None:
        super().__init__()
        self.kept, self.states, self._vad, self.came = list[bytes](), list[int](), vad, asyncio.Event()
        self.errors = 0

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, InputAudioRawFrame):
            self.kept.append(frame.audio)
            self.states.append((await self._vad.analyze_audio(frame.audio)).value)
            self.came.set()
        await self.push_frame(frame, direction)


async def main(given: str, made: str) -> None:
    with np.load(given) as file:
        noisy, rate, bypass, limit = file["noisy"], int(file["rate"]), file["bypass"], int(file["limit"])
    size = rate // 50
    sound = pickle.loads(pickle.dumps(DenoiseFilter(Denoiser("rnnoise"))))
    vad = FilterVAD(sound, params=VADParams(min_volume=0.0))
    vad.set_sample_rate(rate)
    microphone = Microphone(TransportParams(audio_in_enabled=True, audio_in_sample_rate=rate, audio_in_filter=sound))
    ears = Ears(vad)
    worker = PipelineWorker(
        Pipeline([microphone, ears]),
        params=PipelineParams(audio_in_sample_rate=rate),
        cancel_on_idle_timeout=False,
        enable_rtvi=False,
    )
    started, errors, latency = asyncio.Event(), list[Any](), [0]

    @worker.event_handler("on_pipeline_started")
    async def _started(*_: Any) -> None:
        started.set()

    @worker.event_handler("on_pipeline_error")
    async def _failed(_: Any, frame: ErrorFrame) -> None:
        errors.append(str(frame.error))

    async def heard(count: int) -> None:
        while len(ears.kept) < count:
            ears.came.clear()
            await ears.came.wait()

    async def speak() -> None:
        await started.wait()
        for number, start in enumerate(range(0, len(noisy) - size + 1, size)):
            if number in bypass:
                await worker.queue_frame(FilterEnableFrame(enable=number == bypass[1]))
                await asyncio.sleep(0.1)
            if number == limit:
                await worker.queue_frame(FilterUpdateSettingsFrame(settings={"atten_lim_db": 0.0}))
                await worker.queue_frame(FilterUpdateSettingsFrame(settings={"loudness": 3}))
                await asyncio.sleep(0.1)
            block = noisy[start : start + size].tobytes()
            await worker.queue_frame(InputAudioRawFrame(audio=block, sample_rate=rate, num_channels=1))
            await heard(number + 1)
        latency[0] = sound.latency
        ears.kept.append(sound.flush())
        await worker.queue_frame(EndFrame())

    runner = WorkerRunner()
    await runner.add_workers(worker)
    await asyncio.gather(runner.run(), speak())
    cleaned = np.frombuffer(b"".join(ears.kept), np.int16)
    np.savez(made, cleaned=cleaned, latency=latency[0], states=ears.states, errors=np.array(errors, np.str_))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
