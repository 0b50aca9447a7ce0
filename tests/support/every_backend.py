"""All backends that there are to test: those shipped, and ones made here, of random weights or of known answers."""

from __future__ import annotations

import pytest
from blobs import random_blob
from enhancer_files import TINY, random_enhancer
from fakes import FAKES
from pairs import make_pair

from denoise_wrapper import backend_names
from denoise_wrapper.backends import load_backend
from denoise_wrapper.backends.base import Backend
from denoise_wrapper.backends.dtln import DTLNBackend
from denoise_wrapper.backends.enhancer import EnhancerBackend
from denoise_wrapper.backends.rnnoise import RNNoiseBackend
from denoise_wrapper.models.shipped import MODELS

V02 = RNNoiseBackend(random_blob(16, 24, sparse=True, quantised=True), "v0.2")  # of the other family of networks
PAIRS = (  # one of which takes one channel and one hop at a time
    DTLNBackend(make_pair(512, free=False), "dtln-16k"),
    DTLNBackend(make_pair(1024, units=24), "dtln-32k"),
)
ENHANCER = EnhancerBackend(random_enhancer(TINY, mild=True), "enhancer")
ALL: list[str | Backend] = [*backend_names(), V02, ENHANCER, *PAIRS, *FAKES]


def called(chosen: str | Backend) -> str:
    """Name of an entry of ALL in a test's name."""
    if isinstance(chosen, str):
        return chosen
    return f"made-{chosen.name}" if isinstance(chosen, DTLNBackend | EnhancerBackend) else chosen.name


def opened(chosen: str | Backend) -> Backend:
    """One of ALL, loaded; the test is skipped where there are no weights for it."""
    if not isinstance(chosen, str):
        return chosen
    if chosen.startswith("dtln") and not (MODELS / f"{chosen}_1.onnx").exists():
        pytest.skip(f"{chosen} has no weights yet")
    return load_backend(chosen)
