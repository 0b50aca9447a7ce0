"""Records a terminal in which the command line is used, as docs/images/demo.cast, which asciinema plays: `make record`.

Each command runs in a pseudo-terminal of its own; the times are those that it took, the typing is even.
"""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WIDTH, HEIGHT = 100, 30
KEY_S, READ_S = 0.03, 1.5  # seconds a key, and for which an answer is left to be read
COMMANDS = (
    "denoise-wrapper filter noisy.wav",
    "denoise-wrapper filter noisy.wav -o mild.flac --preset broadcast",
    "denoise-wrapper fitler noisy.wav",
    "denoise-wrapper filter noisy.wav clean.wav",
    "denoise-wrapper segments noisy.wav --threshold 0.7",
    "denoise-wrapper models",
)
Event = tuple[float, str, str]


def run(command: str, folder: Path) -> list[tuple[float, str]]:
    """Run a command in a terminal: what it wrote, each with the seconds since its start."""
    words = [sys.executable, "-m", "denoise_wrapper", *command.split()[1:]]
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(folder)
        os.environ.update(PYTHONPATH=str(ROOT), COLUMNS=str(WIDTH), LINES=str(HEIGHT), TERM="xterm-256color")
        os.execv(words[0], words)
    begin, written = time.monotonic(), []
    while True:
        select.select([terminal], [], [])
        try:
            data = os.read(terminal, 1 << 16)
        except OSError:  # the program has ended
            break
        if not data:
            break
        written.append((time.monotonic() - begin, data.decode("utf-8", "replace")))
    os.waitpid(process, 0)
    os.close(terminal)
    return written


def record(target: Path) -> None:
    """Run all commands on the clip of this repository, and write the recording."""
    events: list[Event] = []
    now = 0.5
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(ROOT / "examples/noisy.wav", folder)
        for command in COMMANDS:
            events.append((now, "o", "\x1b[1;32m$\x1b[0m "))
            for key in command:
                now += KEY_S
                events.append((now, "o", key))
            now += 0.3
            events.append((now, "o", "\r\n"))
            written = run(command, folder)
            events += [(now + at, "o", text) for at, text in written]
            now += (written[-1][0] if written else 0.0) + READ_S
    header = {"version": 2, "width": WIDTH, "height": HEIGHT, "title": "denoise-wrapper"}
    lines = [json.dumps(header), *(json.dumps([round(at, 3), kind, text]) for at, kind, text in events)]
    target.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    record(ROOT / "docs/images/demo.cast")
