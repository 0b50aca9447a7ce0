"""The report in a real browser: what is heard when candidates are switched, loops, seeking, keys."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import browser
import numpy as np
import pytest
from browser import (
    NAMES,
    PACK,
    QUIETER_DB,
    RATE,
    SECONDS,
    TAP,
    Float32,
    OpenReport,
    coded_report,
    hear,
    level,
    positions,
    state,
    tape,
    unpack,
    wait_until,
)
from comparisons import make_comparison
from require import require

for package in ("jinja2", "matplotlib"):
    require(package, reason="reports need their packages: pip install 'denoise-wrapper[compare]'")

from denoise_wrapper.compare.comparison import Comparison  # noqa: E402
from denoise_wrapper.compare.report import write_report  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import Page

chromium, open_report = browser.chromium, browser.open_report  # fixtures
RAMP = 0.006  # s, of a switch
# A deck without the page, at no pace but its own: steps [[s, "select", 1], ...] are taken at those times.
OFFLINE = f"""async ([levels, seconds, length, steps]) => {{
  const rate = {RATE};
  const context = new OfflineAudioContext(2, length * rate, rate);
  const buffers = levels.map((level) => {{
    const buffer = new AudioBuffer({{ length: seconds * rate, numberOfChannels: 2, sampleRate: rate }});
    const left = buffer.getChannelData(0);
    for (let i = 0; i < left.length; i++) left[i] = 0.05 + (0.9 * i) / left.length;
    buffer.getChannelData(1).fill(level);
    return buffer;
  }});
  const deck = new denoiseReport.Deck(context);
  deck.output.connect(context.destination);
  deck.load(buffers, levels.map(() => 1));
  deck.play();
  for (const [time, method, ...parameters] of steps) {{
    context.suspend(time).then(() => {{
      deck[method](...parameters);
      context.resume();
    }});
  }}
  const sound = await context.startRendering();
  return [0, 1].map((channel) => ({PACK})(sound.getChannelData(channel)));
}}"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return coded_report(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> tuple[Comparison, Path]:
    """A report with compressed audio, in which one candidate failed on the first clip."""
    folder = tmp_path_factory.mktemp("faulty")
    comparison = make_comparison(folder, ratios=(0.0,))
    return comparison, write_report(comparison, folder / "report.html")[0]


def offline(page: Page, levels: list[float], length: float, steps: list[tuple[Any, ...]]) -> tuple[Float32, Float32]:
    left, right = page.evaluate(OFFLINE, [levels, SECONDS, length, steps])
    return unpack(left), unpack(right)


def sounding(right: Float32) -> slice:
    """From the end of the fade at the start to the beginning of that at the end."""
    loud = np.flatnonzero(right > 0.0)
    return slice(loud[0] + round(RAMP * RATE) + 1, loud[-1] - round(RAMP * RATE) - 1)


def test_keys_switch_at_the_same_instant_without_a_gap_or_a_click(open_report: OpenReport, report: Path) -> None:
    keys = ("1", "2", "3", "c", "0", "2")
    for _ in range(3):  # a machine without time to spare drops blocks of what is recorded
        page = open_report(report, bypass_csp=True)  # the recorder is a script of its own
        page.evaluate("denoiseReport.player.play(0)")
        page.evaluate("() => { denoiseReport.player.pause(); denoiseReport.player.seek(0) }")
        wait_until(page, "clock > 0.1")
        page.evaluate(TAP)
        page.locator("#clip-0").scroll_into_view_if_needed()
        page.keyboard.press(" ")
        for number, key in enumerate(keys):
            wait_until(page, f"state.position > {0.3 * (number + 1)}")
            page.keyboard.press(key)
        wait_until(page, f"state.position > {0.3 * (len(keys) + 1)}")
        page.keyboard.press(" ")
        wait_until(page, "!state.playing")
        page.wait_for_function("() => window.tape[1].slice(-4800).every((sample) => sample === 0)")
        left, right = tape(page)
        audible = sounding(right)
        left, right = left[audible], right[audible]
        # From the first to the last sample the position goes on by one sample a sample: through every switch.
        strays = positions(left) - np.arange(len(left)) / RATE
        if np.ptp(strays) < 1e-4:
            break

    tracks = [0, *(NAMES.index("clean") if key == "c" else int(key) for key in keys)]
    plateaus = np.array([level(0, track) for track in range(len(NAMES))])
    nearest = np.abs(right[:, None] - plateaus).argmin(axis=1)
    settled = (np.abs(right - plateaus[nearest]) < 1e-4) & (np.abs(np.gradient(right)) < 1e-5)
    order = nearest[settled]
    assert [int(track) for track in order[np.flatnonzero(np.diff(order, prepend=-1))]] == tracks
    assert np.ptp(strays) < 1e-4
    assert np.count_nonzero(~settled) <= len(keys) * (RAMP * RATE + 3)  # no longer between tracks than a ramp is
    assert right.min() > plateaus.min() - 1e-4
    assert np.abs(np.diff(right)).max() < 1.2 * np.ptp(plateaus) / (RAMP * RATE)


