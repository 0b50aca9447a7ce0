"""Microphone in, clean voice out, until Enter is pressed. Use headphones, or it will hear itself.

python examples/live.py            needs sounddevice: pip install 'denoise-wrapper[live]'
"""

from __future__ import annotations

from typing import Any

import numpy as np
import sounddevice
from numpy.typing import NDArray

from denoise_wrapper import Denoiser

RATE = 48000  # Hz, RNNoise's own: no resampling, so the least latency


def main() -> None:
    with Denoiser("rnnoise").stream(sample_rate=RATE, channels=1) as stream:

        def clean(noisy: NDArray[np.float32], clean_out: NDArray[np.float32], *_: Any) -> None:
            # process gives as many samples as it takes, so what the sound card asks for is always there
            clean_out[:] = stream.process(noisy)
            if len(stream.vad):
                level = int(40 * stream.vad[-1])
                print(f"\rspeech {'#' * level:<40}", end="", flush=True)

        with sounddevice.Stream(samplerate=RATE, blocksize=480, channels=1, dtype="float32", callback=clean):
            print(f"latency {1000 * stream.latency_seconds:.0f} ms and the sound card's own; Enter ends it")
            input()


if __name__ == "__main__":
    main()
