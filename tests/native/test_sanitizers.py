"""The C engine's own tests under the sanitizers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from making import make


def test_the_engine_passes_its_own_tests_under_sanitizers(needs: Callable[[str], str], tmp_path: Path) -> None:
    """AddressSanitizer and UndefinedBehaviorSanitizer."""
    make(needs, "asan", tmp_path, f"CC={needs('gcc')}")


def test_many_threads_share_a_model_without_a_race(needs: Callable[[str], str], tmp_path: Path) -> None:
    """Under ThreadSanitizer; without it they are among the engine's own tests."""
    make(needs, "tsan", tmp_path, f"CC={needs('gcc')}")
