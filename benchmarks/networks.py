"""The engine's networks that are timed: the shipped ones, one of the original's size, enhancers, those asked for."""

from __future__ import annotations

import argparse
import re

import numpy as np
from numpy.typing import NDArray

from denoise_wrapper import backend_names
from denoise_wrapper.backends.engine import EngineBackend, ModelSource
from denoise_wrapper.backends.enhancer import EnhancerBackend
from denoise_wrapper.backends.guided import GuidedBackend
from denoise_wrapper.backends.rnnoise import RNNoiseBackend
from denoise_wrapper.models.enhancer import Sizes, encode_enhancer, is_enhancer, weight_shapes
from denoise_wrapper.models.records import FLOAT, INT8, INT32, MAP_NAMES, record

CLASSIC, DEFAULT, FULL = "rnnoise-classic", "rnnoise", "v0.2 full size"
DEEPFILTERNET3 = "deepfilternet3"
GUIDED = ENHANCER, TINY = "enhancer", "enhancer-tiny"
ENHANCERS = {  # sizes that are trained
    "enhancer, rows": Sizes(
        "rows", channels=24, width=16, rows=24, blocks=2, units=32, heads=4, convolutions=2, taps=5
    ),
    "enhancer-tiny without its guide": Sizes("rows", 16, 16, 16, 2, 16, 2, convolutions=2, taps=4, guided=True),
    "enhancer, mixed": Sizes("mixed", channels=32, width=12, rows=32, blocks=3, units=48, heads=2),
    "enhancer, depthwise": Sizes("depthwise", 40, 16, 32, blocks=2, units=24, heads=1, convolutions=2),
}
FEATURES, BANDS, TAPS, GATES = 65, 32, 3, 3
# The share of weights that the released network of RNNoise 0.2 keeps in its block-sparse maps, as near as is known.
DENSITIES = {"gru1_input": 0.5, "gru1_recurrent": 0.4, "gru2_recurrent": 0.3, "gru3_input": 0.25}


def our_backends() -> list[str]:
    """Backends by name but for DeepFilterNet3, which takes longer than all others: it has its place in peers."""
    return [name for name in backend_names() if name != DEEPFILTERNET3]


def shipped() -> dict[str, ModelSource | None]:
    """Networks of the package, by the names of their backends."""
    return {name: None for name in backend_names() if name.startswith("rnnoise")}


def full_size() -> bytes:
    """A network of RNNoise 0.2's released sizes: int8, mostly block-sparse, with random weights."""
    return random_network(128, 384, True, DENSITIES)


def enhancers() -> dict[str, bytes]:
    """Enhancers of the sizes that are trained, with random weights, by their names."""
    return {name: _random_enhancer(name, sizes) for name, sizes in ENHANCERS.items()}


def _random_enhancer(name: str, sizes: Sizes) -> bytes:
    rng = np.random.default_rng(1)
    shapes = weight_shapes(sizes).items()
    weights = {name: rng.standard_normal(shape) / np.sqrt(np.prod(shape[:-1], initial=4)) for name, shape in shapes}
    return encode_enhancer(sizes, weights, {"name": name})


def make_backend(name: str, model: ModelSource | None, isa: str | None = None) -> EngineBackend:
    if isinstance(model, bytes) and is_enhancer(model):
        return EnhancerBackend(model, isa=isa)
    return RNNoiseBackend(model, name if model is None else DEFAULT, isa)


def behind_its_guide(name: str, isa: str) -> GuidedBackend:
    """A shipped enhancer and its guide, both on one instruction set."""
    backend = GuidedBackend(EnhancerBackend(None, name, isa), name)
    backend.guide = RNNoiseBackend(None, backend.guide.name, isa)
    return backend


def read_size(text: str) -> tuple[str, bytes]:
    """`96x128` or `96x128:float` as (what to call it, the model)."""
    match = re.fullmatch(r"(\d+)x(\d+)(:float)?", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"a size is CONVxUNITS, as in 96x128, or 96x128:float, not {text!r}")
    return f"v0.2 {text}", random_network(int(match[1]), int(match[2]), match[3] is None)


def random_network(convolved: int, units: int, int8: bool, densities: dict[str, float] | None = None) -> bytes:
    """A weights blob of these sizes, of which the first and the last layers are always float and whole."""
    rng = np.random.default_rng(1)
    shapes = dict.fromkeys(MAP_NAMES, (units, GATES * units))
    shapes |= {"conv1": (TAPS * FEATURES, convolved), "conv2": (TAPS * convolved, units)}
    shapes |= {"dense_out": (4 * units, BANDS), "vad_dense": (4 * units, 1)}
    maps = []
    for name in MAP_NAMES:
        inner = name.startswith(("conv2", "gru"))
        maps.append(_random_map(rng, name, shapes[name], int8 and inner, (densities or {}).get(name, 1.0)))
    return b"".join(maps)


def _random_map(rng: np.random.Generator, name: str, shape: tuple[int, int], int8: bool, density: float) -> bytes:
    """One map, block-sparse if density, 0 to 1, is below 1; variances as a trained one has them."""
    inputs, outputs = shape
    count, parts = inputs * outputs, []
    if density < 1:
        index: list[int] = []
        for _ in range(outputs // 8):
            places = np.flatnonzero(rng.random(inputs // 4) < density) * 4
            index += [len(places), *places.tolist()]
        count = 32 * (len(index) - outputs // 8)
        parts.append(record(f"{name}_weights_idx", INT32, np.array(index, "<i4").tobytes()))
    if density < 1 and name.endswith("recurrent"):
        parts.append(_floats(f"{name}_weights_diag", rng.normal(0, 0.3, outputs)))
    weights = rng.standard_normal(count)
    if int8:
        steps = np.clip(np.rint(32 * weights), -127, 127).astype(np.int8)
        parts.append(record(f"{name}_weights_int8", INT8, steps.tobytes()))
        parts.append(_floats(f"{name}_scale", np.full(outputs, 1 / (32 * 127 * np.sqrt(inputs)))))
    else:
        parts.append(_floats(f"{name}_weights_float", weights / np.sqrt(inputs)))
    return b"".join([*parts, _floats(f"{name}_bias", np.zeros(outputs))])


def _floats(name: str, values: NDArray[np.float64]) -> bytes:
    return record(name, FLOAT, values.astype("<f4").tobytes())
