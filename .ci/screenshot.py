"""Makes docs/images/live.svg, a terminal in which `live` runs, and page*.png, the server's page: `make screenshot`.

The terminal is tmux's, the sound server a PulseAudio of its own, in whose room examples/noisy.wav is played; keys are
pressed as the list says, and what the terminal shows then is drawn. The page is opened in Chromium, whose microphone
hears that clip too, on a desktop, on a phone, and dark. Needs tmux, pulseaudio, pulseaudio-utils and chromium.
With a word, live or page, only those.
"""

from __future__ import annotations

import io
import os
import shlex
import shutil
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
            for sign in ("-99", "gone"):
                assert sign not in shown, f"the machine was too busy for the sound to come through: {shown}"
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


SIZES = {  # of the page: name -> what the browser is
    "page": {"viewport": {"width": 1100, "height": 900}},
    "page-dark": {"viewport": {"width": 1100, "height": 900}, "color_scheme": "dark"},
    "page-phone": {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "is_mobile": True},
}
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required", "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream", f"--use-file-for-fake-audio-capture={ROOT / 'examples/noisy.wav'}",
)  # fmt: skip


def photograph(folder: Path) -> None:
    """Pictures of the page while the microphone runs."""
    from playwright.sync_api import sync_playwright
    from serving import serving

    with serving() as server, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(FLAGS))
        for name, options in SIZES.items():
            page = chromium.new_context(permissions=["microphone"], **options).new_page()
            page.set_default_timeout(60_000)
            page.goto(server.url)
            page.click("#start")
            while float(page.get_attribute("#noisy-meter", "aria-valuenow") or -99) < -60:
                page.wait_for_timeout(200)
            page.wait_for_timeout(4000)  # for the spectrograms to fill
            page.screenshot(path=folder / f"{name}.png")
            page.context.close()


if __name__ == "__main__":
    images, wanted = ROOT / "docs/images", sys.argv[1:] or ["live", "page"]
    if "page" in wanted:
        photograph(images)
    if "live" in wanted:
        (images / "live.svg").write_text(draw(capture()), encoding="utf-8")
