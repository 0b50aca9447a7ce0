"""The report's blind test in a real browser: fair, without names, by keyboard alone, with results that can be kept."""

from __future__ import annotations

import csv
import io
import itertools
import json
import random
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import browser
import pytest
from browser import CANDIDATES, NAMES, OpenReport, coded_report, hear, level, state, wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Page

chromium, open_report = browser.chromium, browser.open_report  # fixtures
LEVELS = {level(clip, track): (f"clip-{clip}", name) for clip in (0, 1) for track, name in enumerate(NAMES)}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return coded_report(tmp_path_factory.getbasetemp())


def running(page: Page) -> dict[str, Any]:
    return dict(page.evaluate("denoiseReport.blind.state()"))


def listen(page: Page, letter: str) -> tuple[str, str]:
    """Press a letter's key: the clip and the candidate that are heard then."""
    page.keyboard.press(letter)
    level = hear(page)
    nearest = min(LEVELS, key=lambda known: abs(known - level))
    assert level == pytest.approx(nearest, abs=1e-3)
    return LEVELS[nearest]


def tab_to(page: Page, selector: str) -> None:
    """Press Tab until the focus is there."""
    for _ in range(80):
        if page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
            return
        page.keyboard.press("Tab")
    pytest.fail(f"Tab does not reach {selector}")


def download(page: Page, name: str) -> tuple[str, str]:
    """The name and the text of a file that the result offers, taken by keyboard."""
    page.get_by_role("link", name=name).focus()
    with page.expect_download() as waiting:
        page.keyboard.press("Enter")
    return waiting.value.suggested_filename, Path(waiting.value.path()).read_bytes().decode()


def shown_words(page: Page) -> str:
    """Text that can be read on the page or is said of it, and its sources but for sounds and scripts."""
    return str(
        page.evaluate("""() => {
          const copy = document.documentElement.cloneNode(true);
          for (const script of copy.querySelectorAll("script")) script.replaceChildren();
          return copy.outerHTML + document.title;
        }""")
    )


def test_an_abx_test_is_done_by_keyboard_alone(open_report: OpenReport, report: Path) -> None:
    from scipy.stats import binomtest

    page = open_report(report)
    tab_to(page, "#blind select[name=first]")
    page.keyboard.type(CANDIDATES[2])
    tab_to(page, "#blind input[name=trials]")
    page.keyboard.press("Control+a")
    page.keyboard.type("6")
    tab_to(page, "#blind input[name=matched]")
    page.keyboard.press(" ")  # off, for equal loudness changes the levels by which tracks are known
    tab_to(page, "#blind .start")
    page.keyboard.press("Enter")

    asked = []
    for trial in range(1, 7):
        heading = page.locator("#blind h3")
        assert heading.inner_text() == f"Trial {trial} of 6"
        assert page.evaluate("document.activeElement === document.querySelector('#blind h3')")
        page.keyboard.press("1")  # not before all were heard
        assert page.locator("#blind .status").inner_text() == "Listen first: A, B, X"
        a, b, x = (listen(page, letter) for letter in "abx")
        assert {a[1], b[1]} == {CANDIDATES[2], CANDIDATES[1]}
        assert x in (a, b)
        words = shown_words(page)
        assert not [name for name in CANDIDATES if name in words]
        right = "1" if x == a else "2"
        wrong = "2" if x == a else "1"
        page.keyboard.press(wrong if trial == 3 else right)
        asked.append((a[0], a[1], b[1], "a" if x == a else "b", trial != 3))

    page.wait_for_selector("#blind .download")
    p = binomtest(5, 6, alternative="greater").pvalue
    assert f"You were right in 5 of 6 trials: p = {p:.3f}." in page.locator("#blind").inner_text()
    assert page.evaluate("document.activeElement === document.querySelector('#blind h3')")
    name, text = download(page, "Download JSON")
    assert re.fullmatch(r"blind-test-abx-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.json", name)
    record = json.loads(text)
    answered = [(row["clip"], row["a"], row["b"], row["x"], row["correct"]) for row in record["trials"]]
    assert answered == asked
    assert record["result"] == {"correct": 5, "trials": 6, "p_value": pytest.approx(p, rel=1e-12)}
    assert (record["mode"], record["equal_loudness"]) == ("abx", False)
    assert re.fullmatch("[0-9a-f]{32}", record["seed"])
    name, text = download(page, "Download CSV")
    assert name.endswith(".csv")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [(row["clip"], row["a"], row["b"], row["x"], row["correct"] == "true") for row in rows] == asked
    assert page.locator("#clip-0 .play").count() == 1  # the page is whole again
    assert page.title() == record["title"]


