"""The report of a comparison: what is in the page and beside it, in time, in words, and all or nothing."""

from __future__ import annotations

import base64
import csv
import dataclasses
import io
import json
import re
import sys
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import browser
import numpy as np
import pytest
import soundfile
from browser import OpenReport
from comparisons import CANDIDATES, draw_one_plot, make_comparison
from require import require
from sets import RATE, voice

for package in ("jinja2", "matplotlib", "soxr"):
    require(package, reason="reports need their packages: pip install 'denoise-wrapper[compare]'")

import soxr  # noqa: E402
from PIL import Image  # noqa: E402

from denoise_wrapper.compare import export  # noqa: E402
from denoise_wrapper.compare.comparison import MEASURES, Comparison, Result, Track  # noqa: E402
from denoise_wrapper.compare.measure.measures import QUALITY  # noqa: E402
from denoise_wrapper.compare.report import (  # noqa: E402
    check_report,
    clips,
    images,
    page,
    plots,
    sound,
    tables,
    words,
    write_report,
)
from denoise_wrapper.compare.statistics import verdicts  # noqa: E402
from denoise_wrapper.errors import ConfigError, FileError  # noqa: E402
from denoise_wrapper.wording import visible  # noqa: E402

chromium, open_report = browser.chromium, browser.open_report  # fixtures
EMPTY = {"br", "col", "hr", "img", "input", "link", "meta"}  # tags of elements that hold nothing


class Element:
    """An element of a page: its tag, attributes, the elements and the text inside it."""

    def __init__(self, tag: str, attributes: dict[str, str]) -> None:
        self.tag, self.attributes = tag, attributes
        self.inside: list[Element | str] = []

    def all(self, tag: str = "", kind: str = "") -> list[Element]:
        """Elements inside of a tag and a class, "" for any, in their order."""
        return [e for e in self._walk() if tag in ("", e.tag) and (not kind or kind in e["class"].split())]

    def _walk(self) -> Iterator[Element]:
        for child in self.inside:
            if isinstance(child, Element):
                yield child
                yield from child._walk()

    def __getitem__(self, name: str) -> str:
        return self.attributes.get(name, "")

    @property
    def text(self) -> str:
        return "".join(child if isinstance(child, str) else child.text for child in self.inside)


