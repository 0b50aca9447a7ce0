"""What all tests share: the folder of reference data."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of data and reference answers that is not part of the project."""
    folder = Path(os.environ.get("DENOISE_WRAPPER_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    if not folder.is_dir():
        reason = f"no shared data at {folder}; set DENOISE_WRAPPER_SHARED to its folder"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


@pytest.fixture(scope="session")
def needs() -> Callable[[str], str]:
    """The path of a program; where it is absent the test is skipped, or fails if CI is true."""

    def find(program: str) -> str:
        path = shutil.which(program)
        if path is None:
            (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"{program} is not installed")
        return str(path)

    return find