def test_a_preference_test_of_all_pairs_counts_each_pair(open_report: OpenReport, report: Path) -> None:
    from scipy.stats import binomtest

    page = open_report(report)
    page.get_by_label("Preference").check()
    page.get_by_label("All pairs of candidates").check()
    assert page.get_by_label("First").is_disabled()
    assert page.get_by_label("Trials", exact=True).input_value() == "6"  # 3 pairs of 2 clips
    page.locator("#blind .boxes").get_by_label("Equal loudness").uncheck()
    page.get_by_role("button", name="Start the blind test").click()
    best = {name: place for place, name in enumerate(CANDIDATES)}
    asked = Counter[tuple[str, ...]]()
    for trial in range(6):
        a, b = listen(page, "a"), listen(page, "b")
        assert a[0] == b[0]
        asked[(a[0], *sorted((a[1], b[1])))] += 1
        if trial == 2:
            page.get_by_role("button", name="No preference").click()
            skipped = {a[1], b[1]}
        else:
            page.keyboard.press("1" if best[a[1]] < best[b[1]] else "2")
    assert set(asked.values()) == {1}
    assert len(asked) == 6
    page.wait_for_selector("#blind .download")
    record = json.loads(download(page, "Download JSON")[1])
    assert len(record["result"]) == 3
    for pair in record["result"]:
        ties = int({pair["first"], pair["second"]} == skipped)
        counts = (pair["first_preferred"], pair["second_preferred"], pair["ties"])
        assert counts == (2 - ties, 0, ties)
        assert pair["p_value"] == pytest.approx(binomtest(2 - ties, 2 - ties).pvalue)
    assert [row["preferred"] for row in record["trials"]].count(None) == 1
    page.get_by_role("button", name="Again").click()
    assert page.locator("#blind h3").inner_text() == "Trial 1 of 6"
    again = running(page)
    assert (again["running"], again["answered"]) == (True, 0)


def test_it_can_be_abandoned_and_the_clips_play_again(open_report: OpenReport, report: Path) -> None:
    page = open_report(report)
    page.locator("#clip-0 .play").click()
    wait_until(page, "state.playing")
    page.locator("#blind select[name=clip]").select_option("clip-1")
    page.locator("#blind .boxes").get_by_label("Equal loudness").uncheck()
    page.get_by_role("button", name="Start the blind test").click()
    assert not state(page)["playing"]
    assert page.locator(".clip").count() == 0
    assert page.title() == "Blind test"
    assert listen(page, "a")[0] == "clip-1"
    assert state(page)["decoded"] == 2
    page.keyboard.press("[")  # a loop is kept for the next trial of the same clip
    loop = state(page)["loop"]
    assert loop is not None
    for letter in "bx":
        listen(page, letter)
    page.keyboard.press("1")
    page.keyboard.press("a")
    wait_until(page, "state.playing")
    assert state(page)["loop"] == loop
    page.get_by_role("button", name="Abandon the test").click()
    assert "Abandoned after 1 of 10 trials" in page.locator("#blind .status").inner_text()
    assert state(page)["decoded"] == 0
    page.locator("#clip-1 .pick").nth(1).click()
    wait_until(page, "state.playing && state.clip === 1 && state.selected === 1")


