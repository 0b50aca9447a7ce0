"""The C engine on older x86, in qemu-user: kernels against formulas, frames against plain C."""

from __future__ import annotations

import platform
from collections.abc import Callable
from pathlib import Path

import pytest
from making import make


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="takes this machine's compiler")
def test_older_processors_give_what_plain_c_gives(needs: Callable[[str], str], tmp_path: Path) -> None:
    for program in ("cc", "qemu-x86_64"):
        needs(program)
    make(needs, "x86", tmp_path)
