"""Microphone in, clean voice out, until Enter is pressed. Use headphones, or it will hear itself.

python examples/live.py            needs sounddevice: pip install 'denoise-wrapper[live]'
python examples/live.py dtln-16k   the same by a DTLN; any name of 'denoise-wrapper models' will do
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise_wrapper import Denoiser

try:
    import sounddevice
except ImportError as error:
    sys.exit(f"live.py needs {error.name}: pip install 'denoise-wrapper[live]'")
except OSError as error:  # sounddevice without the library that it stands for
    sys.exit(f"live.py needs PortAudio (on Debian: apt install libportaudio2): {error}")

RATE = 48000  # Hz, of the sound card; RNNoise's own, so no resampling and the least latency; a DTLN is resampled to


def main() -> None:
    backend = sys.argv[1] if len(sys.argv) > 1 else "rnnoise"
    with Denoiser(backend).stream(sample_rate=RATE, channels=1) as stream:

        def clean(noisy: NDArray[np.float32], clean_out: NDArray[np.float32], *_: Any) -> None:
            # process gives as many samples as it takes, so what the sound card asks for is always there
            clean_out[:] = stream.process(noisy)
            if stream.backend.has_vad and len(stream.vad):
                level = int(40 * stream.vad[-1])
                print(f"\rspeech {'#' * level:<40}", end="", flush=True)

        with sounddevice.Stream(samplerate=RATE, blocksize=480, channels=1, dtype="float32", callback=clean):
            print(f"latency {1000 * stream.latency_seconds:.0f} ms and the sound card's own; Enter ends it")
            input()


if __name__ == "__main__":
    main()
