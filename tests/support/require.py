"""Packages that some tests need: without one they are skipped, but fail where CI is true."""

from __future__ import annotations

import importlib
import os
from typing import Any

import pytest


def require(package: str, reason: str = "pip install 'denoise-wrapper[test]'") -> Any:
    """Import a package, or leave out the tests of the module that asks, or the test within which it is asked for.

    reason: the command that brings the package, or what it is for. Fails instead of skipping where CI is "true".
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        text = f"{error.name} is not installed: {reason}"
        if os.environ.get("CI") == "true":
            pytest.fail(text, pytrace=False)
        pytest.skip(text, allow_module_level=True)
