"""Bytes as a command line and what comes through its pipe: `denoise-wrapper filter -` within this process.

It ends with 0, as many bytes as came then, or with 2 and one line of why. See fuzzing.py for how to run this.
"""

from __future__ import annotations

import io
import struct
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from fuzzing import Taker, instrumented, run

with instrumented(__name__ == "__main__"):
    from denoise_wrapper.cli import main as cli

RATES = ["48000", "16000", "44100", "8000", "1000", "768000", "47999", "0", "-1", "1e5", "999999999999", "x"]
CHANNELS = ["1", "2", "3", "256", "257", "0", "-2", "1.5"]
TYPES = ["int16", "int32", "float32", "float64", "<f4", ">i2", "f2", "u1", "O", "V7", "", "i2,i2", "(2,)i2"]
NUMBERS = ["0", "1", "0.5", "-1", "nan", "inf", "1e400", "x", "12"]
OPTIONS = ["--mix", "--atten-lim", "--vad-threshold", "--vad-hold", "--vad-gate", "--non-finite", "--backend"]
WORDS = ["mute", "drop", "raise", "zero", "rnnoise", "rnnoise-classic", "rnoise", *NUMBERS]
MOST_BYTES = 1 << 15


class Pieces(io.RawIOBase):
    """Bytes that come in pieces of a size."""

    def __init__(self, data: bytes, size: int) -> None:
        self._data, self._size, self._at = data, size, 0

    def readable(self) -> bool:
        return True

    def readinto(self, room: object) -> int:
        view = memoryview(room)  # type: ignore[arg-type]
        part = self._data[self._at : self._at + min(len(view), self._size)]
        view[: len(part)] = part
        self._at += len(part)
        return len(part)


def arguments(taker: Taker, folder: Path) -> list[str]:
    words = ["filter", "-"]
    how = taker.number()
    for option, values in (("--rate", RATES), ("--channels", CHANNELS), ("--dtype", TYPES)):
        value = taker.choice(values)
        if taker.number() % 16 == 15:
            value = taker.some(6).decode("utf-8", "replace")
        if taker.number() % 32 != 31:
            words += [f"{option}={value}"]
    for _ in range(how % 4):
        words += [f"{taker.choice(OPTIONS)}={taker.choice(WORDS)}"]
    if how & 0x80:
        words.append("-q")
    if how & 0x40:  # a model of any bytes
        model = folder / taker.choice(["a.dnnw", "a.rnnn", "a.rnn", "a.c", "a.hdf5"])
        model.write_bytes(taker.some(taker.number(2)))
        words += ["--model", str(model)]
    return words


def one_input(data: bytes) -> None:
    taker = Taker(data)
    with tempfile.TemporaryDirectory() as folder:
        words = arguments(taker, Path(folder))
        size = 1 + taker.number(2)
        pcm = taker.rest()[:MOST_BYTES]
        stdin = io.TextIOWrapper(io.BufferedReader(Pieces(pcm, size)))
        output, said = io.BytesIO(), io.StringIO()
        stdout = io.TextIOWrapper(output)
        with mock.patch.multiple(sys, stdin=stdin, stdout=stdout, stderr=said):
            try:
                code = cli.main(words)
            except SystemExit as ended:
                code = ended.code  # type: ignore[assignment]
        message = said.getvalue()
        assert code in (0, 2), f"{words} ends with {code}: {message}"
        if code == 0:
            assert len(output.getvalue()) == len(pcm), f"{words}: {len(pcm)} bytes became {len(output.getvalue())}"
        else:
            assert message.count("\n") == 1, f"{words} says {message!r}"


def make_seeds() -> Iterator[bytes]:
    sound = struct.pack("<800h", *(int(9000 * (i % 40 > 20)) for i in range(800)))
    for rate in range(8):
        for dtype in range(6):
            yield bytes([rate % 4 | 0x80 * (rate % 2), rate, 0, 0, rate % 3, 0, 0, dtype, 0, 0]) + sound
    model = b"rnnoise-nu model file version 1\n42 24 0\n"
    yield bytes([0x41, *[0] * 10, 1, 1, len(model), 0]) + model + sound


if __name__ == "__main__":
    run(one_input, make_seeds)
