"""Latency of `denoise-wrapper live --virtual-mic`, by clicks through a real PulseAudio, beside busy processes or none.

python -m benchmarks.clicks [--busy 4] [--real-time] [--seconds 20] [--blocks 480 441 128]

Clicks are played into a null sink, whose monitor is the microphone; its monitor and the virtual microphone are
recorded. What is between them is in parts: the way in, which is measured at the recorder of the microphone, as it asks
for the same buffers (until the block that has the click is whole); the stream; and the rest, which is the way out. With
--real-time the sound server, but nothing else, runs ahead of all that is busy, as desktops let it.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))
from sound_server import RATE, SoundServer

from denoise_wrapper import Denoiser

EVERY_S, CLICKS = 0.5, 10_000  # between two clicks; at most


def arrivals(samples: np.ndarray, count: int) -> np.ndarray:
    """Frames at which clicks begin: those louder than a fifth of the loudest, a quarter of a second apart."""
    loud = np.flatnonzero(np.abs(samples) > 0.2 * np.abs(samples).max(initial=1e-9))
    first = loud[np.flatnonzero(np.diff(loud, prepend=-RATE) > RATE // 4)]
    return first[:count]


def measure(server: SoundServer, block: int, seconds: float) -> str:
    rate = 44100 if block == 441 else RATE
    words = ["live", "--input", "room.monitor", "--virtual-mic", "Clicks", "--block", str(block), "--rate", str(rate)]
    words += ["--atten-lim", "0"]  # or the clicks would be taken for noise
    live = subprocess.Popen(
        [sys.executable, "-m", "denoise_wrapper", *words], env=server.environment, stderr=subprocess.PIPE, text=True
    )
    while not server.described("Clicks"):
        time.sleep(0.2)
    time.sleep(2.0)
    clicks = np.zeros(round(seconds * RATE), np.float32)
    clicks[RATE // 2 :: round(EVERY_S * RATE)] = 0.9
    clicks[RATE // 2 + 1 :: round(EVERY_S * RATE)] = -0.9
    with server.recording("room.monitor") as before, server.recording(server.described("Clicks")) as after:
        time.sleep(0.5)
        server.play(clicks).wait()
        time.sleep(0.7)
        room, voice = before.samples(), after.samples()
    live.send_signal(signal.SIGTERM)
    said = live.communicate(timeout=20)[1].strip().splitlines()[-1]
    sent, come = arrivals(room, CLICKS), np.array([after.time_of(each) for each in arrivals(voice, CLICKS)])
    left = np.array([before.time_of(each) for each in sent])
    ways = 1e3 * np.array([come[come > each][0] - each for each in left if (come > each).any()])
    size = block * RATE // rate
    inward = [1e3 * (before.read_at((each // size + 1) * size - 1) - at) for each, at in zip(sent, left, strict=True)]
    stream = 1e3 * Denoiser().latency(rate) / rate
    p50, p99 = np.quantile(ways, (0.5, 0.99))
    return (
        f"block {block} at {rate} Hz: {p50:.0f} ms in all (p99 {p99:.0f}, most {ways.max():.0f} of {len(ways)}): in "
        f"{np.nanmedian(inward):.0f}, stream {stream:.0f}, out {p50 - np.nanmedian(inward) - stream:.0f}; {said}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--busy", type=int, default=0)
    parser.add_argument("--real-time", action="store_true", help="for the sound server; needs the right to give it")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--blocks", type=int, nargs="*", default=[480, 441, 128])
    args = parser.parse_args()
    busy = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"], start_new_session=True) for _ in range(args.busy)
    ]  # each in a session, as programs of others are, among which the system shares the processor
    with tempfile.TemporaryDirectory() as folder:
        server = SoundServer(Path(folder), "pulseaudio")
        server.start()
        if args.real_time:
            assert server.process is not None
            for thread in os.listdir(f"/proc/{server.process.pid}/task"):
                os.sched_setscheduler(int(thread), os.SCHED_RR, os.sched_param(1))
        try:
            for block in args.blocks:
                print(f"{measure(server, block, args.seconds)}; load {os.getloadavg()[0]:.1f}", flush=True)
        finally:
            server.stop()
            for each in busy:
                each.kill()


if __name__ == "__main__":
    main()
