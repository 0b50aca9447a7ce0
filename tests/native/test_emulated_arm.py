"""The C engine on 64-bit and 32-bit ARM, in qemu-user: kernels against formulas, frames against plain C."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from making import make


@pytest.mark.parametrize(
    ("target", "compiler", "emulator"),
    [("aarch64", "aarch64-linux-gnu-gcc", "qemu-aarch64"), ("armhf", "arm-linux-gnueabihf-gcc", "qemu-arm")],
)
def test_arm_gives_what_plain_c_gives(
    needs: Callable[[str], str], tmp_path: Path, target: str, compiler: str, emulator: str
) -> None:
    for program in (compiler, emulator):
        needs(program)
    make(needs, target, tmp_path)