class Reader(HTMLParser):
    """Builds the elements; every one that is opened must be closed, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open = [Element("", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].inside.append(element)
        if tag not in EMPTY:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        self.open[-1].inside.append(data)


def read_page(path: Path) -> Element:
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    (root,) = reader.open
    return root


def data_of(root: Element) -> dict[str, Any]:
    (script,) = (e for e in root.all("script") if e["id"] == "report-data")
    return dict(json.loads(script.text))


def audio_of(root: Element, name: str) -> tuple[Any, int]:
    """The samples (frames, channels) and the rate of a track."""
    (script,) = (e for e in root.all("script") if e["id"] == name)
    return soundfile.read(io.BytesIO(base64.b64decode(script.text, validate=True)), always_2d=True)


def picture(element: Element) -> Image.Image:
    kind, data = element["src"].split(",")
    assert kind == "data:image/webp;base64"
    return Image.open(io.BytesIO(base64.b64decode(data, validate=True)))


def with_audio(comparison: Comparison, folder: Path, clip: int, result: int, audio: Any, rate: int) -> Comparison:
    """A comparison in which a candidate made something else of a clip."""
    path = folder / f"other-{clip}-{result}.wav"
    soundfile.write(path, audio, rate, "FLOAT")
    changed = comparison.results[result]
    tracks = list(changed.tracks)
    tracks[clip] = dataclasses.replace(tracks[clip], audio=path)
    results = list(comparison.results)
    results[result] = dataclasses.replace(changed, tracks=tuple(tracks))
    return dataclasses.replace(comparison, results=tuple(results))


def tiny(
    folder: Path, ratios: Sequence[float | None] = (5.0,), candidates: Sequence[str] = ("only",), **settings: Any
) -> Comparison:
    """Nothing wrong, and judged by PESQ alone: there is little to plot."""
    comparison = make_comparison(folder, ratios, candidates, faults=False, **settings)
    results = [
        dataclasses.replace(
            result,
            tracks=tuple(dataclasses.replace(track, values={"PESQ": track.value("PESQ")}) for track in result.tracks),
        )
        for result in comparison.results
    ]
    return dataclasses.replace(comparison, results=tuple(results))


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    return make_comparison(tmp_path_factory.mktemp("clips"), ratios=(0.0, 10.0, None))


@pytest.fixture(scope="module")
def written(comparison: Comparison, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_report(comparison, tmp_path_factory.mktemp("report") / "all.html", audio="flac")


@pytest.fixture(scope="module")
def root(written: list[Path]) -> Element:
    return read_page(written[0])


@pytest.fixture
def small(tmp_path: Path) -> Comparison:
    return tiny(tmp_path / "clips")


def test_all_files_are_there_and_nothing_else(written: list[Path], comparison: Comparison) -> None:
    html, table, data, *plots = written
    assert [html.name, table.name, data.name] == ["all.html", "all.csv", "all.json"]
    assert {path.parent.name for path in plots} == {"all_plots"}
    names = {path.name for path in plots}
    assert {f"clip-{number:02}-{clip.id}.png" for number, clip in enumerate(comparison.clips)} <= names
    assert {"PESQ-against-file_factor.png", "OVRL-against-latency_ms.png", "STOI-by-ratio.png"} <= names
    assert {f"{name}-change.png" for name in ("PESQ", "SISDR", "PAUSES")} <= names
    assert {path for path in html.parent.rglob("*") if path.is_file()} == set(written)
    for path in plots:
        assert Image.open(path).format == "PNG"
    assert json.loads(data.read_text(encoding="utf-8"))
    with open(table, encoding="utf-8", newline="") as file:
        assert {row["candidate"] for row in csv.DictReader(file)} >= {"noisy", *CANDIDATES}


def test_the_page_needs_nothing_else(root: Element) -> None:
    (policy,) = (e["content"] for e in root.all("meta") if e["http-equiv"] == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert "connect-src 'none'" in policy
    for element in root.all():
        for name in ("src", "href", "srcset", "action", "poster", "data"):
            assert element[name].startswith(("data:", "#", "")[: 2 if element[name] else 3]), (element.tag, name)
    for element in root.all("style"):
        assert not re.search(r"url\(|@import", element.text)


def test_each_clip_has_its_tracks_in_order_with_their_keys(root: Element, comparison: Comparison) -> None:
    data = data_of(root)
    articles = root.all("article", "clip")
    assert [clip["id"] for clip in data["clips"]] == [clip.id for clip in comparison.clips]
    for number, (article, clip) in enumerate(zip(articles, comparison.clips, strict=True)):
        names = [*(result.name for result in comparison.results), *(["clean"] if clip.clean else [])]
        keys = [*map(str, range(len(comparison.results))), *(["c"] if clip.clean else [])]
        known = data["clips"][number]["tracks"]
        assert [(track["track"], track["name"], track["key"]) for track in known] == list(
            zip(range(len(names)), names, keys, strict=True)
        )
        assert article["id"] == f"clip-{number}"
        assert article["data-clip"] == str(number)
        assert len(article.all("div", "transport")) == 1
        for track, element in zip(known, article.all("div", "track"), strict=True):
            (button,) = element.all("button", "pick")
            assert element["data-track"] == str(track["track"])
            assert button.text.split() == [track["key"], track["name"]]
            assert ("disabled" in button.attributes) == (track["audio"] is None) == (track["error"] is not None)
            for shown in element.all("div", "picture"):
                assert float(shown["data-seconds"]) == data["clips"][number]["seconds"] == clip.seconds


def test_more_candidates_than_digits_have_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw_one_plot(monkeypatch)
    comparison = tiny(tmp_path, candidates=[f"c{number}" for number in range(11)])
    (clip,) = data_of(read_page(write_report(comparison, tmp_path / "r.html")[0]))["clips"]
    assert [track["key"] for track in clip["tracks"]] == [*"0123456789", None, None, "c"]


def test_lossless_audio_is_that_of_the_files(root: Element, comparison: Comparison) -> None:
    checked = 0
    for number, clip in enumerate(data_of(root)["clips"]):
        files = [result.tracks[number].audio for result in comparison.results] + [comparison.clips[number].clean]
        for track, file in zip(clip["tracks"], files, strict=False):
            if track["audio"] is not None and file is not None:
                audio, rate = audio_of(root, track["audio"])
                wanted, _ = soundfile.read(file, always_2d=True)
                assert rate == RATE
                np.testing.assert_allclose(audio, wanted, atol=2.0**-23)
                checked += 1
    assert checked == 18  # 4 clips of 5 tracks with audio, one clip without a reference, one track that failed


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 32000, 44100, 48000])
def test_compressed_audio_is_as_long_and_in_time(rate: int) -> None:
    clean = voice(1.3, rate)[:, None].astype(np.float32)
    data = sound.encode(clean, rate, "opus")
    decoded, decoded_rate = soundfile.read(io.BytesIO(data))
    assert soundfile.info(io.BytesIO(data)).subtype == "OPUS"
    assert decoded_rate == (rate if rate in (8000, 16000, 48000) else 48000)
    assert len(decoded) == round(len(clean) * decoded_rate / rate)
    known = soxr.resample(clean[:, 0], rate, decoded_rate)[: len(decoded)]
    spectrum = np.fft.rfft(decoded, 1 << 18) * np.conj(np.fft.rfft(known, 1 << 18))
    lag = int(np.argmax(np.fft.irfft(spectrum)))
    assert lag == 0
    assert np.corrcoef(decoded, known)[0, 1] > 0.95  # these harmonics reach much higher than those of speech


def test_a_reference_of_another_rate_and_length_is_brought_to_the_clips(small: Comparison, tmp_path: Path) -> None:
    (clip,) = small.clips
    assert clip.clean is not None
    clean, _ = soundfile.read(clip.clean)
    soundfile.write(clip.clean, np.pad(soxr.resample(clean, RATE, 44100), (0, 44100)), 44100, "FLOAT")
    root = read_page(write_report(small, tmp_path / "r.html", audio="flac")[0])
    audio, rate = audio_of(root, "audio-0-2")
    assert rate == RATE
    assert len(audio) == clip.frames
    assert np.corrcoef(audio[:, 0], clean)[0, 1] > 0.999


@pytest.mark.parametrize(("channels", "kept"), [(1, 1), (2, 2), (4, 1)])
def test_channels_are_kept_up_to_stereo(tmp_path: Path, channels: int, kept: int) -> None:
    comparison = tiny(tmp_path, channels=channels, rate=48000)
    root = read_page(write_report(comparison, tmp_path / "r.html")[0])
    assert audio_of(root, "audio-0-1")[0].shape == (comparison.clips[0].frames, kept)


def test_what_passes_full_scale_is_turned_down_with_all_of_its_clip(small: Comparison, tmp_path: Path) -> None:
    original, _ = soundfile.read(small.results[1].tracks[0].audio)
    loud = with_audio(small, tmp_path, 0, 1, original * 2.0 / np.abs(original).max(), RATE)
    root = read_page(write_report(loud, tmp_path / "r.html", audio="flac")[0])
    played = [audio_of(root, f"audio-0-{track}")[0][:, 0] for track in range(3)]
    noisy, _ = soundfile.read(small.clips[0].noisy)
    assert np.abs(played[1]).max() == pytest.approx(1.0, abs=1e-6)
    np.testing.assert_allclose(played[0], 0.5 * noisy, atol=1e-6)
    assert "6.0 dB quieter than they are" in root.all("p", "note")[0].text


def test_equal_loudness_never_passes_full_scale(small: Comparison, tmp_path: Path) -> None:
    both = zip(small.results, (0.0, 30.0), strict=True)
    tracks = [dataclasses.replace(result.tracks[0], loudness_db=gain) for result, gain in both]
    results = [dataclasses.replace(r, tracks=(track,)) for r, track in zip(small.results, tracks, strict=True)]
    root = read_page(write_report(dataclasses.replace(small, results=tuple(results)), tmp_path / "r.html")[0])
    (clip,) = data_of(root)["clips"]
    gains = [track["loudness_db"] for track in clip["tracks"]]
    assert gains[1] - gains[0] == pytest.approx(30.0, abs=0.01)
    peaks = [np.abs(soundfile.read(result.tracks[0].audio)[0]).max() for result in small.results]
    played = [peak * 10.0 ** (gain / 20.0) for peak, gain in zip(peaks, gains, strict=False)]
    assert max(played) == pytest.approx(1.0, abs=0.01)


def test_only_the_start_of_long_clips_is_shown(small: Comparison, tmp_path: Path) -> None:
    root = read_page(write_report(small, tmp_path / "r.html", audio="flac", seconds=0.5)[0])
    assert len(audio_of(root, "audio-0-1")[0]) == RATE // 2
    assert {element["data-seconds"] for element in root.all("div", "picture")} == {"0.5"}
    assert "first 0.5 s" in root.all("p", "note")[0].text


@pytest.mark.parametrize("seconds", [0.1, 1.0, 9.7, 200.0])
@pytest.mark.parametrize("share", [0.0, 0.25, 0.999])
def test_the_whole_width_is_the_whole_clip(seconds: float, share: float) -> None:
    clip = np.zeros(round(seconds * 8000), np.float32)
    click = int(share * len(clip))
    clip[click] = 1.0
    column = int(click * images.WIDTH / len(clip))
    assert abs(int(np.argmax(images.extremes(clip)[1])) - column) <= 1
    # A click is seen for as long as it is in a window: 32 ms with its middle there.
    power = 10.0 ** (images.spectrogram_db(clip, 8000).sum(axis=0) / 100.0)
    seen = np.flatnonzero(power > power.max() / 2.0)
    reach = images.WINDOW_S / seconds * images.WIDTH
    assert seen[0] - reach / 2.0 - 1.0 <= column <= seen[-1] + reach / 2.0 + 1.0
    assert seen[-1] - seen[0] <= reach + 2.0


@pytest.mark.parametrize(("rate", "top"), [(8000, 4000.0), (16000, 8000.0), (44100, 20000.0), (48000, 20000.0)])
def test_a_tone_is_seen_at_its_frequency(rate: int, top: float) -> None:
    assert images.top_hz(rate) == top
    for hz in (300.0, 1000.0, 0.8 * top):
        levels = images.spectrogram_db(np.sin(2.0 * np.pi * hz * np.arange(rate) / rate).astype(np.float32), rate)
        rows = levels.mean(axis=1)
        seen = 1.0 - (int(np.argmax(rows)) + 0.5) / len(rows)
        assert seen == pytest.approx(images.height_of(hz, rate), abs=2.0 / images.HEIGHT)
    assert images.height_of(top, rate) == pytest.approx(1.0)


def test_levels_do_not_depend_on_the_clips_length() -> None:
    noise = np.random.default_rng(1).standard_normal(60 * 8000).astype(np.float32)
    medians = [np.median(images.spectrogram_db(noise[: seconds * 8000], 8000)) for seconds in (4, 12, 60)]
    assert np.ptp(medians) < 3.0  # a mean of several frames has a higher median than one frame


def test_all_tracks_of_a_clip_are_drawn_on_one_scale(root: Element) -> None:
    article = root.all("article", "clip")[1]
    brightest = {}
    for element in article.all("div", "track"):
        for shown in element.all("img", "spectrogram"):
            brightest[element.all("button")[0].text.split()[-1]] = np.mean(np.asarray(picture(shown).convert("L")))
    assert brightest["noisy"] > brightest["other"] > brightest["weak"] > brightest["strong"] > brightest["clean"]


def test_silence_is_black_and_a_line(root: Element) -> None:
    article = root.all("article", "clip")[-1]
    track = article.all("div", "track")[0]
    assert np.max(np.asarray(picture(track.all("img", "spectrogram")[0]))) < 16
    wave = np.asarray(picture(track.all("img", "waveform")[0]).convert("RGBA"))[..., 3] > 0
    assert set(wave.sum(axis=0)) == {2}
    assert track.all("img", "waveform")[0]["alt"].endswith("silence")


def test_reasons_stand_where_something_is_missing(root: Element) -> None:
    first, *_, last = root.all("article", "clip")
    (failed,) = first.all("div", "track")[1].all("p", "failed")
    assert "a sample is not finite" in failed.text
    silent = last.all("div", "track")[1]
    assert re.search(r"no PESQ, STOI.*: the clip is silent", silent.text)
    assert "it has no reference in clean/" in root.all("article", "clip")[2].text
    assert "160 samples longer" in root.all("article", "clip")[1].text
    (problems,) = root.all("details", "problems")
    for wanted in ("missing.rnnn", "notes.wav", "the clip is silent", "a sample is not finite", "160 samples longer"):
        assert wanted in problems.text
    absent = [row for row in root.all("tr") if row.inside and row.all("th") and row.all("th")[0].text == "absent"]
    assert absent
    assert all("missing.rnnn" in row.text for row in absent)


def test_a_measure_that_nobody_could_tell_has_its_reason_in_the_table(comparison: Comparison) -> None:
    table = tables.means(comparison, [0, 3], verdicts(comparison, [0, 3]), "")
    (strong,) = (row for row in table.rows if row.name == "strong")  # failed on the one, and the other is silent
    assert {cell.note for cell in strong.cells} == {
        "the model failed: a sample is not finite; the clip is silent",
    }


NASTY = ("</script><script>alert(1)</script>", "a\"b'c & <img src=x onerror=alert(2)>", "$x_1^2$ {{ 7*7 }} \u2028")


def test_names_are_only_ever_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    comparison = tiny(tmp_path / "clips", (0.0, 10.0), NASTY)
    named = tuple(
        dataclasses.replace(clip, id=f"{name}/..", problem=name)
        for clip, name in zip(comparison.clips, NASTY[:2], strict=True)
    )
    comparison = dataclasses.replace(comparison, clips=named, inputs=NASTY, processor=NASTY[0], skipped=NASTY)
    files = write_report(comparison, tmp_path / "r.html", title=NASTY[1])
    draw_one_plot(monkeypatch)
    usual = write_report(tiny(tmp_path / "usual", (0.0, 10.0), CANDIDATES), tmp_path / "usual.html")
    root, other = read_page(files[0]), read_page(usual[0])
    assert [len(root.all(tag)) for tag in ("script", "img")] == [len(other.all(tag)) for tag in ("script", "img")]
    assert not any(name.startswith("on") for element in root.all() for name in element.attributes)
    assert root.all("title")[0].text == NASTY[1]
    data = data_of(root)
    assert [track["name"] for track in data["clips"][0]["tracks"]] == ["noisy", *map(visible, NASTY), "clean"]
    assert all(path.parent in (tmp_path, tmp_path / "r_plots") for path in files)
    assert [cell.text for cell in root.all("th") if cell.text.startswith("$")] != []
    assert "{{ 7*7 }}" in root.all("article")[0].text


def test_pictures_say_what_they_show(root: Element) -> None:
    for element in root.all("img"):
        assert len(element["alt"]) > 30
        assert element["loading"] == "lazy"
        assert element["decoding"] == "async"
        assert int(element["width"]) > 0 < int(element["height"])
    cost = root.all("figure")[0].all("img")[0]["alt"]
    plots = [figure.all("img")[0]["alt"] for figure in root.all("figure")]
    assert any(re.search(r"PESQ against file RTF.*strong: file RTF 0\.02000, PESQ 2\.\d{3}", alt) for alt in plots), (
        cost
    )


def test_tables_and_sections_are_told_to_screen_readers(root: Element) -> None:
    for table in root.all("table"):
        assert len(table.all("caption")) == 1
        assert all(cell["scope"] in ("col", "row") for cell in table.all("th"))
    identifiers = [element["id"] for element in root.all() if element["id"]]
    assert len(identifiers) == len(set(identifiers))
    for element in root.all("section"):
        assert element["aria-labelledby"] in identifiers or "hidden" in element.attributes
    for link in root.all("a"):
        assert link["href"].removeprefix("#") in identifiers
    marks = root.all("td", "best")
    assert marks
    assert all("best" in mark.text for mark in marks)


def test_the_verdict_says_who_wins_by_how_much(comparison: Comparison) -> None:
    shown = verdicts(comparison)
    text = [f"{about} {said}" for about, said in words.sentences(comparison, shown)]
    pesq = next(verdict for verdict in shown if verdict.measure == "PESQ")
    assert (pesq.best, pesq.second) == ("strong", "weak")
    assert pesq.alike == ("weak", "other")  # the one clip that all have
    assert [line.startswith(("In short:", "Cost:")) for line in text] == [True, True]  # doubts are said once
    assert sum("4 clips: too few to tell" in line for line in text) == 1
    mixed = make_comparison(comparison.clips[0].noisy.parents[1] / "mixed", (0.0, 10.0, None, None))
    text = [f"{about} {said}" for about, said in words.sentences(mixed, verdicts(mixed))]
    assert any(line.startswith("Not told apart are strong, weak and other at PESQ") for line in text)
    assert any(line.startswith("A caution: of as few as 5 clips") for line in text)
    several = make_comparison(comparison.clips[0].noisy.parents[1] / "more", (0.0,) * 6, faults=False)
    short, first, *_ = words.sentences(several, verdicts(several))
    assert short[0] == "In short:"
    assert re.match(r"strong sounds best on \d of 6 clips; \w+ keeps ", short[1])
    assert first[0] == "strong"
    assert re.match(r"is best at PESQ by 0\.2\d\d \(0\.2\d\d to 0\.2\d\d\), .*\(than weak\)", first[1])


def test_a_lower_value_that_is_better_is_a_lead(comparison: Comparison) -> None:
    several = make_comparison(comparison.clips[0].noisy.parents[1] / "lower", (0.0,) * 6, faults=False)
    (pauses,) = (v for v in verdicts(several) if v.measure == "PAUSES")
    assert re.fullmatch(r"\d\.\d\u00a0dB better \(\d\.\d to \d\.\d\)", words.lead(pauses.difference, QUALITY["PAUSES"]))


def test_one_candidate_is_held_against_the_noisy_clips(tmp_path: Path) -> None:
    several = make_comparison(tmp_path, (0.0,) * 6, ("only",), faults=False)
    short, line, *_ = words.sentences(several, verdicts(several))
    assert short == ("In short:", "only sounds best on 6 of 6 clips.")
    assert line[0] == "only"
    assert re.match(r"against the noisy clips: PESQ 0\.\d{3} better \(", line[1])


def test_nothing_known_is_no_verdict(small: Comparison, tmp_path: Path) -> None:
    nothing = [
        Result(
            r.name, r.description, tuple(Track(t.clip, None, error="it failed") for t in r.tracks), error="it failed"
        )
        for r in small.results
    ]
    unknown = dataclasses.replace(small, results=tuple(nothing))
    root = read_page(write_report(unknown, tmp_path / "r.html")[0])
    assert "no candidate could be measured" in root.all("ul", "sentences")[0].text
    assert len(root.all("p", "failed")) == 2
    assert [e["id"] for e in root.all("script") if e["data-type"]] == ["audio-0-2"]  # the reference


def test_without_costs_there_is_no_plot_of_them(tmp_path: Path) -> None:
    comparison = tiny(tmp_path, (0.0, 0.0), ("other",))
    files = write_report(comparison, tmp_path / "r.html")
    assert not [path for path in files if "against" in path.name]
    (cost,) = (e for e in read_page(files[0]).all("section") if e["id"] == "cost")
    assert "No costs were measured" in cost.text


def test_a_track_whose_file_is_gone_says_so(small: Comparison, tmp_path: Path) -> None:
    path = small.results[1].tracks[0].audio
    assert path is not None
    path.unlink()
    root = read_page(write_report(small, tmp_path / "r.html")[0])
    assert f"there is no file {path}" in root.all("p", "failed")[0].text


def test_the_page_does_not_depend_on_the_number_of_processes(small: Comparison, tmp_path: Path) -> None:
    pages = []
    for jobs in (1, 2):
        seen: list[tuple[str, int, int]] = []
        files = write_report(
            small,
            tmp_path / f"{jobs}.html",
            audio="flac",
            jobs=jobs,
            progress=lambda *step, seen=seen: seen.append(step),
        )
        pages.append([path.read_bytes() for path in files])
        assert {what for what, _, _ in seen} == {"drawing"}
        assert [done for _, done, _ in seen] == list(range(seen[-1][2] + 1))
    assert pages[0] == pages[1]


@pytest.mark.fault
def test_clips_that_are_alike_have_a_report(tmp_path: Path) -> None:
    comparison = make_comparison(tmp_path / "clips", ratios=(0.0, 0.0, 0.0), candidates=("one", "two"), faults=False)
    alike = []
    for number, result in enumerate(comparison.results):
        values = {"PESQ": 0.1 + 0.7 * number, "SISDR": 1.1 / 3.0 + number}
        alike.append(
            dataclasses.replace(
                result, tracks=tuple(dataclasses.replace(track, values=values) for track in result.tracks)
            )
        )
    page, *_ = write_report(dataclasses.replace(comparison, results=tuple(alike)), tmp_path / "r.html")
    assert page.exists()


# A name that paints, breaks the line, turns the direction, is no UTF-8, and one written from right to left.
ACTING = "a\x1b[31m\n\u202eb\udce9"
HEBREW = "\u05e9\u05dc\u05d5\u05dd"


@pytest.mark.fault
def test_names_of_any_bytes_are_shown_and_do_nothing(small: Comparison, tmp_path: Path) -> None:
    names = iter((ACTING, *(f"{HEBREW} {number}" for number in range(9))))
    mapping = {clip.id: next(names) for clip in small.clips} | {result.name: next(names) for result in small.candidates}
    odd = small.with_names(lambda name: mapping.get(name, name))
    odd = dataclasses.replace(odd, inputs=(ACTING,), skipped=(f"{ACTING}: it cannot be read",))
    page, table, data, *_ = write_report(odd, tmp_path / "r.html", title=ACTING)
    for path in (page, table):
        text = path.read_text(encoding="utf-8")
        assert "a\\x1b[31m\\x0a\\u202eb\\udce9" in text
        assert not set("\x1b\u202e\udce9") & set(text)
    assert f"\u2068{HEBREW} 0\u2069" in page.read_text(encoding="utf-8")
    assert json.loads(data.read_text(encoding="utf-8"))["clips"][0]["id"] == "a\\x1b[31m\\x0a\\u202eb\\udce9"
    printed = io.StringIO()
    export.write_clips(odd, printed)
    printed.getvalue().encode("utf-8")


@pytest.mark.fault
@pytest.mark.parametrize("error", [OSError(28, "theirs"), FileExistsError("theirs"), FileError("theirs")], ids=repr)
def test_what_the_callback_of_a_report_raises_comes_out_as_it_is(
    small: Comparison, tmp_path: Path, error: Exception
) -> None:
    folder = tmp_path / "reports"
    folder.mkdir()

    def fail(*_: object) -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        write_report(small, folder / "r.html", progress=fail)
    assert caught.value is error
    assert list(folder.iterdir()) == []


def test_files_that_exist_are_refused_before_any_work(small: Comparison, tmp_path: Path) -> None:
    def progress(what: str, done: int, total: int) -> None:
        raise AssertionError("work has begun")

    for existing in ("r.html", "r.csv", "r.json", "r_plots/x.png"):
        folder = tmp_path / existing.replace("/", "-")
        (folder / existing).parent.mkdir(parents=True)
        (folder / existing).write_text("mine")
        with pytest.raises(FileError, match="overwrite"):
            check_report(folder / "r.html")
        with pytest.raises(FileError, match="overwrite"):
            write_report(small, folder / "r.html", progress=progress)
        assert [path.name for path in folder.rglob("*") if path.is_file()] == [Path(existing).name]
        assert (folder / existing).read_text() == "mine"


def test_a_file_that_appears_meanwhile_is_not_replaced(small: Comparison, tmp_path: Path) -> None:
    folder = tmp_path / "reports"
    folder.mkdir()
    with pytest.raises(FileError, match="overwrite"):
        write_report(small, folder / "r.html", progress=lambda *_: (folder / "r.html").write_text("mine"))
    assert (folder / "r.html").read_text() == "mine"


def test_a_report_is_replaced_if_so_asked(small: Comparison, tmp_path: Path) -> None:
    first = write_report(small, tmp_path / "r.html", title="first")
    assert write_report(small, tmp_path / "r.html", title="second", overwrite=True) == first
    assert read_page(first[0]).all("h1")[0].text == "second"


@pytest.mark.parametrize("after", [0, 1, 2])
def test_an_interrupt_leaves_nothing(small: Comparison, tmp_path: Path, after: int) -> None:
    folder = tmp_path / "reports"
    folder.mkdir()

    def progress(what: str, done: int, total: int) -> None:
        if done == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_report(small, folder / "r.html", progress=progress)
    assert list(folder.iterdir()) == []


def test_settings_out_of_range_are_refused(small: Comparison, tmp_path: Path) -> None:
    target = tmp_path / "r.html"
    for settings in ({"audio": "mp3"}, {"seconds": 0.0}, {"seconds": float("nan")}, {"jobs": 0}):
        with pytest.raises(ConfigError):
            write_report(small, target, **settings)  # type: ignore[arg-type]
    with pytest.raises(FileError, match="no folder"):
        write_report(small, tmp_path / "nowhere" / "r.html")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ConfigError, match=r"jinja2: pip install 'denoise-wrapper\[compare\]'"):
        check_report(tmp_path / "r.html")


def test_each_measure_that_was_told_is_in_the_table(comparison: Comparison) -> None:
    table = tables.means(comparison, [0, 1, 2, 3], verdicts(comparison), "")
    labels = [name for name in MEASURES if name != "HFLSD"]  # which does not apply at 16 kHz
    assert [column.label for column in table.columns] == [QUALITY[name].label for name in labels]
    noisy = comparison.results[0]
    assert [cell.text for cell in table.rows[0].cells] == [
        words.digits(comparison.mean(noisy, name), QUALITY[name]) for name in labels
    ]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of 30 clips, 9 s each, and four candidates, all full-band noise, which takes the most room."""
    folder = tmp_path_factory.mktemp("large")
    comparison = make_comparison(folder, (0.0,), ("a", "b", "c", "d"), seconds=9.0, rate=48000, faults=False)
    for number in range(len(comparison.results)):
        noise = 0.1 * np.random.default_rng(number).standard_normal(comparison.clips[0].frames)
        comparison = with_audio(comparison, folder, 0, number, noise, 48000)
    (job,) = clips.make_jobs(comparison, 60.0, "opus", [folder / "clip.png"])
    drawn = [plots.PlotJob(plot, folder / "plot.png").draw() for plot in plots.cost_plots(comparison)]
    many = tuple(dataclasses.replace(comparison.clips[0], id=f"{number}") for number in range(30))
    results = [
        dataclasses.replace(result, tracks=tuple(dataclasses.replace(result.tracks[0], clip=clip) for clip in many))
        for result in comparison.results
    ]
    comparison = dataclasses.replace(comparison, clips=many, results=tuple(results))
    text = page.render(comparison, [job.draw()] * 30, {"cost": drawn, "ratio": drawn, "gain": drawn}, "large", "opus")
    (folder / "large.html").write_text(text, encoding="utf-8")
    return folder / "large.html"


