"""All backends that there are to test: those shipped, and ones made here, of random weights or of known answers."""

from __future__ import annotations

import pytest
from blobs import random_blob
from enhancer_files import FEW_HALVED, FEW_ROWS, TAPPED, TINY, random_enhancer
from fakes import FAKES
from narrow_files import random_narrow
from pairs import make_pair

from denoise_wrapper import backend_names
from denoise_wrapper.backends import load_backend
from denoise_wrapper.backends.base import Backend
from denoise_wrapper.backends.dtln import DTLNBackend
from denoise_wrapper.backends.enhancer import EnhancerBackend
from denoise_wrapper.backends.narrow import NarrowBackend
from denoise_wrapper.backends.rnnoise import RNNoiseBackend
from denoise_wrapper.models.shipped import MODELS

V02 = RNNoiseBackend(random_blob(16, 24, sparse=True, quantised=True), "v0.2")  # of the other family of networks
PAIRS = tuple(  # one of which takes one channel and one hop at a time in ONNX Runtime
    DTLNBackend(pair, name, runtime=runtime)
    for runtime in ("engine", "onnxruntime")
    for pair, name in ((make_pair(512, free=False), "dtln-16k"), (make_pair(1024, units=24), "dtln-32k"))
)
ROUNDED = DTLNBackend(make_pair(512, units=20), "dtln-16k", precision="int8")
SHIPPED = [name for name in backend_names() if name != "deepfilternet3"]
ENHANCERS = [EnhancerBackend(random_enhancer(sizes, mild=True)) for sizes in (TINY, FEW_ROWS, TAPPED, FEW_HALVED)]
NARROW = [NarrowBackend(random_narrow(kind, mild=True), kind) for kind in ("ulunas", "gtcrn")]
ALL: list[str | Backend] = [*backend_names(), V02, *ENHANCERS, *PAIRS, ROUNDED, *FAKES, *NARROW]
NEEDS_COPIES = (
    "test_a_bad_chunk_is_named_and_leaves_all_streams_as_they_were",
    "test_a_pickled_or_copied_stream_goes_on_bit_for_bit",
    "test_a_state_copies_and_resets",
    "test_states_refuse_together_what_is_not_finite_and_stay_as_they_were",
)
COSTLY = {  # values of parameters with which a backend is tried of which each channel takes half a second to begin
    "rate": (44100,),  # beside its own, at which tests without the parameter are
    "chunk": (481, "random"),
    "frames": (0, 479, 144137),
    "shape": ((0,), (1000, 2)),
    "bad": (float("inf"), 1e30),
    "count": (0, 1, 2),
}


def called(chosen: str | Backend) -> str:
    """Name of an entry of ALL in a test's name."""
    if isinstance(chosen, str):
        return chosen
    if isinstance(chosen, DTLNBackend):
        return f"made-{chosen.name}-{chosen.options.get('precision', chosen.runtime)}"
    if isinstance(chosen, EnhancerBackend):
        return f"made-{chosen.name}-{chosen.sizes.kind}"
    return f"made-{chosen.name}" if isinstance(chosen, NarrowBackend) else chosen.name


def opened(request: pytest.FixtureRequest) -> Backend:
    """The one of ALL that a fixture has as its parameter, loaded; the test is skipped where it cannot be run."""
    chosen: str | Backend = request.param
    if not isinstance(chosen, str):
        return chosen
    if chosen == "deepfilternet3":
        skip_if_opaque(request)
    if chosen.startswith("dtln") and not (MODELS / f"{chosen}_1.onnx").exists():
        pytest.skip(f"{chosen} has no weights yet")
    return load_backend(chosen)


def skip_if_opaque(request: pytest.FixtureRequest) -> None:
    """Skip what a library cannot that keeps its memory to itself, and some of what takes long with it."""
    name, values = request.function.__name__, request.node.callspec.params
    if name in NEEDS_COPIES:
        pytest.skip("its library keeps a stream's memory to itself: no copies")
    if "single" in name or any(value not in COSTLY.get(key, (value,)) for key, value in values.items()):
        pytest.skip("each of its streams takes half a second to begin: few of them are tried")