def test_what_cannot_be_tested_is_refused_in_words(open_report: OpenReport, report: Path) -> None:
    page = open_report(report)
    page.get_by_label("Second").select_option(CANDIDATES[0])
    page.get_by_role("button", name="Start the blind test").click()
    assert page.locator("#blind .status").inner_text() == "Choose two different candidates."
    page.get_by_label("Trials", exact=True).fill("4")
    assert "So few trials cannot tell anything." in page.locator("#blind .hint").inner_text()
    assert not running(page)["running"]


def test_p_values_are_exact(open_report: OpenReport, report: Path) -> None:
    from scipy.stats import binomtest

    page = open_report(report)
    cases = [(k, n) for n in (1, 2, 5, 10, 17, 40, 200) for k in range(0, n + 1, max(1, n // 10))]
    answered = page.evaluate(
        "(cases) => cases.map(([k, n]) => [denoiseReport.trials.tail(k, n), denoiseReport.trials.twoSided(k, n)])",
        cases,
    )
    for (k, n), (one, two) in zip(cases, answered, strict=True):
        assert one == pytest.approx(binomtest(k, n, alternative="greater").pvalue, rel=1e-9), (k, n)
        assert two == pytest.approx(binomtest(k, n).pvalue, rel=1e-9), (k, n)
    needed = page.evaluate("[4, 5, 10, 16].map(denoiseReport.trials.needed)")
    assert needed == [None, 5, 9, 12]
    assert page.evaluate("denoiseReport.trials.twoSided(0, 0)") == 1


def test_trials_are_shuffled_fairly_and_follow_from_their_seed(open_report: OpenReport, report: Path) -> None:
    page = open_report(report)
    rng = random.Random(1)
    seeds = [f"{rng.getrandbits(128):032x}" for _ in range(400)]
    plans = page.evaluate(
        """(seeds) => seeds.map((seed) => denoiseReport.trials.plan(
          { mode: "abx", pairs: [["one", "two"]], clipsOf: () => [0, 1, 2, 3, 4], trials: 10, seed }))""",
        [*seeds, seeds[0]],
    )
    assert plans[-1] == plans[0]
    assert len({json.dumps(plan) for plan in plans}) == 400
    trials = [trial for plan in plans[:-1] for trial in plan]
    # 4000 tosses of a fair coin: within four standard deviations of half of them.
    for fair in (
        [trial["x"] == "a" for trial in trials],
        [trial["a"] == "one" for trial in trials],
        [(trial["x"] == "a") == (trial["a"] == "one") for trial in trials],
        [one["x"] == next["x"] for one, next in itertools.pairwise(trials)],
    ):
        assert abs(sum(fair) / len(fair) - 0.5) < 4 * 0.5 / len(fair) ** 0.5
    for plan in plans:
        for half in (plan[:5], plan[5:]):
            assert sorted(trial["clip"] for trial in half) == [0, 1, 2, 3, 4]
    first = Counter(plan[0]["clip"] for plan in plans[:-1])
    assert all(abs(count - 80) < 4 * (400 * 0.2 * 0.8) ** 0.5 for count in first.values())
    new = page.evaluate("Array.from({ length: 100 }, denoiseReport.trials.newSeed)")
    assert len(set(new)) == 100


def test_cells_of_csv_are_quoted_where_they_must_be(open_report: OpenReport, report: Path) -> None:
    page = open_report(report)
    rows = [{"clip": 'a "loud", bad\nroom', "preferred": None}, {"clip": "plain", "preferred": "one"}]
    text = page.evaluate("denoiseReport.trials.toCsv", rows)
    assert list(csv.DictReader(io.StringIO(text, newline=""))) == [
        {"clip": 'a "loud", bad\nroom', "preferred": ""},
        {"clip": "plain", "preferred": "one"},
    ]
