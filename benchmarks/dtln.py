"""Speed of the DTLN backends beside that of the per-hop loop which the network was published with, in one run.

    python benchmarks/dtln.py [--published DIR] [--backend NAME] [--model A B] [--seconds 60] [--rounds 5]

Prints one table, and the ratios. Times are of the processor, on one core, so that other programs disturb them little;
the loop and the backend take turns, and the best of the rounds counts. Compare ratios, and only within one run.
--published: the folder of model_1.onnx and model_2.onnx.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from denoise_wrapper import Denoiser
from denoise_wrapper.backends import load_backend

PUBLISHED = Path(os.environ.get("DENOISE_WRAPPER_SHARED", Path(__file__).resolve().parents[2] / "shared"))
RATE, BLOCK, HOP = 16000, 512, 128
LIVE_HOPS = 1000

Float32 = NDArray[np.float32]


class PerHopLoop:
    """What the network's first users run: two sessions, called for each hop from Python, spectra by numpy."""

    def __init__(self, folder: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.first, self.second = (
            onnxruntime.InferenceSession(folder / f"model_{stage}.onnx", options, providers=["CPUExecutionProvider"])
            for stage in (1, 2)
        )
        self.names = [[port.name for port in session.get_inputs()] for session in (self.first, self.second)]

    def __call__(self, audio: Float32) -> Float32:
        (magnitude_name, state_1_name), (frame_name, state_2_name) = self.names
        state_1 = state_2 = np.zeros((1, 2, 128, 2), np.float32)
        heard, pending = np.zeros(BLOCK, np.float32), np.zeros(BLOCK, np.float32)
        cleaned = np.zeros(len(audio), np.float32)
        for at in range(0, len(audio) - HOP + 1, HOP):
            heard[:-HOP] = heard[HOP:]
            heard[-HOP:] = audio[at : at + HOP]
            spectrum = np.fft.rfft(heard)
            magnitude = np.abs(spectrum).reshape(1, 1, -1).astype(np.float32)
            phase = np.angle(spectrum)
            mask, state_1 = self.first.run(None, {magnitude_name: magnitude, state_1_name: state_1})
            frame = np.fft.irfft(magnitude * mask * np.exp(1j * phase)).astype(np.float32).reshape(1, 1, -1)
            answer, state_2 = self.second.run(None, {frame_name: frame, state_2_name: state_2})
            pending[:-HOP] = pending[HOP:]
            pending[-HOP:] = 0
            pending += np.squeeze(answer)
            cleaned[at : at + HOP] = pending[:HOP]
        return cleaned


def spent(action: Callable[[], object], hops: int) -> float:
    """Microseconds a hop."""
    start = time.process_time()
    action()
    return 1e6 * (time.process_time() - start) / hops


def live(process: Callable[[Float32], object], hops: list[Float32]) -> float:
    """Microseconds of a call with one hop."""
    process(hops[0])
    return spent(lambda: [process(hop) for hop in hops], len(hops))


def row(what: str, us: float, hop_s: float, base: float | None) -> None:
    ratio = "" if base is None else f"{us / base:8.3f} of the loop's time, {base / us:.1f} x as fast"
    print(f"{what:<46} {us:8.1f} us a hop, {1e6 * hop_s / us:5.0f} x real time {ratio}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--published", type=Path, default=PUBLISHED / "reference" / "dtln", metavar="DIR")
    parser.add_argument("--backend", default="dtln-16k", metavar="NAME")
    parser.add_argument("--model", nargs=2, metavar="FILE", help="a pair in place of the shipped one")
    parser.add_argument("--seconds", type=int, default=60, help="length of the clip (default 60)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of which the best counts (default 5)")
    args = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    versions = f"numpy {np.__version__}, onnxruntime {onnxruntime.__version__}"
    print(f"{platform.machine()}, Python {platform.python_version()}, {versions}, {args.backend}")

    denoiser = Denoiser(load_backend(args.backend, args.model))
    rate, hop = denoiser.backend.sample_rate, denoiser.backend.hop
    clip = (0.1 * np.random.default_rng(0).standard_normal(args.seconds * rate)).astype(np.float32)
    pieces = [clip[at * hop : (at + 1) * hop] for at in range(LIVE_HOPS)]
    count = len(clip) // hop
    actions: dict[str, Callable[[], float]] = {}
    if (args.published / "model_1.onnx").is_file():
        loop = PerHopLoop(args.published)
        at_16k = clip[: args.seconds * RATE]
        actions["published per-hop loop"] = lambda: spent(lambda: loop(at_16k), len(at_16k) // HOP)
        foreign = load_backend("dtln-16k", args.published)
        short = [clip[at * HOP : (at + 1) * HOP] for at in range(LIVE_HOPS)]
        actions["published pair, stream.process of a hop"] = lambda: live(Denoiser(foreign).stream().process, short)
    actions["state.process of a hop"] = lambda: live(
        denoiser.backend.new_state(1).process, [piece.reshape(1, -1) for piece in pieces]
    )
    actions["stream.process of a hop"] = lambda: live(denoiser.stream().process, pieces)
    actions[f"filter, {args.seconds} s"] = lambda: spent(lambda: denoiser.filter(clip), count)
    pair = np.stack([clip, clip[::-1]], axis=1)
    actions[f"filter, {args.seconds} s of two channels, each"] = lambda: spent(lambda: denoiser.filter(pair), 2 * count)
    best = dict.fromkeys(actions, float("inf"))
    for _ in range(args.rounds):
        for what, action in actions.items():
            best[what] = min(best[what], action())
    base = best.get("published per-hop loop")
    for what, us in best.items():
        row(what, us, HOP / RATE, base)


if __name__ == "__main__":
    main()
