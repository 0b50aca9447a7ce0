"""A microphone as arecord is one: raw PCM in real time, in periods. arecord_like.py CLIP.raw RATE GO TIMES.npy

Begins when the file GO exists, and says in TIMES when each period of 1024 samples was written, s of the clock.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

PERIOD = 1024  # samples

if __name__ == "__main__":
    clip, rate, go, times = sys.argv[1:]
    samples, written = np.fromfile(clip, np.int16), []
    while not Path(go).exists():
        time.sleep(0.01)
    begin = time.monotonic()
    for start in range(0, len(samples), PERIOD):
        time.sleep(max(0.0, begin + (start + PERIOD) / int(rate) - time.monotonic()))
        sys.stdout.buffer.write(samples[start : start + PERIOD].tobytes())
        sys.stdout.buffer.flush()
        written.append(time.monotonic())
    np.save(times, np.array(written))
    time.sleep(60)
