"""A file as a microphone of pipecat: agent_pipecat.py NOISY.wav CLEAN.wav; pip install 'denoise-wrapper[pipecat]'"""

import asyncio
import sys

import soundfile
from pipecat.frames.frames import EndWorkerFrame, InputAudioRawFrame, StartFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.frame_processor import FrameDirection
from pipecat.transports.base_input import BaseInputTransport, TransportParams
from pipecat.workers.runner import WorkerRunner

from denoise_wrapper import Denoiser
from denoise_wrapper.integrations.pipecat import DenoiseFilter


class Microphone(BaseInputTransport):  # each transport of pipecat takes the same filter
    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        await self.set_transport_ready(frame)
        self.create_task(self.speak())

    async def speak(self) -> None:
        for block in soundfile.blocks(sys.argv[1], 960, dtype="int16"):
            await self.push_audio_frame(InputAudioRawFrame(block.tobytes(), 48000, 1))
            await asyncio.sleep(0.02)
        await self.push_frame(EndWorkerFrame(), FrameDirection.UPSTREAM)


async def main(target: soundfile.SoundFile, clean: DenoiseFilter) -> None:
    params = TransportParams(audio_in_enabled=True, audio_in_sample_rate=48000, audio_in_filter=clean)
    worker = PipelineWorker(Pipeline([Microphone(params)]))  # a recogniser and the rest would follow
    worker.set_reached_downstream_filter((InputAudioRawFrame,))
    worker.event_handler("on_frame_reached_downstream")(lambda _, frame: target.buffer_write(frame.audio, "int16"))
    await (runner := WorkerRunner()).add_workers(worker)
    await runner.run()


asyncio.run(main(soundfile.SoundFile(sys.argv[2], "w", 48000, 1), DenoiseFilter(Denoiser(preset="voice"))))
