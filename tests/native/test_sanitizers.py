"""The C engine under the sanitizers: its own tests, damaged models, and programs of calls."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from making import make


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of compiled files, which two of the tests share."""
    return tmp_path_factory.mktemp("sanitizers")


def test_the_engine_passes_its_own_tests_under_sanitizers(needs: Callable[[str], str], built: Path) -> None:
    """AddressSanitizer and UndefinedBehaviorSanitizer."""
    make(needs, "asan", built, f"CC={needs('gcc')}")


def test_mutated_models_and_whatever_calls_are_refused_or_run(needs: Callable[[str], str], built: Path) -> None:
    """Under the same; `make -C native fuzz N=1000000` is this at length."""
    make(needs, "fuzz", built, f"CC={needs('gcc')}", "N=20000")


@pytest.mark.fault
def test_many_threads_share_a_model_without_a_race(needs: Callable[[str], str], built: Path) -> None:
    """Under ThreadSanitizer; without it they are among the engine's own tests."""
    make(needs, "tsan", built, f"CC={needs('gcc')}")
