"""Results in writing: the table, the CSV and the JSON say the same, and hide nothing that went wrong."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from comparisons import CANDIDATES, make_comparison, small_comparison

from denoise_wrapper.compare.comparison import MEASURES, Comparison, Cost
from denoise_wrapper.compare.export import VALUE_COLUMNS, to_dict, write_values
from denoise_wrapper.compare.measure.measures import COSTS, QUALITY
from denoise_wrapper.compare.statistics import differences, mean_interval, verdicts
from denoise_wrapper.compare.tables import format_comparison

NAN = math.nan


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """Make a comparison with all that can go wrong in it."""
    return make_comparison(tmp_path_factory.mktemp("comparison"), (0.0, 0.0, 10.0, 10.0, None))


def lines(comparison: Comparison) -> list[str]:
    return format_comparison(comparison).splitlines()


def line(comparison: Comparison, start: str) -> str:
    (row,) = [line for line in lines(comparison) if line.startswith(start)]
    return row


def rows(comparison: Comparison) -> list[dict[str, str]]:
    file = io.StringIO(newline="")
    write_values(comparison, file)
    return list(csv.DictReader(io.StringIO(file.getvalue(), newline="")))


def of_kind(comparison: Comparison, kind: str) -> list[dict[str, str]]:
    return [row for row in rows(comparison) if row["kind"] == kind]


def plain(comparison: Comparison) -> dict[str, Any]:
    return json.loads(json.dumps(to_dict(comparison), allow_nan=False))


def test_the_table_has_a_line_of_means_for_each_result(comparison: Comparison) -> None:
    verdict, empty, first, headings, units, *body = lines(comparison)
    assert "sounds best on" in verdict or "each sound best on" in verdict
    assert empty == ""
    assert first == "4 candidates on 6 clips, cleaned as whole files; means:"
    shown = [measure for measure in MEASURES if measure != "HFLSD"]  # which is of no clip here
    arrows = {"higher": ["↑"], "lower": ["↓"], "zero": ["→0"], "neither": []}
    assert headings.split() == [word for name in shown for word in (name, *arrows[QUALITY[name].better])]
    assert units.split() == [QUALITY[measure].unit for measure in shown if QUALITY[measure].unit]
    for result, text in zip(comparison.results, body, strict=False):
        name, *cells = text.split()
        assert name == result.name
        for measure, cell in zip(shown, cells, strict=True):
            mean = comparison.mean(result, measure)
            assert cell == ("-" if math.isnan(mean) else f"{mean:.{QUALITY[measure].digits}f}")


def test_the_table_has_the_costs_of_each_candidate(comparison: Comparison) -> None:
    text = format_comparison(comparison).split("\n\n")[2].splitlines()
    assert text[0] == "costs, on one thread of a processor of tests:"
    assert text[1].split("  ")[-1] == "memory ↓"
    assert text[3].split() == ["strong", "0.0", "20.0", "4.0", "0.02000", "0.03000", "0.05000", "30.0"]
    assert text[5].split() == ["other", "20.0", "-", "-", "-", "-", "-", "-"]
    assert len(text) == 6  # nothing of the candidate of which there is nothing


def test_a_stream_and_matched_levels_are_said(comparison: Comparison) -> None:
    other = dataclasses.replace(comparison, mode="stream", level_matched=True)
    assert lines(other)[2] == "4 candidates on 6 clips, cleaned by a live stream, made equally loud; means:"


def test_who_is_best_is_said_with_the_lead_and_its_interval() -> None:
    a, b = [2.0, 2.2, 2.1, 2.3, 2.4], [2.1, 2.4, 2.3, 2.4, 2.7]
    built = small_comparison({"noisy": {"PESQ": [1.0] * 5}, "a": {"PESQ": a}, "b": {"PESQ": b}})
    lead = mean_interval(np.subtract(b, a))
    assert line(built, "PESQ:") == f"PESQ: b, 0.180 [{lead.low:.3f}, {lead.high:.3f}] better than a"


def test_of_what_should_be_low_the_lead_is_told_as_a_lead() -> None:
    built = small_comparison(
        {"noisy": {"PAUSES": [-40.0] * 5}, "a": {"PAUSES": [-50.0] * 5}, "b": {"PAUSES": [-60.0] * 5}}
    )
    assert line(built, "noise in pauses:") == "noise in pauses: b, 10.0 [10.0, 10.0] dB better than a"


def test_a_tie_is_said_to_be_one() -> None:
    built = small_comparison(
        {"noisy": {"STOI": [0.5] * 6}, "a": {"STOI": [0.8, 0.9] * 3}, "b": {"STOI": [0.9, 0.81] * 3}}
    )
    assert line(built, "STOI:").startswith("STOI: b, which may be chance: 0.005 [-0.0")
    assert line(built, "STOI:").endswith("] better than a")


def test_a_best_that_is_worse_than_the_noisy_clips_is_said_to_be() -> None:
    built = small_comparison({"noisy": {"SIG": [3.5] * 6}, "a": {"SIG": [3.0] * 6}})
    assert line(built, "DNSMOS SIG:") == "DNSMOS SIG: a; worse than the noisy clips, by 0.500 [0.500, 0.500]"
    built = small_comparison({"noisy": {"SIG": [3.5, 3.0] * 3}, "a": {"SIG": [3.0, 3.5] * 3}})
    assert line(built, "DNSMOS SIG:") == "DNSMOS SIG: a; not told apart from the noisy clips"


def test_the_noisy_clips_have_no_place_at_the_speech_level() -> None:
    built = small_comparison({"noisy": {"SPEECH": [0.0] * 6}, "a": {"SPEECH": [-1.0] * 6}, "b": {"SPEECH": [3.0] * 6}})
    assert line(built, "speech level:") == "speech level: a, 2.00 [2.00, 2.00] dB better than b"


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (1, "PESQ: b, 0.500 better than a"),
        (4, "PESQ: b, 0.500 [0.500, 0.500] better than a"),
        (5, "PESQ: b, 0.500 [0.500, 0.500] better than a"),
    ],
)
def test_few_clips_give_means_and_no_certainty(count: int, said: str) -> None:
    values = {"noisy": [1.0] * count, "a": [2.0] * count, "b": [2.5] * count}
    built = small_comparison({name: {"PESQ": of} for name, of in values.items()})
    assert line(built, "PESQ:") == said
    assert format_comparison(built).count("too few to tell anything apart") == (count < 5)
    assert "nan" not in format_comparison(built)


def test_candidates_that_share_no_clip_have_no_best() -> None:
    built = small_comparison({"noisy": {"PESQ": [1.0, 1.0]}, "a": {"PESQ": [2.0, NAN]}, "b": {"PESQ": [NAN, 2.0]}})
    assert line(built, "PESQ:") == "PESQ: no clip was measured for all candidates"


def test_costs_are_one_line_by_who_has_the_least_of_them() -> None:
    values = {"PESQ": [1.0, 2.0]}
    costs = {"a": Cost(latency_ms=10.0, memory_mb=5.0, load_ms=2.0), "b": Cost(10.0, load_ms=1.0, memory_mb=3.0)}
    built = small_comparison(dict.fromkeys(("noisy", "a", "b"), values), costs)
    assert line(built, "least cost:") == "least cost: a and b in latency; b in load and memory"
    alone = small_comparison(dict.fromkeys(("noisy", "a"), values), {"a": costs["a"]})
    assert "least cost" not in format_comparison(alone)


def test_a_clip_of_which_nothing_could_be_measured_leaves_no_columns() -> None:
    text = format_comparison(small_comparison({"noisy": {"PESQ": [NAN]}, "a": {"PESQ": [NAN]}}))
    assert text.splitlines()[:3] == ["1 candidate on 1 clip, cleaned as whole files; means:", "noisy", "a"]


def test_all_that_went_wrong_is_below_the_table_and_alike_is_one_line(comparison: Comparison) -> None:
    text_lines = format_comparison(comparison).split("\n\n")[-1].splitlines()
    silent = "noisy on silent, strong on silent, weak on silent, other on silent: no PESQ, STOI, ESTOI, SI-SDR, "
    assert sum(text.startswith(silent) and text.endswith(": the clip is silent") for text in text_lines) == 1
    for wanted in (
        "notes.wav: it is no wav file that can be read",
        "clip-4: it has no reference in clean/",
        "strong on clip-0: the model failed: a sample is not finite",
        "absent: there is no model file missing.rnnn",
    ):
        assert wanted in text_lines
    reasons = {problem.rsplit(": ", 1)[1] for problem in comparison.problems()}
    assert all(any(text.endswith(reason) for text in text_lines) for reason in reasons)


def test_many_alike_problems_name_some_clips_and_count_the_rest() -> None:
    built = small_comparison({"noisy": {"PESQ": [1.0] * 9}, "a": {"PESQ": [NAN] * 9}})
    noisy, bad = built.results
    tracks = tuple(dataclasses.replace(track, reasons={"PESQ": "no speech"}) for track in bad.tracks)
    built = dataclasses.replace(built, results=(noisy, dataclasses.replace(bad, tracks=tracks)))
    names = ", ".join(f"a on clip-{at}" for at in range(6))
    assert lines(built)[-1] == f"{names} and 3 more: no PESQ: no speech"


def test_a_comparison_without_problems_ends_with_its_verdicts(tmp_path: Path) -> None:
    built = make_comparison(tmp_path, (0.0, 10.0), faults=False)
    assert lines(built)[-2].startswith("least cost: ")
    assert lines(built)[-1] == "2 clips: too few to tell anything apart; it takes 5"
    assert to_dict(built)["problems"] == []


def test_the_csv_has_each_value_of_each_clip_with_the_reason_where_there_is_none(comparison: Comparison) -> None:
    written = {(row["candidate"], row["clip"], row["measure"]): row for row in of_kind(comparison, "clip")}
    assert len(written) == len(comparison.results) * len(comparison.clips) * (len(MEASURES) + 4)
    for result in comparison.results:
        for track in result.tracks:
            for measure in MEASURES:
                row = written[result.name, track.clip.id, measure]
                value = track.value(measure)
                assert row["unit"] == QUALITY[measure].unit
                assert row["snr_db"] == ("" if track.clip.snr_db is None else f"{track.clip.snr_db:g}")
                if math.isnan(value):
                    assert row["value"] == ""
                    assert row["note"] == (track.error or track.reasons.get(measure, ""))
                else:
                    assert float(row["value"]) == pytest.approx(value, rel=1e-5)
    assert written["weak", "clip-1", "extra"]["value"] == "160"
    assert written["weak", "clip-1", "extra"]["note"].startswith("it came back 160 samples longer")
    assert written["strong", "clip-0", "extra"]["value"] == ""


def test_the_csv_has_means_and_differences_of_each_group_with_intervals(comparison: Comparison) -> None:
    means = {(row["candidate"], row["group"], row["measure"]): row for row in of_kind(comparison, "mean")}
    assert {group for _, group, _ in means} == {"0 dB", "10 dB", "all"}
    strong = comparison.results[1]
    wanted = mean_interval(strong.values("PESQ")[[2, 3]])
    row = means["strong", "10 dB", "PESQ"]
    assert [float(row[name]) for name in ("value", "low", "high")] == pytest.approx(
        [wanted.mean, wanted.low, wanted.high], rel=1e-5
    )
    assert row["clips"] == "2"
    lone = means["strong", "0 dB", "PESQ"]  # it failed on the other clip
    assert (lone["low"], lone["high"], lone["clips"]) == ("", "", "1")
    pairs = {
        (row["candidate"], row["against"]): row for row in of_kind(comparison, "difference") if row["group"] == "all"
    }
    assert list(pairs) == [("noisy", "strong"), ("noisy", "weak"), ("noisy", "other"), ("strong", "weak"),
                           ("strong", "other"), ("weak", "other")]  # fmt: skip
    (row,) = [
        row
        for row in of_kind(comparison, "difference")
        if (row["group"], row["measure"], row["candidate"], row["against"]) == ("all", "PAUSES", "strong", "weak")
    ]
    interval = differences(comparison, "PAUSES")["strong", "weak"]
    assert float(row["value"]) == pytest.approx(interval.mean, rel=1e-5)
    assert (row["unit"], row["clips"]) == ("dB", str(interval.clips))


def test_the_csv_has_the_costs(comparison: Comparison) -> None:
    written = {(row["candidate"], row["measure"]): row for row in of_kind(comparison, "cost")}
    assert float(written["weak", "memory_mb"]["value"]) == 15.0
    assert written["weak", "memory_mb"]["unit"] == "MB"
    assert written["other", "delay_ms"]["value"] == "20"
    assert ("other", "memory_mb") not in written
    assert (written["absent", "delay_ms"]["value"], written["absent", "delay_ms"]["note"]) == (
        "",
        "there is no model file missing.rnnn",
    )


def test_the_csv_says_why_a_cost_was_not_measured() -> None:
    values = {"PESQ": [1.0, 2.0]}
    built = small_comparison({"noisy": values, "a": values}, {"a": Cost(error="it crashed")})
    notes = {row["measure"]: (row["value"], row["note"]) for row in of_kind(built, "cost")}
    assert notes == {"delay_ms": ("0", ""), **dict.fromkeys(COSTS, ("", "it crashed"))}
    assert lines(built)[-1] == "a: its cost was not measured: it crashed"


def test_the_csv_has_no_row_of_another_shape(comparison: Comparison) -> None:
    file = io.StringIO(newline="")
    write_values(comparison, file)
    head, *body = csv.reader(io.StringIO(file.getvalue(), newline=""))
    assert tuple(head) == VALUE_COLUMNS
    assert {len(row) for row in body} == {len(VALUE_COLUMNS)}
    assert not any(cell.lower() in ("nan", "inf", "none") for row in body for cell in row)


def test_the_json_holds_all_of_it(comparison: Comparison) -> None:
    written = plain(comparison)
    assert written["processor"] == "a processor of tests"
    assert [clip["id"] for clip in written["clips"]] == [clip.id for clip in comparison.clips]
    assert written["clips"][4]["problem"] == "it has no reference in clean/"
    assert [result["name"] for result in written["results"]] == ["noisy", *CANDIDATES, "absent"]
    strong = written["results"][1]
    assert strong["cost"] == pytest.approx({**dataclasses.asdict(Cost()), **vars(comparison.results[1].cost)})
    assert strong["tracks"][0]["error"] == "the model failed: a sample is not finite"
    assert strong["tracks"][0]["values"] == dict.fromkeys(MEASURES)
    for measure, value in strong["tracks"][1]["values"].items():
        known = comparison.results[1].tracks[1].value(measure)
        assert value == (None if math.isnan(known) else pytest.approx(known, rel=1e-5))
    assert written["results"][2]["tracks"][1]["extra"] == 160
    assert written["results"][0]["tracks"][5]["reasons"]["PESQ"] == "the clip is silent"
    assert written["results"][1]["model_sha256"] == {"model-0": "0" * 64}
    assert written["results"][4]["error"] == "there is no model file missing.rnnn"
    assert written["groups"] == {
        "0 dB": ["clip-0", "clip-1"],
        "10 dB": ["clip-2", "clip-3"],
        "all": [clip.id for clip in comparison.clips],
    }
    assert written["problems"] == list(comparison.problems())
    assert written["measures"]["PESQ"]["better"] == "higher"


def test_the_json_has_means_differences_and_verdicts_as_they_are_found(comparison: Comparison) -> None:
    written = plain(comparison)
    mean = mean_interval(comparison.results[2].values("STOI"))
    assert written["means"]["all"]["weak"]["STOI"] == pytest.approx(vars(mean), rel=1e-5)
    assert written["means"]["all"]["absent"] == {}
    (difference,) = [
        item
        for item in written["differences"]["all"]
        if (item["measure"], item["first"], item["second"]) == ("SISDR", "noisy", "weak")
    ]
    assert difference["mean"] == pytest.approx(differences(comparison, "SISDR")["noisy", "weak"].mean, rel=1e-5)
    assert [(item["measure"], item["best"]) for item in written["verdicts"]] == [
        (verdict.measure, verdict.best) for verdict in verdicts(comparison)
    ]
    assert written["verdicts"][0]["difference"]["clips"] == written["verdicts"][0]["clips"]


def test_no_file_of_a_track_is_named_for_it_may_be_gone(comparison: Comparison) -> None:
    text = json.dumps(to_dict(comparison))
    assert all(
        str(track.audio) not in text for result in comparison.results[1:] for track in result.tracks if track.audio
    )
