"""The report in a real browser, for all: names for those who cannot see, focus for the keyboard, room on a phone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import browser
import pytest
from browser import OpenReport, coded_report, wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Page

chromium, open_report = browser.chromium, browser.open_report  # fixtures
NAMED = ("button", "checkbox", "combobox", "image", "link", "progressbar", "radio", "region", "slider", "spinbutton")
STOP = """() => {
  const here = document.activeElement;
  const style = getComputedStyle(here);
  const last = window.lastStop;
  window.lastStop = here;
  return {
    element: `${here.tagName} ${here.className} ${here.id}`,
    outline: style.outlineStyle === "none" ? 0 : parseFloat(style.outlineWidth),
    later: !last || Boolean(last.compareDocumentPosition(here) & Node.DOCUMENT_POSITION_FOLLOWING),
    play: here.matches(".play"),
  };
}"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return coded_report(tmp_path_factory.getbasetemp())


def names(page: Page) -> list[tuple[str, str]]:
    """Role and name of all that has one of the roles NAMED, as a screen reader is told."""
    session = page.context.new_cdp_session(page)
    nodes = session.send("Accessibility.getFullAXTree")["nodes"]
    named = [node for node in nodes if not node["ignored"] and node["role"]["value"] in NAMED]
    return [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in named]


def begin_test(page: Page, trials: int = 1) -> None:
    page.get_by_label("Trials", exact=True).fill(str(trials))
    page.get_by_role("button", name="Start the blind test").click()


def finish_test(page: Page) -> None:
    """Answer the only trial."""
    for letter in "abx":
        page.keyboard.press(letter)
        pressed = f"""document.querySelector("#blind .pick[aria-keyshortcuts='{letter}']").ariaPressed"""
        wait_until(page, f"state.playing && {pressed} === 'true'")
    page.keyboard.press("1")
    page.wait_for_selector("#blind .download")


def test_everything_that_can_be_used_has_a_name(open_report: OpenReport, report: Path) -> None:
    page = open_report(report, viewport={"width": 1280, "height": 6000})  # what is out of view has no names yet
    for details in page.locator("details").all():
        details.evaluate("(details) => { details.open = true }")
    named = names(page)
    assert {role for role, _ in named} >= set(NAMED) - {"progressbar"}
    assert not [role for role, name in named if not name.strip()]
    of_clips = [name for role, name in named if role in ("button", "slider") and "clip-" in name]
    assert len(set(of_clips)) == len(of_clips) >= 12  # what they are of is part of it
    begin_test(page)
    trial = names(page)
    assert ("progressbar", "Trials that are answered") in trial
    assert ("button", "Listen to X") in trial
    assert not [role for role, name in trial if not name.strip()]
    finish_test(page)
    assert not [role for role, name in names(page) if not name.strip()]


def test_tab_goes_through_the_page_in_order_and_is_seen(open_report: OpenReport, report: Path) -> None:
    page = open_report(report)
    stops = []
    for _ in range(100):
        page.keyboard.press("Tab")
        stops.append(page.evaluate(STOP))
        if sum(stop["play"] for stop in stops) == 2:
            break
    assert sum(stop["play"] for stop in stops) == 2  # it has come to the second clip
    assert not [stop for stop in stops if stop["outline"] < 2]
    assert not [stop for stop in stops if not stop["later"]]


def test_changes_are_told_to_those_who_listen(open_report: OpenReport, report: Path) -> None:
    page = open_report(report)
    status = page.locator("#clip-0").get_by_role("status")
    page.locator("#clip-0 .play").click()
    wait_until(page, "state.playing")
    page.keyboard.press("2")
    assert status.inner_text() == browser.NAMES[2]
    page.keyboard.press("l")
    assert status.inner_text() == f"Loop from 0.00 s to {browser.SECONDS:.2f} s"
    page.keyboard.press(" ")
    assert page.locator("#clip-0 .play").get_attribute("aria-label") == "Play, clip-0"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_a_phone(open_report: OpenReport, report: Path, scheme: str) -> None:
    phone = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True, "color_scheme": scheme}
    page = open_report(report, **phone)
    wide = "() => document.documentElement.scrollWidth"
    assert page.evaluate(wide) == 360
    page.locator("#clip-1 .picture").first.tap(position={"x": 100, "y": 20})
    page.locator("#clip-1 .pick").nth(2).tap()
    wait_until(page, "state.playing && state.clip === 1 && state.selected === 2 && state.position > 0.5")
    begin_test(page)
    assert page.evaluate(wide) == 360
    for control in page.locator("#blind button").all():
        box = control.bounding_box()
        assert box is not None
        assert box["height"] >= 24  # what a finger can hit
    finish_test(page)
    assert page.evaluate(wide) == 360
