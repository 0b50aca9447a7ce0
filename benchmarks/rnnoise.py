"""Cost of RNNoise models side by side, in one run: in C by instruction set, and through stream.process.

    python benchmarks/rnnoise.py [--model PATH] [--size CONVxUNITS[:float]] [--seconds 20] [--rounds 5]

Prints one table: microseconds of the processor for each 10 ms frame, and how many times those of the classic network
with the same set. --model: a model file beside the shipped ones; --size: a v0.2 network of random weights, int8 where
such networks are, to price it before it is trained. Both may be given several times. The models take turns on one core,
and the best of the rounds counts; compare ratios, and only within one run.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import time
from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from denoise_wrapper import Denoiser, backend_names
from denoise_wrapper.backends.blob import MAP_NAMES, MapWeights, encode_blob
from denoise_wrapper.backends.rnnoise import ModelSource, RNNoiseBackend, instruction_sets

BASELINE = "rnnoise-classic"
RATE, FRAME = 48000, 480
FEATURES, BANDS, TAPS, GATES = 65, 32, 3, 3

Float32 = NDArray[np.float32]


def random_model(convolved: int, units: int, int8: bool) -> bytes:
    """A weights blob of these sizes, of which the first and the last layers are always float."""
    rng = np.random.default_rng(1)
    shapes = dict.fromkeys(MAP_NAMES, (units, GATES * units))
    shapes |= {"conv1": (TAPS * FEATURES, convolved), "conv2": (TAPS * convolved, units)}
    shapes |= {"dense_out": (4 * units, BANDS), "vad_dense": (4 * units, 1)}

    def weights(name: str) -> MapWeights:
        inputs, outputs = shapes[name]
        matrix = (rng.standard_normal((inputs, outputs)) / np.sqrt(inputs)).astype(np.float32)
        return MapWeights(matrix, np.zeros(outputs, np.float32), int8 and name.startswith(("conv2", "gru")))

    return encode_blob({name: weights(name) for name in MAP_NAMES})


def read_size(text: str) -> tuple[str, bytes]:
    """`96x128` or `96x128:float` as (what to call it, the model)."""
    found = re.fullmatch(r"(\d+)x(\d+)(:float)?", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"a size is CONVxUNITS, as in 96x128, or 96x128:float, not {text!r}")
    return f"v0.2 {text}", random_model(int(found[1]), int(found[2]), found[3] is None)


def noise_with_pauses(seconds: int) -> Float32:
    """Noise that swells and fades each second, (seconds * RATE,)."""
    noise = np.random.default_rng(0).standard_normal(seconds * RATE).astype(np.float32)
    return noise * np.tile(np.linspace(0, 0.2, RATE, dtype=np.float32), seconds)


def time_in_c(backend: RNNoiseBackend, audio: Float32) -> float:
    """Microseconds a frame of one call for all of audio."""
    state, block = backend.new_state(1), audio.reshape(1, -1)
    start = time.process_time()
    state.process(block)
    return 1e6 * (time.process_time() - start) * FRAME / len(audio)


def time_of_calls(backend: RNNoiseBackend, audio: Float32) -> float:
    """Microseconds a call of stream.process with 10 ms each."""
    stream = Denoiser(backend).stream(RATE)
    pieces = np.split(audio, len(audio) // FRAME)
    start = time.process_time()
    for piece in pieces:
        stream.process(piece)
    return 1e6 * (time.process_time() - start) / len(pieces)


def measure(
    models: dict[str, ModelSource | None], sets: list[str], seconds: int, rounds: int
) -> dict[str, list[float]]:
    """Of each model the least microseconds a frame: in C with each instruction set, then through stream.process."""
    audio = noise_with_pauses(seconds)
    backends = {
        name: [RNNoiseBackend(model, name if model is None else "rnnoise", isa) for isa in sets]
        for name, model in models.items()
    }
    found: dict[str, list[list[float]]] = defaultdict(list)
    for _ in range(rounds):
        for name, ways in backends.items():
            found[name].append([*(time_in_c(way, audio) for way in ways), time_of_calls(ways[0], audio)])
    return {name: np.min(times, axis=0).tolist() for name, times in found.items()}


def print_table(models: dict[str, ModelSource | None], sets: list[str], times: dict[str, list[float]]) -> None:
    heads = ["model", "network", "weights", "MB", *(f"C, {isa}" for isa in sets), f"stream.process, {sets[0]}"]
    print(f"| {' | '.join(heads)} |\n|{' --- |' * len(heads)}")
    for name, model in models.items():
        backend = RNNoiseBackend(model, name if model is None else "rnnoise")
        count = sum(layer.size for layer in backend.layers)
        cells = [name, backend.family, f"{count / 1e3:.0f} k", f"{len(backend.data) / 1e6:.2f}"]
        for taken, least in zip(times[name], times[BASELINE], strict=True):
            cells.append(f"{taken:.1f} us, {taken / least:.2f} x")
        print(f"| {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", action="append", default=[], metavar="PATH", help="a model file to time too")
    parser.add_argument("--size", action="append", default=[], type=read_size, metavar="CONVxUNITS[:float]")
    parser.add_argument("--seconds", type=int, default=20, help="length of the clip (default 20)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of which the best counts (default 5)")
    args = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    models: dict[str, ModelSource | None] = {name: None for name in backend_names() if name.startswith("rnnoise")}
    models |= {path: path for path in args.model} | dict(args.size)
    sets = list(instruction_sets())
    print(f"{platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}\n")
    print_table(models, sets, measure(models, sets, args.seconds, args.rounds))


if __name__ == "__main__":
    main()
