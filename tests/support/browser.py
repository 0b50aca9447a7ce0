"""Reports in a real browser: clips whose samples say what is heard and where, an ear for them, and no way out."""

from __future__ import annotations

import base64
import functools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from require import require

from denoise_wrapper.compare.clips.clip import Clip
from denoise_wrapper.compare.comparison import Comparison, Result, Track

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

Float32 = NDArray[np.float32]
OpenReport = Callable[..., "Page"]

RATE = 48000  # Hz, of the page's audio: what is captured are the very samples of the clips
SECONDS = 4.0  # of each clip
CANDIDATES = ("hushling", "murmur", "quietude")  # words that are in no script and in no sentence of the page
NAMES = ("noisy", *CANDIDATES, "clean")
SHOWN = ("PESQ", "STOI")  # measures; the fewer, the sooner the report is drawn
QUIETER_DB = -6.0  # that equal loudness takes off the first candidate in the second clip

TAP = """async () => {
  const { context } = denoiseReport.player.output();
  const code = `registerProcessor("tap", class extends AudioWorkletProcessor {
    process([input]) {
      const silence = new Float32Array(128);
      this.port.postMessage([0, 1].map((channel) => input[channel]?.slice() ?? silence));
      return true;
    }
  });`;
  await context.audioWorklet.addModule(`data:text/javascript,${encodeURIComponent(code)}`);
  const tap = new AudioWorkletNode(context, "tap", { channelCount: 2, channelCountMode: "explicit" });
  window.tape = [[], []];
  tap.port.onmessage = ({ data }) => data.forEach((block, channel) => window.tape[channel].push(...block));
  denoiseReport.player.output().connect(tap).connect(context.destination);
}"""
EAR = """() => {
  const output = denoiseReport.player.output();
  if (!window.ear) {
    window.ear = new AnalyserNode(output.context, { fftSize: 256 });
    const split = new ChannelSplitterNode(output.context, { numberOfOutputs: 2 });
    output.connect(split).connect(window.ear, 1);
  }
  const samples = new Float32Array(256);
  window.ear.getFloatTimeDomainData(samples);
  return samples.reduce((sum, sample) => sum + sample, 0) / samples.length;
}"""
PACK = """(samples) => {
  const bytes = new Uint8Array(Float32Array.from(samples).buffer);
  let text = "";
  for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768));
  return btoa(text);
}"""


def level(clip: int, track: int) -> float:
    """Constant level of a track's right channel."""
    return 0.1 + 0.12 * track + 0.05 * clip


def positions(left: Float32) -> NDArray[np.float64]:
    """Decode the place in the clip, in s, of each sample of a left channel."""
    return (left.astype(np.float64) - 0.05) / 0.9 * SECONDS


def coded_comparison(folder: Path, clips: int = 2) -> Comparison:
    """Stereo clips of which the left channel is the position, the right channel the track and the clip: see `level`."""

    def write(clip: int, track: int) -> Path:
        left = 0.05 + 0.9 * np.arange(round(SECONDS * RATE)) / round(SECONDS * RATE)
        path = folder / f"{clip}-{track}.wav"
        soundfile.write(path, np.stack([left, np.full_like(left, level(clip, track))], axis=1), RATE, "FLOAT")
        return path

    last = len(NAMES) - 1
    shown = tuple(
        Clip(f"clip-{clip}", write(clip, 0), write(clip, last), 0.0, RATE, round(SECONDS * RATE))
        for clip in range(clips)
    )
    results = []
    for number, name in enumerate(NAMES[:last]):
        tracks = [
            Track(clip, write(at, number), dict.fromkeys(SHOWN, 1.0 + 0.1 * number + at))
            for at, clip in enumerate(shown)
        ]
        if number == 1:
            tracks[1:] = [Track(track.clip, track.audio, track.values, loudness_db=QUIETER_DB) for track in tracks[1:]]
        results.append(Result(name, f"track {number} of the tests", tuple(tracks)))
    return Comparison(shown, tuple(results), "file", False, "2026-01-31T12:00:00+00:00", "a processor", (str(folder),))


@functools.cache
def coded_report(base: Path) -> Path:
    """The report of coded clips, without losses: written once to a run's folder, for all its tests."""
    require("matplotlib", reason="reports need their packages: pip install 'denoise-wrapper[compare]'")
    from denoise_wrapper.compare.report import write_report

    folder = base / "coded"
    folder.mkdir()
    return write_report(coded_comparison(folder), folder / "report.html", audio="flac")[0]


def unpack(text: str) -> Float32:
    """Samples that PACK packed."""
    return np.frombuffer(base64.b64decode(text), np.float32)


def tape(page: Page) -> tuple[Float32, Float32]:
    """Recording of TAP so far, left and right."""
    left, right = page.evaluate(f"() => window.tape.map({PACK})")
    return unpack(left), unpack(right)


def state(page: Page) -> dict[str, Any]:
    """State of the player."""
    return dict(page.evaluate("denoiseReport.player.state()"))


def wait_until(page: Page, condition: str) -> None:
    """Until an expression is true, of which `state` is what plays and `clock` the time of all sound, s."""
    page.wait_for_function(
        f"""() => {{
          const state = denoiseReport.player.state();
          const clock = denoiseReport.player.output()?.context.currentTime ?? 0;
          return {condition};
        }}"""
    )


def hear(page: Page) -> float:
    """The level of the right channel, once what was ordered has happened: within 0.06 s of the sound's time."""
    wait_until(page, "state.playing")
    page.evaluate(EAR)  # puts the ear in place
    now = page.evaluate("denoiseReport.player.output().context.currentTime")
    wait_until(page, f"clock > {now + 0.06}")
    return float(page.evaluate(EAR))


@pytest.fixture(scope="module")
def chromium(needs: Callable[[str], str]) -> Iterator[Browser]:
    """Chromium, without a window."""
    if os.environ.get("CI") != "true":  # there it must not be absent
        require("playwright", reason="drives the report in a browser: pip install 'denoise-wrapper[test]'")
    from playwright.sync_api import sync_playwright

    flags = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=needs("chromium"), args=flags)


@pytest.fixture
def open_report(chromium: Browser) -> Iterator[OpenReport]:
    """Opens a report's file, with options of a browser's context. No page may complain, nor ask for anything."""
    pages = []
    complaints: list[str] = []
    asked: list[str] = []

    def open_one(path: Path, **options: Any) -> Page:
        context = chromium.new_context(**options)
        context.set_default_timeout(15000)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(path.as_uri())
        page.evaluate("denoiseReport.ready")
        pages.append((path, context))
        return page

    yield open_one
    for _, context in pages:
        context.close()
    allowed = {path.as_uri() for path, _ in pages}
    assert not complaints
    assert not [url for url in asked if url not in allowed and not url.startswith(("data:", "blob:"))]
