"""Makes docs/images/live.svg, a terminal in which `live` runs: `make screenshot`.

The terminal is tmux's, the sound server a PulseAudio of its own, in whose room examples/noisy.wav is played; keys are
pressed as the list says, and what the terminal shows then is drawn. Needs tmux, pulseaudio and pulseaudio-utils.
"""

from __future__ import annotations

import io
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import soundfile
from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests/support"), str(ROOT)]
from sound_server import SoundServer  # noqa: E402

WIDTH, HEIGHT = 118, 6
COMMAND = "denoise-wrapper live -b rnnoise,dtln-16k --preset voice --input room.monitor --virtual-mic Clean"
KEYS = ((4.0, "-"), (1.0, ""))  # seconds to wait, key
FORMAT = """<svg class="rich-terminal" viewBox="0 0 {width} HEIGHT" xmlns="http://www.w3.org/2000/svg">
<style>.{unique_id}-matrix {{ font-family: "Fira Code", "DejaVu Sans Mono", Menlo, Consolas, monospace;
font-size: {char_height}px; line-height: {line_height}px; }} {styles}</style>
<defs><clipPath id="{unique_id}-clip-terminal"><rect x="0" y="0" width="{terminal_width}" height="HEIGHT"/>
</clipPath>{lines}</defs>
<rect fill="#1b1b1f" x="1" y="1" width="{terminal_width}" height="HEIGHT" rx="8"/>
<g transform="translate({terminal_x}, 8)" clip-path="url(#{unique_id}-clip-terminal)">{backgrounds}
<g class="{unique_id}-matrix">{matrix}</g></g></svg>
"""


def capture() -> str:
    """The terminal's text, with its colours as escapes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = SoundServer(folder, "pulseaudio")
        (folder / "bin").mkdir()
        program = folder / "bin/denoise-wrapper"
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m denoise_wrapper --no-config "$@"\n')
        program.chmod(0o755)
        environment = {**server.environment, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
        environment |= {"PS1": "$ ", "ENV": "", "TMUX_TMPDIR": name, "TERM": "xterm-256color"}
        tmux = ["tmux", "-L", "shot", "-f", "/dev/null"]
        server.start()

        def call(*words: str) -> str:
            return subprocess.run([*tmux, *words], env=environment, check=True, capture_output=True, text=True).stdout

        try:
            call("new-session", "-d", "-x", str(WIDTH), "-y", str(HEIGHT), "sh")
            call("send-keys", "PS1='$ '; clear", "Enter")
            time.sleep(0.5)
            call("send-keys", COMMAND, "Enter")
            deadline = time.monotonic() + 60
            while "latency" not in call("capture-pane", "-p"):
                assert time.monotonic() < deadline, call("capture-pane", "-p")
                time.sleep(0.2)
            playing = server.play(soundfile.read(ROOT / "examples/noisy.wav", dtype="float32")[0])
            for wait, key in KEYS:
                time.sleep(wait)
                if key:
                    call("send-keys", "-l", key)
            shown = call("capture-pane", "-e", "-p")
            assert "-99" not in shown, f"the machine was too busy for the sound to come through: {shown}"
            playing.kill()
            playing.wait()
            call("send-keys", "q")
            time.sleep(1.0)
            return shown
        finally:
            subprocess.run([*tmux, "kill-server"], env=environment, check=False, capture_output=True)
            server.stop()


def draw(shown: str) -> str:
    """An SVG of it, which asks nobody for anything."""
    console = Console(width=WIDTH, record=True, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(shown.rstrip()), soft_wrap=True)
    height = 24.4 * (shown.rstrip().count("\n") + 1) + 16  # a line, and a margin
    return console.export_svg(title="", code_format=FORMAT.replace("HEIGHT", f"{height:g}"))


if __name__ == "__main__":
    (ROOT / "docs/images/live.svg").write_text(draw(capture()), encoding="utf-8")
