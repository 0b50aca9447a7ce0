"""The list of what no training hears: it is chosen by its rule, left out of every corpus, and hits nobody else."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from training_packs import write_packs

from denoise_wrapper.errors import DataError
from denoise_wrapper.training.config import DataConfig, fingerprint
from denoise_wrapper.training.data import held_out
from denoise_wrapper.training.data.balance import balance, write_table
from denoise_wrapper.training.data.choose_held_out import choose
from denoise_wrapper.training.data.corpus import open_corpora, read_pack, read_rooms
from denoise_wrapper.training.data.join import join
from denoise_wrapper.training.data.packs import held_out_names, licences, open_pack
from denoise_wrapper.training.data.prepare import prepare
from denoise_wrapper.training.rnnoise.config import RNNoiseConfig
from denoise_wrapper.training.rnnoise.features import FEATURES_VERSION, shards

RATE = 48000


@pytest.fixture
def packs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, Path]]:
    """Packs of four voices and four noises, of which voice1 of the source "made" and noise2 are on the list."""
    speech, noise = write_packs(tmp_path)
    listed = tmp_path / "list" / "held_out.csv"
    listed.parent.mkdir()
    with listed.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(held_out.COLUMNS)
        for kind, name, file in (("voice", "voice1", speech / "voice1.wav"), ("noise", "noise2", noise / "noise2.wav")):
            writer.writerow([kind, name, "made", file.name, held_out.digest(file), "reader", "full", "yes"])
    monkeypatch.setattr(held_out, "LIST", listed)
    forget()
    yield speech, noise
    monkeypatch.undo()
    forget()


def forget() -> None:
    for cached in (held_out.entries, held_out._by_name, held_out.digest, held_out._say):
        cached.cache_clear()


def names(path: Path, work_dir: Path) -> set[str]:
    return {name for name, _ in read_pack(path, RATE, work_dir)}


def rewrite(table: Path, old: str, new: str) -> None:
    table.write_text(table.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")


def test_what_is_on_the_list_is_on_neither_side_and_the_number_of_it_is_said(
    packs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    speech, noise = packs
    config = DataConfig((speech,), (noise,), validation=0.3)
    for _ in range(2):
        sides = open_corpora(config, RATE, tmp_path / "work", 1)
    assert {source.name for side in sides for source in side.voices} == {"voice0", "voice2", "voice3"}
    assert {source.name for side in sides for source in side.noises} == {"noise0", "noise1", "noise3"}
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"{name}: 1 of 4 voices, noises or rooms are held out for the blind set, and left out"
                    for name in ("speech", "noise")]  # fmt: skip
    assert sum(hours for *_, hours in licences((speech,))) == pytest.approx(9 * 0.6 / 3600.0)


def test_a_voice_of_the_same_name_from_elsewhere_is_kept(packs: tuple[Path, Path], tmp_path: Path) -> None:
    speech, noise = packs
    rewrite(speech / "segments.csv", "made", "mine")
    assert "voice1" in names(speech, tmp_path / "work")
    soundfile.write(noise / "noise2.wav", np.sin(np.arange(RATE)) / 2.0, RATE)
    assert "noise2" in names(noise, tmp_path / "work")


def test_without_a_source_the_content_decides(packs: tuple[Path, Path], tmp_path: Path) -> None:
    speech, _ = packs
    rewrite(speech / "segments.csv", ",made,", ",,")
    assert "voice1" not in names(speech, tmp_path / "work")
    audio, rate = soundfile.read(speech / "voice1.wav")
    soundfile.write(speech / "voice1.wav", audio / 2.0, rate)
    held_out.digest.cache_clear()
    assert "voice1" in names(speech, tmp_path / "work")


def test_tables_that_are_prepared_balanced_or_joined_are_still_known(packs: tuple[Path, Path], tmp_path: Path) -> None:
    speech, noise = packs
    rows = "".join(f"noise{number}.wav,0,2,made\n" for number in range(4))
    (noise / "segments.csv").write_text(f"file,start_s,end_s,source\n{rows}", encoding="utf-8")
    prepare(tmp_path / "prepared", speech=[speech], noise=[noise])
    kept = {"speech": {"voice0", "voice2", "voice3"}, "noise": {"noise0", "noise1", "noise3"}}
    for kind, left in kept.items():
        table = open_pack(tmp_path / "prepared" / f"{kind}.csv")
        write_table(table, balance(table, "voice", None), "voice", tmp_path / f"{kind}-balanced.csv")
        join(table, tmp_path / f"{kind}-joined")
        for path in (tmp_path / "prepared" / f"{kind}.csv", tmp_path / f"{kind}-balanced.csv",
                     tmp_path / f"{kind}-joined"):  # fmt: skip
            assert names(path, tmp_path / "work") == left


def test_rooms_go_by_a_table_beside_them_or_by_their_content(packs: tuple[Path, Path], tmp_path: Path) -> None:
    rooms, _ = tmp_path / "rir", packs
    rooms.mkdir()
    for name in ("voice1", "kitchen"):
        response = np.zeros(RATE // 10)
        response[:2] = 0.9, 0.1
        soundfile.write(rooms / f"{name}.wav", response, RATE)
    assert len(read_rooms(rooms, RATE)) == 2
    (rooms / "rirs.csv").write_text("file,t20_s,source\nrir/voice1.wav,0.4,made\n", encoding="utf-8")
    assert len(read_rooms(rooms, RATE)) == 1


def test_a_pack_of_nothing_else_is_refused(packs: tuple[Path, Path], tmp_path: Path) -> None:
    speech, noise = packs
    table = speech / "alone.csv"
    rows = (speech / "segments.csv").read_text(encoding="utf-8").splitlines()
    table.write_text("\n".join([rows[0], *(row[7:] for row in rows if "voice1" in row)]) + "\n", encoding="utf-8")
    with pytest.raises(DataError, match="is held out for the blind set; give"):
        open_corpora(DataConfig((table,), (noise,)), RATE, tmp_path / "work", 1)


def test_features_of_packs_that_hold_something_held_out_lie_apart(packs: tuple[Path, Path], tmp_path: Path) -> None:
    speech, noise = packs
    config = RNNoiseConfig(tmp_path / "work", DataConfig((speech,), (noise,)))
    plain = fingerprint(FEATURES_VERSION, "classic", config.data, config.mix, config.seed, config.features.shard_hours)
    assert {shard.path.parent.name for shard in shards(config)} != {f"features-{plain}"}
    rewrite(speech / "segments.csv", "voice1,made", "other,made")
    (noise / "noise2.wav").unlink()
    assert {shard.path.parent.name for shard in shards(config)} == {f"features-{plain}"}


def test_the_list_is_well_formed() -> None:
    entries = held_out.entries()
    assert len({(entry.kind, entry.name, entry.file) for entry in entries}) == len(entries)
    assert {entry.kind for entry in entries} == {"voice", "noise", "room"}
    assert {entry.band for entry in entries} == {"16k", "full"}
    assert all(len(entry.sha256) == 64 for entry in entries)
    assert {entry.name.split("-")[0] for entry in entries if entry.unseen} == {"ocean", "msc", "dsp20", "arabic"}


def test_the_list_is_what_its_rule_chooses(shared: Path) -> None:
    with held_out.LIST.open(newline="", encoding="utf-8") as stream:
        listed = list(csv.DictReader(stream))
    assert choose(shared / "data") == listed


def test_all_of_the_list_is_recognised_and_nothing_else(shared: Path) -> None:
    data = shared / "data"
    left_out = held_out_names([data / "speech", data / "noise", data / "rir"])
    assert left_out == sorted({entry.name for entry in held_out.entries()})
