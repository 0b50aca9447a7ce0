"""Records a terminal in which this is installed and used, as docs/images/demo.cast for asciinema: `make record`.

Each command runs in a pseudo-terminal of its own; the times are those that it took, waits of more than WAIT_S cut, the
typing is even. `pip install .` is the real one, into an empty environment; what follows runs in the environment of this
program, which has the extras. `listen` plays to a PulseAudio with a sink of no sound card (Debian: pulseaudio,
libportaudio2, libasound2-plugins).
"""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WIDTH, HEIGHT = 100, 30
KEY_S, READ_S, WAIT_S = 0.03, 1.5, 1.0  # seconds a key, for reading an answer, and of the longest wait that is shown
INSTALL = "pip install ."
COMMANDS = (
    INSTALL,
    "denoise-wrapper filter noisy.wav",
    "denoise-wrapper filter noisy.wav -o mild.flac --preset broadcast",
    "denoise-wrapper fitler noisy.wav",
    "denoise-wrapper filter noisy.wav clean.wav",
    "denoise-wrapper listen noisy.wav",
    "denoise-wrapper compare noisy.wav -a rnnoise -a dtln-16k -o report.html -q",
    "denoise-wrapper segments noisy.wav --threshold 0.7",
    "denoise-wrapper segments noisy.wav --threshold 0.7 -o noisy.srt",
    "denoise-wrapper models",
)
KEYS = {"denoise-wrapper listen noisy.wav": ((2.0, b" "), (3.5, b" "), (5.0, b"q"))}  # seconds of playing, key
_PLACES = re.compile(r"[^\n]*(?:Looking in|WARNING: Location|Processing /|Stored in)[^\n]*\n")
Event = tuple[float, str, str]


def run(command: str, folder: Path, environment: dict[str, str]) -> list[tuple[float, str]]:
    """Run a command in a terminal: what it wrote, each with the seconds since its start."""
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(folder)
        os.execve("/bin/sh", ["/bin/sh", "-c", command], environment)
    begin, written = time.monotonic(), []
    keys, playing = list(KEYS.get(command, ())), 0.0
    while True:
        ready, _, _ = select.select([terminal], [], [], 0.05)
        if playing and keys and time.monotonic() - playing > keys[0][0]:
            os.write(terminal, keys.pop(0)[1])
        if not ready:
            continue
        try:
            data = os.read(terminal, 1 << 16)
        except OSError:  # the program has ended
            break
        if not data:
            break
        if b"0:0" in data and not playing:
            playing = time.monotonic()
        written.append((time.monotonic() - begin, data.decode("utf-8", "replace")))
    os.waitpid(process, 0)
    os.close(terminal)
    return written


@contextlib.contextmanager
def environments() -> Iterator[tuple[dict[str, str], dict[str, str]]]:
    """Yield the environment of the installation, an empty one, and that of all the rest, with sound."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
        (folder / "bin").mkdir()
        program = folder / "bin/denoise-wrapper"
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -m denoise_wrapper "$@"\n')
        program.chmod(0o755)
        (folder / ".asoundrc").write_text("pcm.!default { type pulse }\nctl.!default { type pulse }\n")
        places = dict.fromkeys(("HOME", "XDG_RUNTIME_DIR", "PULSE_RUNTIME_PATH", "PULSE_STATE_PATH"), str(folder))
        common = {**os.environ, "COLUMNS": str(WIDTH), "LINES": str(HEIGHT), "TERM": "xterm-256color"}
        common.pop("PYTHONPATH", None)
        use = {**common, **places, "PYTHONPATH": str(ROOT), "PULSE_SERVER": f"unix:{folder}/native"}
        use["PATH"] = f"{folder}/bin:{use['PATH']}"
        install = {**common, "PATH": f"{folder}/venv/bin:{common['PATH']}", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        words = ["pulseaudio", "-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1"]
        words += ["-L", f"module-native-protocol-unix socket={folder}/native auth-anonymous=1"]
        words += ["-L", "module-null-sink sink_name=out"]
        sound = subprocess.Popen(words, env=use, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield install, use
        finally:
            sound.kill()
            sound.wait()


def shortened(written: list[tuple[float, str]]) -> list[tuple[float, str]]:
    """Cut waits down to WAIT_S."""
    now, last, kept = 0.0, 0.0, []
    for at, text in written:
        now += min(at - last, WAIT_S)
        last = at
        kept.append((now, text))
    return kept


def without_places(written: list[tuple[float, str]]) -> list[tuple[float, str]]:
    """Leave out the lines of an installation that say where packages came from."""
    kept = [(at, _PLACES.sub("", text)) for at, text in written]
    return [(at, text) for at, text in kept if text]


def record(target: Path) -> None:
    """Run all commands on the clip of this repository, and write the recording."""
    events: list[Event] = []
    now = 0.5
    with tempfile.TemporaryDirectory() as name, environments() as (install, use):
        folder, clone = Path(name, "clips"), Path(name, "clone")
        folder.mkdir()
        shutil.copy(ROOT / "examples/noisy.wav", folder)
        subprocess.run(["git", "clone", "-q", ROOT, clone], check=True)
        for command in COMMANDS:
            events.append((now, "o", "\x1b[1;32m$\x1b[0m "))
            for key in command:
                now += KEY_S
                events.append((now, "o", key))
            now += 0.3
            events.append((now, "o", "\r\n"))
            where = (clone, install) if command == INSTALL else (folder, use)
            written = run(command, *where)
            written = shortened(without_places(written) if command == INSTALL else written)
            events += [(now + at, "o", text) for at, text in written]
            now += (written[-1][0] if written else 0.0) + READ_S
    header = {"version": 2, "width": WIDTH, "height": HEIGHT, "title": "denoise-wrapper"}
    lines = [json.dumps(header), *(json.dumps([round(at, 3), kind, text]) for at, kind, text in events)]
    target.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    record(ROOT / "docs/images/demo.cast")