def test_a_burst_of_switches_leaves_no_hole(open_report: OpenReport, report: Path) -> None:
    page = open_report(report)
    burst = [(1.0 + 0.004 * number, "select", number % 3) for number in range(1, 30)]
    left, right = offline(page, [0.3, 0.5, 0.7], 1.6, burst)
    audible = slice(RATE // 10, None)
    assert np.ptp(positions(left[audible]) - np.arange(len(left[audible])) / RATE) < 1e-4
    assert right[audible].min() > 0.3 - 1e-4
    assert np.abs(np.diff(right[audible])).max() < 1.2 * 0.4 / (RAMP * RATE)
    assert right[-1] == pytest.approx(0.7)  # the last of them is 29, which is track 2


def test_a_loop_repeats_to_the_sample_and_fades_where_it_turns(open_report: OpenReport, report: Path) -> None:
    page = open_report(report)
    steps = [(0.5, "move", None, [0.25, 0.75]), (2.6, "select", 1), (3.0, "move", None, None)]
    left, right = offline(page, [0.4, 0.6], 3.4, steps)
    turns = np.flatnonzero(right[RATE // 10 :] == 0.0) + RATE // 10
    # The clip starts at a time that is known from where it is at 0.2 s; every turn is half a second after the last.
    start = 0.2 - positions(left[round(0.2 * RATE)][None])[0]
    edges = turns[np.flatnonzero(np.diff(turns, prepend=-RATE) > 2)]
    np.testing.assert_allclose(edges / RATE - start, [0.75, 1.25, 1.75, 2.25, 2.75], atol=2 / RATE)
    assert np.abs(np.diff(right[RATE // 10 :])).max() < 1.2 * 0.6 / (RAMP * RATE)
    after = slice(round(3.05 * RATE), None)  # it goes on from where it was, and turns no more
    assert np.ptp(positions(left[after] / 1.0) - np.arange(len(left[after])) / RATE) < 1e-4
    assert positions(left[-1:])[0] == pytest.approx(3.4 - start - 5 * 0.5, abs=1e-3)


def test_seeking_and_pausing_do_not_click(open_report: OpenReport, report: Path) -> None:
    page = open_report(report)
    steps = [(0.5, "move", 3), (0.8, "move", 1), (0.803, "move", 2), (1.2, "pause")]
    left, right = offline(page, [0.5], 1.4, steps)
    for sound in (left, right):
        assert np.abs(np.diff(sound)).max() < 1.2 * 1.0 / (RAMP * RATE)
    assert right[RATE // 10 : round(1.19 * RATE)].min() > 0.5 - 1e-4
    assert right[-1] == 0.0
    assert positions(left[[round(0.6 * RATE), round(1.0 * RATE)]]) == pytest.approx([3.1, 2.2], abs=0.03)


def test_the_end_of_a_clip_stops_it_and_play_begins_anew(open_report: OpenReport, report: Path) -> None:
    page = open_report(report)
    page.evaluate("denoiseReport.player.play(1)")
    page.evaluate(f"denoiseReport.player.seek({SECONDS - 0.3})")
    wait_until(page, "!state.playing")
    assert state(page)["position"] == pytest.approx(SECONDS)
    button = page.locator("#clip-1 .play")
    assert button.text_content() == "Play"
    button.click()
    wait_until(page, "state.playing && state.position > 0.05 && state.position < 1")
    assert button.text_content() == "Pause"


def test_one_clip_is_played_at_a_time_and_only_its_audio_is_kept(open_report: OpenReport, report: Path) -> None:
    page = open_report(report)
    assert state(page) == {"clip": None, "playing": False, "decoded": 0, "matched": True}
    for clip in (0, 1, 0):
        page.locator(f"#clip-{clip} .play").click()
        wait_until(page, f"state.playing && state.clip === {clip}")
        assert state(page)["decoded"] == len(NAMES)
        assert hear(page) == pytest.approx(level(clip, 0), abs=1e-3)
        assert page.locator(".play.playing").count() == 1
    page.locator("#clip-0 .play").click()
    wait_until(page, "!state.playing")


def test_equal_loudness_is_a_choice(open_report: OpenReport, report: Path) -> None:
    page = open_report(report)
    page.locator("#clip-1 .pick").nth(1).click()
    assert hear(page) == pytest.approx(level(1, 1) * 10 ** (QUIETER_DB / 20), abs=1e-3)
    page.keyboard.press("m")
    assert hear(page) == pytest.approx(level(1, 1), abs=1e-3)
    assert not page.locator("#clip-0 .match input").is_checked()  # it is one choice for all clips
    page.locator("#clip-1 .match input").check()
    assert hear(page) == pytest.approx(level(1, 1) * 10 ** (QUIETER_DB / 20), abs=1e-3)


def test_keys_move_and_loop_and_are_left_to_others(open_report: OpenReport, report: Path) -> None:
    page = open_report(report)
    page.locator("#clip-0").scroll_into_view_if_needed()
    page.locator("#clip-0 .slider, #clip-0 input[type=range]").first.focus()
    page.evaluate("denoiseReport.player.play(0)")
    page.keyboard.press(" ")
    wait_until(page, "!state.playing")
    page.keyboard.press("Home")
    assert state(page)["position"] == 0
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    assert state(page)["position"] == pytest.approx(1.0)
    page.keyboard.press("[")
    assert state(page)["loop"] == pytest.approx([1.0, SECONDS])
    page.keyboard.press("ArrowRight")
    page.keyboard.press("]")
    assert state(page)["loop"] == pytest.approx([1.0, 2.0])
    assert state(page)["position"] == pytest.approx(1.0)  # its end is its start
    page.keyboard.press("l")
    assert state(page)["loop"] is None
    page.keyboard.press("l")
    assert state(page)["loop"] == pytest.approx([1.0, 2.0])
    page.keyboard.press("Shift+ArrowRight")  # out of the loop, as far as the clip goes
    assert state(page)["position"] == pytest.approx(SECONDS)
    assert state(page)["loop"] is None
    page.keyboard.press("Escape")
    page.keyboard.press("l")
    assert state(page)["loop"] == pytest.approx([0.0, SECONDS])  # without marks it is all of it
    before = state(page)
    for key in ("Control+1", "Alt+2", "Meta+3", "x"):
        page.keyboard.press(key)
    trials = page.get_by_label("Trials", exact=True)
    trials.fill("")
    trials.press("1")
    trials.press("2")
    assert trials.input_value() == "12"
    assert state(page) == before
    page.locator("#clips details.keys summary").focus()
    page.keyboard.press(" ")  # opens what it is on
    assert page.locator("#clips details.keys dl").is_visible()
    assert state(page) == before


def test_space_on_the_button_of_what_is_heard_pauses(open_report: OpenReport, report: Path) -> None:
    page = open_report(report)
    picks = page.locator("#clip-0 .pick")
    picks.nth(2).focus()
    page.keyboard.press(" ")
    assert hear(page) == pytest.approx(level(0, 2), abs=1e-3)
    assert [pick.get_attribute("aria-pressed") for pick in picks.all()] == ["false", "false", "true", "false", "false"]
    page.keyboard.press(" ")
    wait_until(page, "!state.playing")


def test_pictures_seek_when_clicked_and_mark_a_loop_when_dragged(open_report: OpenReport, report: Path) -> None:
    page = open_report(report)
    pictures = page.locator("#clip-0 .picture")
    pictures.nth(1).scroll_into_view_if_needed()
    box = pictures.nth(1).bounding_box()
    assert box is not None
    page.evaluate("denoiseReport.player.play(0)")
    page.evaluate("denoiseReport.player.pause()")
    pictures.nth(1).click(position={"x": box["width"] / 2, "y": 10})
    assert state(page)["position"] == pytest.approx(SECONDS / 2, abs=0.02)
    # The cursor is at the same place of each picture.
    for part in page.locator("#clip-0 .cursor").all():
        inner = part.bounding_box()
        assert inner is not None
        assert inner["x"] == pytest.approx(box["x"] + box["width"] / 2, abs=3)
    page.mouse.move(box["x"] + 0.75 * box["width"], box["y"] + 5)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 9, steps=3)
    page.mouse.move(box["x"] + 0.25 * box["width"], box["y"] + 30, steps=3)
    page.mouse.up()
    assert state(page)["loop"] == pytest.approx([SECONDS / 4, 3 * SECONDS / 4], abs=0.02)
    for part in page.locator("#clip-0 .picture .stretch").all():
        inner = part.bounding_box()
        assert inner is not None
        assert inner["x"] == pytest.approx(box["x"] + box["width"] / 4, abs=3)
        assert inner["width"] == pytest.approx(box["width"] / 2, abs=4)
    page.evaluate(f"() => denoiseReport.player.seek({3 * SECONDS / 4 - 0.15})")
    page.keyboard.press(" ")
    wait_until(page, f"state.playing && state.position < {SECONDS / 4 + 0.5}")  # it has turned
    page.locator("#clip-0 .looping button").last.click()
    assert state(page)["loop"] is None
    assert page.locator("#clip-0 .picture .stretch").first.is_hidden()


def test_little_motion_is_little(open_report: OpenReport, report: Path) -> None:
    page = open_report(report, reduced_motion="reduce")
    page.evaluate("""() => {
      window.moves = 0;
      new MutationObserver(() => window.moves++).observe(document.getElementById("clip-0"), { attributes: true });
      return denoiseReport.player.play(0);
    }""")
    wait_until(page, "state.position > 1")
    assert 2 <= page.evaluate("window.moves") <= 8


def test_compressed_tracks_are_decoded_in_time(open_report: OpenReport, faulty: tuple[Comparison, Path]) -> None:
    comparison, path = faulty
    page = open_report(path)
    page.evaluate("denoiseReport.player.play(0)")
    tracks = page.evaluate(f"""() => denoiseReport.player.output() && Promise.all(
      denoiseReport.data.clips[0].tracks.filter((track) => track.audio).map(async (track) => {{
        const context = denoiseReport.player.output().context;
        return [track.name, ({PACK})((await denoiseReport.decode(context, track)).getChannelData(0))];
      }}),
    )""")
    soundfile = require("soundfile")
    assert len(tracks) >= 3
    for name, text in tracks:
        sound = unpack(text)
        clip = comparison.clips[0]
        [source] = (
            [clip.clean] if name == "clean" else [r.tracks[0].audio for r in comparison.results if r.name == name]
        )
        wanted, rate = soundfile.read(source)
        factor = RATE // rate
        assert abs(len(sound) - len(wanted) * factor) <= factor
        # How late it is: where the product of the spectra, of audio at the file's rate, is greatest.
        size = 2 * len(wanted)
        product = np.fft.rfft(sound[::factor], size) * np.conj(np.fft.rfft(wanted, size))
        late = int(np.fft.irfft(product).argmax())
        assert min(late, size - late) / rate < 0.001, name


def test_what_cannot_be_played_says_why(open_report: OpenReport, faulty: tuple[Comparison, Path]) -> None:
    _, path = faulty
    page = open_report(path)
    failed = page.locator("#clip-0 .track", has_text="the model failed")
    assert failed.locator(".pick").is_disabled()
    page.evaluate("document.getElementById('audio-0-0').textContent = btoa('this is no audio')")
    page.locator("#clip-0 .play").click()
    page.wait_for_function("() => document.querySelector('#clip-0 .status').classList.contains('error')")
    said = page.locator("#clip-0 .status").inner_text()
    assert "noisy cannot be played: this browser does not decode its audio (Ogg Opus)" in said
    page.keyboard.press("2")  # the others can
    wait_until(page, "state.playing && state.selected === 2")
    page.evaluate("denoiseReport.data.clips[1].tracks.forEach((track) => { track.audio = null })")
    page.locator("#clip-1 .play").click()
    page.wait_for_function("() => document.querySelector('#clip-1 .status').classList.contains('error')")
    assert page.locator("#clip-1 .status").inner_text() == "There is nothing to play."
