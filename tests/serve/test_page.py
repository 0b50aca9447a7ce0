"""The page in a real browser, with a noisy clip as its microphone: what is heard, what is seen, and who may not ask."""

from __future__ import annotations

import functools
import http.server
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from browser import PACK, unpack
from require import require
from serving import NOISY, Served, serving, until

for package in ("starlette", "uvicorn", "python_multipart", "websockets"):
    require(package, reason="the server needs its packages: pip install 'denoise-wrapper[serve]'")

import soundfile  # noqa: E402

from denoise_wrapper import Denoiser  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

KEY = "a-key-of-the-tests"
# Records what the player gives out, what is heard, the noisy and the clean signal, sample by sample; and what it gets.
TAP = """async () => {
  const { context, player } = denoisePage.live;
  const code = `registerProcessor("tap", class extends AudioWorkletProcessor {
    process(inputs) {
      this.port.postMessage(inputs.map((input) => input[0]?.slice() ?? new Float32Array(128)));
      return true;
    }
  });`;
  await context.audioWorklet.addModule(`data:text/javascript,${encodeURIComponent(code)}`);
  const tap = new AudioWorkletNode(context, "tap", { numberOfInputs: 3 });
  window.tape = [[], [], []];
  tap.port.onmessage = ({ data }) => data.forEach((block, i) => window.tape[i].push(...block));
  [0, 1, 2].forEach((output) => player.connect(tap, output, output));
  tap.connect(context.destination);
  window.pairs = [[], []];
  const post = player.port.postMessage.bind(player.port);
  player.port.postMessage = (message) => {
    message.pair?.forEach((samples, i) => window.pairs[i].push(...samples));
    post(message);
  };
}"""

# Records what goes over the WebSocket, there and back.
SPY = """
  const send = WebSocket.prototype.send;
  window.carried = [[], []];
  WebSocket.prototype.send = function (data) {
    if (typeof data !== "string") window.carried[0].push(...data);
    else if (data.includes('"start"')) {
      this.addEventListener("message", ({ data: answer }) => {
        if (typeof answer !== "string") window.carried[1].push(...new Float32Array(answer));
      });
    }
    return send.call(this, data);
  };
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with serving("--per-minute", "0") as served:
        yield served


@pytest.fixture(scope="module")
def chromium(needs: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Chromium with the example's noisy clip as its microphone, and names that were made to point here."""
    if os.environ.get("CI") != "true":  # there it must not be absent
        require("playwright", reason="drives the page in a browser: pip install 'denoise-wrapper[test]'")
    from playwright.sync_api import sync_playwright

    noisy, rate = soundfile.read(NOISY, dtype="int16")
    microphone = tmp_path_factory.mktemp("microphone") / "noisy.wav"
    soundfile.write(microphone, noisy, rate)
    flags = [
        "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required",
        "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={microphone}", "--host-resolver-rules=MAP *.example 127.0.0.1",
    ]  # fmt: skip
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=needs("chromium"), args=flags)


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """Opens the page of a server. It may not complain, but of what was refused, nor ask anybody else for anything."""
    contexts = []
    complaints: list[str] = []
    asked: list[str] = []
    own: list[str] = []

    def open_one(server: Served, script: str = "", **options: Any) -> Page:
        context = chromium.new_context(**{"permissions": ["microphone"]} | options)
        context.set_default_timeout(20000)
        contexts.append(context)
        context.add_init_script(script)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        own.append(server.url)
        page.goto(server.url)
        page.evaluate("denoisePage.ready")
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert not [each for each in complaints if "the server responded with a status of 4" not in each]
    assert not [url for url in asked if not url.startswith((*own, "data:", "blob:"))]


def start(page: Page) -> None:
    page.get_by_role("button", name="Start the microphone").click()
    page.wait_for_function("() => denoisePage.live")


def tape(page: Page, name: str = "tape") -> list[Any]:
    return [unpack(text) for text in page.evaluate(f"() => window.{name}.map({PACK})")]


