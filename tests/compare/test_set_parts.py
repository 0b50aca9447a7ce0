"""A part of a set, by what its manifest says of the clips."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sets import quick_opinions, write_set

from denoise_wrapper.cli import main as cli
from denoise_wrapper.compare.clips.sets import read_set
from denoise_wrapper.errors import ConfigError, DataError


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Clips a and c of a child, b of a reader that may have been trained on; c says nothing of that."""
    folder = write_set(tmp_path / "set", {"a": 0.0, "b": 5.0, "c": 5.0})
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    for entry, facts in zip(
        manifest["clips"],
        ({"kind": "child", "seen_by_shipped": False}, {"kind": "reader", "seen_by_shipped": True}, {"kind": "child"}),
        strict=True,
    ):
        entry.update(facts)
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("only", "ids"),
    [("unseen", "a"), ("seen_by_shipped=true", "b"), ("kind=child", "ac"), ("snr_db=5.0", "bc"), ("rate=16000", "abc")],
)
def test_a_part_is_the_clips_of_which_a_field_has_a_value(clips: Path, only: str, ids: str) -> None:
    assert [clip.id for clip in read_set(clips, only=only)] == list(ids)


@pytest.mark.parametrize("only", ["seen", "=5"])
def test_a_part_of_another_form_is_refused(clips: Path, only: str) -> None:
    with pytest.raises(ConfigError, match="is FIELD=VALUE"):
        read_set(clips, only=only)


def test_a_part_of_no_clip_names_the_values_that_there_are(clips: Path) -> None:
    with pytest.raises(DataError, match="has kind robot; it is child, reader"):
        read_set(clips, only="kind=robot")
    with pytest.raises(DataError, match="no clip says its room"):
        read_set(clips, only="room=hall")


def test_evaluate_measures_the_part_alone(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    quick_opinions(monkeypatch)
    arguments = ["--set", str(clips), "--backend", "noisy", "--against", "standard", "--json", str(tmp_path / "r.json")]
    assert cli.main(["evaluate", "--jobs", "1", "--only", "kind=child", *arguments]) == 0
    written = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    for result in (written, written["against"]):
        assert [clip["id"] for clip in result["clips"]] == ["a", "c"]
    assert "2 clips" in capsys.readouterr().out