def test_thirty_clips_of_four_candidates_are_small(large: Path) -> None:
    assert 15e6 < large.stat().st_size < 40e6


def test_thirty_clips_of_four_candidates_open_at_once(open_report: OpenReport, large: Path) -> None:
    opened = open_report(large)
    assert opened.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd") < 3000.0  # ms
    assert opened.evaluate("document.querySelectorAll('.track').length") == 30 * 6


@pytest.fixture(scope="module")
def long_names(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with all that can go wrong, and names that are longer than a phone is wide."""
    folder = tmp_path_factory.mktemp("long")
    names = ("strong" * 12, "a/long/path/of/" * 6, "other with a name of many words, as some may have one")
    comparison = make_comparison(folder, (0.0, 10.0, None), names)
    comparison = dataclasses.replace(comparison, processor="processor" * 9, inputs=("folder" * 30,))
    with pytest.MonkeyPatch.context() as patch:
        draw_one_plot(patch)
        return write_report(comparison, folder / "long.html", title="title" * 20)[0]


@pytest.mark.parametrize("width", [360, 390, 800, 1400])
def test_no_width_needs_sideways_scrolling(open_report: OpenReport, long_names: Path, width: int) -> None:
    opened = open_report(long_names, viewport={"width": width, "height": 800})
    opened.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
    opened.evaluate("document.querySelectorAll('.clip').forEach((c) => { c.style.contentVisibility = 'visible'; })")
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    hidden = """() => [...document.querySelectorAll("main *")].filter((element) => {
      const box = element.getBoundingClientRect();
      return box.width > 1 && box.right > innerWidth + 1 && !element.closest(".scroll, .picture");
    }).map((element) => element.outerHTML.slice(0, 200))"""
    assert opened.evaluate(hidden) == []


@pytest.mark.parametrize("width", [360, 1400])
def test_all_tracks_and_the_time_axis_are_in_line(open_report: OpenReport, long_names: Path, width: int) -> None:
    opened = open_report(long_names, viewport={"width": width, "height": 800})
    opened.locator("#clip-1").scroll_into_view_if_needed()
    shown = opened.evaluate(
        """() => {
          const article = document.getElementById("clip-1");
          const ends = (element) => { const box = element.getBoundingClientRect(); return [box.left, box.right]; };
          const ticks = [...article.querySelectorAll(".axis span")].filter((tick) => tick.checkVisibility());
          return {
            pictures: [...article.querySelectorAll(".picture, .picture img")].map(ends),
            ticks: ticks.map((tick) => [parseFloat(tick.textContent), ends(tick)[0]]),
            seconds: parseFloat(article.querySelector(".picture").dataset.seconds),
          };
        }"""
    )
    left, right = shown["pictures"][0]
    assert right - left > 200
    np.testing.assert_allclose(shown["pictures"], [[left, right]] * len(shown["pictures"]), atol=0.1)
    assert len(shown["ticks"]) > 3
    for seconds, place in shown["ticks"]:
        assert place == pytest.approx(left + (right - left) * seconds / shown["seconds"], abs=1.0)


def test_colours_are_the_systems_or_those_of_the_button(open_report: OpenReport, long_names: Path) -> None:
    opened = open_report(long_names, color_scheme="dark")
    button = opened.locator("#theme")
    for theme, other in (("dark", "light"), ("light", "dark")):
        assert opened.evaluate("document.documentElement.dataset.theme") == theme
        assert button.get_attribute("aria-pressed") == str(theme == "dark").lower()
        assert opened.locator(f"#cost .on-{theme}").first.is_visible()
        assert not opened.locator(f"#cost .on-{other}").first.is_visible()
        button.click()
    opened.emulate_media(media="print")
    assert opened.evaluate("getComputedStyle(document.body).color") == "rgb(28, 32, 36)"


# Text whose colour is nearer than 4.5 to what it stands on, but for what is disabled or stands on pictures.
PALE = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const linear = (part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  const luminance = (...colours) => {
    canvas.fillStyle = "white";
    for (const colour of colours) {
      canvas.fillStyle = colour;
      canvas.fillRect(0, 0, 1, 1);
    }
    const [red, green, blue] = [...canvas.getImageData(0, 0, 1, 1).data].map((part) => linear(part / 255));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const pale = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || !element.checkVisibility({ visibilityProperty: true })) continue;
    if (element.closest("script, :disabled, .picture, .heard-only, .skip, option")) continue;
    const grounds = [];
    for (let at = element; at; at = at.parentElement) grounds.unshift(getComputedStyle(at).backgroundColor);
    const ground = luminance(...grounds);
    const text = luminance(...grounds, getComputedStyle(element).color);
    const ratio = (Math.max(ground, text) + 0.05) / (Math.min(ground, text) + 0.05);
    if (ratio < 4.5) pale.push(`${ratio.toFixed(2)} ${element.outerHTML.slice(0, 120)}`);
  }
  return pale;
}"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_is_told_from_its_ground(open_report: OpenReport, long_names: Path, theme: str) -> None:
    opened = open_report(long_names, color_scheme=theme)
    opened.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
    opened.evaluate("document.querySelectorAll('.clip').forEach((c) => { c.style.contentVisibility = 'visible'; })")
    assert opened.evaluate(PALE) == []
    opened.evaluate("document.querySelector('h1').style.color = '#777'")
    assert len(opened.evaluate(PALE)) == 1  # it does see what is pale