def test_the_microphone_comes_back_clean_and_switches_at_the_same_instant(
    open_page: Callable[..., Page], server: Served
) -> None:
    page = open_page(server, SPY, bypass_csp=True)  # the recorder is a script of its own
    start(page)
    page.evaluate(TAP)
    page.wait_for_function("() => window.tape[0].length > 48000")
    page.keyboard.press("n")
    page.wait_for_function("() => window.tape[0].length > 96000")
    page.get_by_role("group", name="What is heard live").get_by_role("button", name="Clean").click()
    page.wait_for_function("() => window.tape[0].length > 168000")
    rate = page.evaluate("denoisePage.live.context.sampleRate")
    latency = page.evaluate("denoisePage.live.started.latency")
    assert float(page.locator("#latency").inner_text().split()[0]) > 1000 * latency / rate
    heard, noisy, clean = tape(page)
    assert np.abs(noisy).max() > 0.01
    # Each sample that is heard is between the two of that instant: no jump in time, no click, twice gone over.
    share = np.full(len(heard), np.nan)
    apart = np.abs(clean - noisy) > 1e-3
    share[apart] = ((heard - noisy) / np.where(apart, clean - noisy, 1.0))[apart]
    known = share[apart]
    assert known.min() > -1e-2
    assert known.max() < 1.01
    steady = np.round(known[(known < 0.01) | (known > 0.99)])
    changes = np.flatnonzero(np.diff(steady))
    assert [int(steady[0]), *(int(steady[at + 1]) for at in changes)] == [1, 0, 1]
    between = np.flatnonzero((share > 0.01) & (share < 0.99))
    assert len(between) <= 2 * 0.02 * rate
    # What it gets are the microphone's samples and what a stream makes of them, each beside the other to the sample.
    came, cleaned = tape(page, "pairs")  # before the next, so that all of it is in there
    sent, received = tape(page, "carried")
    with Denoiser().stream(rate, latency=latency) as stream:
        np.testing.assert_array_equal(received, stream.process(sent)[: len(received)])
    chunk = rate // 100
    loud = chunk * int(np.abs(cleaned).argmax() // chunk)  # chunks of silence are alike
    probe = cleaned[loud : loud + chunk]
    places = range(0, len(received) - chunk, chunk)
    start_of = next(at for at in places if np.array_equal(received[at : at + chunk], probe)) - loud
    assert start_of >= 0
    size = min(len(came), len(received) - start_of)
    assert size > rate
    np.testing.assert_array_equal(cleaned[:size], received[start_of : start_of + size])
    delayed = np.concatenate([np.zeros(latency, np.float32), sent])
    np.testing.assert_array_equal(came[:size], delayed[start_of : start_of + size])
    # Where it is quiet most of the noise is gone.
    block = rate // 20
    levels = [
        np.mean(each[: size // block * block].reshape(-1, block) ** 2, axis=1) for each in (came[:size], cleaned[:size])
    ]
    quiet = (levels[0] > 1e-8) & (levels[0] <= np.quantile(levels[0][levels[0] > 1e-8], 0.3))
    assert 10 * np.log10(levels[1][quiet].mean() / levels[0][quiet].mean()) < -3


def test_backend_and_strength_change_while_it_runs(open_page: Callable[..., Page], server: Served) -> None:
    page = open_page(server)
    start(page)
    page.get_by_label("Backend").select_option("dtln-16k")
    page.wait_for_function("() => document.getElementById('live-status').textContent.includes('dtln-16k')")
    page.get_by_label("Most that noise is turned down").fill("12")
    assert page.locator("#limit-said").inner_text() == "12 dB"
    page.wait_for_function("() => document.getElementById('speech').textContent !== '-'")
    meters = page.get_by_role("meter")
    assert meters.count() == 2
    page.wait_for_function("() => Number(document.getElementById('noisy-meter').ariaValueNow) > -70")
    lit = """() => {
      const canvas = document.getElementById("noisy-picture");
      const { data } = canvas.getContext("2d").getImageData(canvas.width - 100, 0, 100, canvas.height);
      return data.filter((value, i) => i % 4 === 0 && value > 60).length;
    }"""
    assert page.evaluate(lit) > 100
    until(lambda: server.metric('denoise_open{kind="streams"}') == 1)
    page.get_by_role("button", name="Stop the microphone").click()
    until(lambda: server.metric('denoise_open{kind="streams"}') == 0)
    assert page.locator("#live-status").inner_text() == "The microphone is off."


def test_a_file_is_cleaned_heard_and_downloaded(open_page: Callable[..., Page], server: Served, tmp_path: Path) -> None:
    page = open_page(server)
    page.get_by_label("Drop an audio file here").set_input_files(NOISY)
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("() => denoisePage.deck.position > 0.2")
    page.get_by_role("group", name="What is heard of the file").get_by_role("button", name="Noisy").click()
    assert page.evaluate("denoisePage.deck.selected") == 0
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the clean file").click()
    assert download.value.suggested_filename == "noisy_denoised.wav"
    wanted = Denoiser().filter_file(NOISY, tmp_path / "wanted.wav")
    np.testing.assert_array_equal(soundfile.read(download.value.path())[0], soundfile.read(wanted)[0])
    page.evaluate(
        """async () => {
          const data = new DataTransfer();
          data.items.add(new File(["these are words"], "<b>words</b>.wav"));
          dispatchEvent(new DragEvent("drop", { dataTransfer: data, cancelable: true }));
        }"""
    )
    page.wait_for_function("() => document.getElementById('file-status').classList.contains('error')")
    assert "no audio file" in page.locator("#file-status").inner_text()


def test_the_page_asks_for_the_key_and_keeps_it(open_page: Callable[..., Page]) -> None:
    with serving(key=KEY) as server:
        page = open_page(server)
        key = page.get_by_label("Key of the server")
        assert key.is_visible()
        key.fill("another key")
        key.press("Enter")
        page.wait_for_function("() => document.getElementById('key-why').textContent.includes('another')")
        key.fill(KEY)
        key.press("Enter")
        page.wait_for_function("() => document.getElementById('key-form').hidden")
        page.reload()
        page.evaluate("denoisePage.ready")
        assert not key.is_visible()
        start(page)
        page.wait_for_function("() => denoisePage.live.trip > 0")


def test_it_is_one_column_on_a_phone_and_goes_by_keys(open_page: Callable[..., Page], server: Served) -> None:
    page = open_page(server, viewport={"width": 360, "height": 740}, color_scheme="dark")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    small = page.evaluate(
        """() => [...document.querySelectorAll("button, select, a.button")].filter(
          (each) => each.offsetParent && each.id !== "theme" && each.getBoundingClientRect().height < 44)
          .map((each) => each.textContent)"""
    )
    assert not small
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, canvas, progress, [role=meter]")].filter(
          (each) => !(each.labels?.length || each.getAttribute("aria-label") || each.getAttribute("aria-labelledby")
            || each.textContent.trim())).map((each) => each.outerHTML)"""
    )
    assert not unnamed
    reached = []
    page.get_by_role("link", name="To the microphone").focus()
    for _ in range(10):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id"))
    assert [
        each for each in ("backend", "limit", "start", "live-noisy", "live-clean", "file") if each not in reached
    ] == []
    page.locator("#live-noisy").focus()
    page.keyboard.press(" ")
    assert page.locator("#live-noisy").get_attribute("aria-pressed") == "true"


def test_a_page_from_afar_says_why_it_has_no_microphone(chromium: Browser) -> None:
    with serving("--host", "0.0.0.0", "--insecure", "--allow-host", "voice.example") as server:
        page = chromium.new_page()
        page.goto(f"http://voice.example:{server.port}/")
        said = page.locator("#live-status").inner_text()
        assert "--tls-cert" in said
        page.get_by_role("button", name="Start the microphone").click()
        assert page.locator("#live-status").inner_text() == said
        page.close()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


ATTACK = """async (base) => {
  const socket = await new Promise((resolve) => {
    const socket = new WebSocket(base.replace("http", "ws") + "v1/stream");
    socket.onopen = () => resolve("open");
    socket.onerror = () => resolve("refused");
  });
  const tried = async (path, options) => fetch(base + path, options).then((answer) => answer.type, () => "refused");
  const frame = document.createElement("iframe");
  frame.src = base;
  document.body.append(frame);
  await new Promise((resolve) => { frame.onload = resolve; });
  let image = new Image();
  image.src = base + "v1/backends";
  await new Promise((resolve) => { image.onload = image.onerror = resolve; });
  return [socket, await tried("v1/denoise", { method: "POST", body: "RIFF" }), await tried("v1/backends"),
    await tried("metrics")];
}"""


@pytest.mark.parametrize("name", ["127.0.0.1", "rebound.example"])
def test_a_page_of_another_site_gets_nothing(chromium: Browser, server: Served, name: str, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<!doctype html><title>evil</title>")
    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as foreign:
        threading.Thread(target=foreign.serve_forever, daemon=True).start()
        before = {why: server.metric(f'denoise_rejections_total{{reason="{why}"}}') for why in ("origin", "host")}
        opened = server.metric('denoise_opened_total{kind="stream"}')
        page = chromium.new_page()
        page.goto(f"http://{name}:{foreign.server_port}/")
        base = f"http://{name}:{server.port}/"  # a name that was rebound is the same site: its Host tells
        assert page.evaluate(ATTACK, base) == ["refused"] * 4
        if name != "127.0.0.1":
            assert page.goto(base).status == 421  # type: ignore[union-attr]
        page.close()
        foreign.shutdown()
    why = "origin" if name == "127.0.0.1" else "host"
    assert server.metric(f'denoise_rejections_total{{reason="{why}"}}') >= before[why] + 4
    assert server.metric('denoise_opened_total{kind="stream"}') == opened
