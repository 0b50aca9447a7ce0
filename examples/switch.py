"""Changes the model inside a running stream: no click, no jump in time, as when a caller picks another one.

python examples/switch.py NOISY.wav CLEAN.wav OTHER_MODEL.rnnn

The first half of the file is cleaned by the model compiled in, the second by the other one.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import soundfile

from denoise_wrapper import Denoiser, aligned

CHUNK_S = 0.02


def main() -> None:
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    source, target, other = sys.argv[1:]
    noisy, rate = soundfile.read(source, dtype="float32", always_2d=True)
    chunk = int(CHUNK_S * rate)
    with Denoiser("rnnoise").stream(sample_rate=rate, channels=noisy.shape[1]) as stream:

        def chunks() -> Iterator[Any]:
            """The clip piece by piece; from its middle on, the other model cleans it."""
            switched = False
            for start in range(0, len(noisy), chunk):
                if not switched and start >= len(noisy) // 2:
                    stream.switch("rnnoise", model=other)
                    switched = True
                yield noisy[start : start + chunk]

        cleaned = np.concatenate(list(aligned(stream, chunks())))  # in time with the clip, and as long
    soundfile.write(target, cleaned, rate)


if __name__ == "__main__":
    main()
