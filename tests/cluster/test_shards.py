"""Shards: each member cleaned as it would be alone, all else as it was; refused where names lead out."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from batch_runs import batch, contents, records
from require import require

from denoise_wrapper import Denoiser

RATE = 16000
pyarrow = require("pyarrow")


def sound(seed: int, form: str = "WAV") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, 0.1 * np.random.default_rng(seed).standard_normal(3200 + seed), RATE, format=form)
    return file.getvalue()


def cleaned(data: bytes) -> bytes:
    target = io.BytesIO()
    Denoiser().filter_file(io.BytesIO(data), target)
    return target.getvalue()


def write_tar(path: Path, members: dict[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as shard:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), 1_700_000_000
            shard.addfile(info, io.BytesIO(data))


def read_tar(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as shard:
        return {member.name: shard.extractfile(member).read() for member in shard}  # type: ignore[union-attr]


MEMBERS = {
    "000.wav": sound(1), "000.json": b'{"text": "one"}', "sub/001.flac": sound(2, "FLAC"), "sub/001.txt": b"two",
    f"{'long' * 40}.wav": sound(3),
}  # fmt: skip


@pytest.mark.parametrize("name", ["shard-000.tar", "shard-000.tar.gz"])
def test_audio_in_a_tar_is_cleaned_and_the_rest_stays(tmp_path: Path, name: str) -> None:
    write_tar(tmp_path / "in/set" / name, MEMBERS)
    assert batch(tmp_path / "in", "-o", tmp_path / "out") == 0
    made = read_tar(tmp_path / "out/set" / name)
    assert list(made) == list(MEMBERS)
    for member, data in MEMBERS.items():
        assert made[member] == (cleaned(data) if member.endswith((".wav", ".flac")) else data)
    (done,) = records(tmp_path / "out")
    assert done["members"] == 3
    assert done["seconds"] == pytest.approx(0.6, abs=0.01)
    first = (tmp_path / "out/set" / name).read_bytes()
    assert batch(tmp_path / "in", "-o", tmp_path / "out", "--overwrite") == 0
    assert (tmp_path / "out/set" / name).read_bytes() == first


def test_a_member_that_is_broken_fails_the_shard_or_is_left_out_or_kept(tmp_path: Path) -> None:
    write_tar(tmp_path / "in/a.tar", {"1.wav": sound(1), "2.wav": b"this is text", "2.txt": b"two"})
    assert batch(tmp_path / "in", "-o", tmp_path / "out") == 2
    assert not list((tmp_path / "out").glob("*.tar"))
    assert "2.wav in it" in records(tmp_path / "out", "failed")[0]["error"]
    for what, names in (("drop", ["1.wav", "2.txt"]), ("keep", ["1.wav", "2.wav", "2.txt"])):
        assert batch(tmp_path / "in", "-o", tmp_path / "out", "--overwrite", "--bad-members", what) == 0
        assert list(read_tar(tmp_path / "out/a.tar")) == names
        assert [word.split(":")[0] for word in records(tmp_path / "out")[0]["bad_members"]] == ["2.wav"]


@pytest.mark.parametrize(
    "name", ["../evil.wav", "/etc/evil.wav", "a/../../evil.wav", "C:\\evil.wav", "a\\..\\evil.wav"]
)
def test_a_tar_whose_names_lead_out_is_refused(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One that lies here, before anything is made; a packed one at its turn, before anything is made of it."""
    members = {"good.wav": sound(1), name: sound(2)}
    write_tar(tmp_path / "in/a.tar", members)
    assert batch(tmp_path / "in", "-o", tmp_path / "out") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "would lead out" in line
    assert not (tmp_path / "out").exists()
    (tmp_path / "in/a.tar").unlink()
    write_tar(tmp_path / "in/a.tar.gz", members)
    write_tar(tmp_path / "in/b.tar.gz", MEMBERS)
    assert batch(tmp_path / "in", "-o", tmp_path / "out") == 2
    assert "would lead out" in capsys.readouterr().err
    assert set(contents(tmp_path / "out")) == {"b.tar.gz"}
    assert not (tmp_path / "evil.wav").exists()


def member(kind: bytes, **more: Any) -> tarfile.TarInfo:
    made = tarfile.TarInfo("a.wav")
    made.type, made.linkname = kind, "/etc/passwd" if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
    made.pax_headers = more
    return made


HOLES = {"GNU.sparse.map": "0,0", "GNU.sparse.size": "1000000000000"}
STRANGE = {
    "link": member(tarfile.SYMTYPE), "hard": member(tarfile.LNKTYPE), "device": member(tarfile.CHRTYPE),
    "pipe": member(tarfile.FIFOTYPE), "holes": member(tarfile.REGTYPE, **HOLES),
}  # fmt: skip


@pytest.mark.parametrize("kind", STRANGE)
def test_a_tar_with_what_is_no_plain_file_is_refused(
    tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    with tarfile.open(tmp_path / "in/a.tar", "w", format=tarfile.PAX_FORMAT) as shard:
        shard.addfile(STRANGE[kind])
    assert batch(tmp_path / "in", "-o", tmp_path / "out") == 2
    assert "a link or a device, or has holes" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def broken(members: dict[str, bytes], kind: str) -> bytes:
    """A tar of members with a fault. Its second header is where the first member ends, in blocks of 512 bytes."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as shard:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            if kind == "nonsense":
                info.pax_headers = {"GNU.sparse.map": ""}
            shard.addfile(info, io.BytesIO(data))
    whole = file.getvalue()
    second = 512 + -(-len(next(iter(members.values()))) // 512) * 512
    return {
        "cut": whole[: second - 600],
        "cut at a header": whole[:second],
        "damaged header": whole[:second] + b"\xff" * 100 + whole[second + 100 :],
        "joined": whole + whole,
        "nonsense": whole,
    }[kind]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", ["cut", "cut at a header", "damaged header", "joined", "nonsense"])
def test_a_tar_that_is_not_whole_is_set_aside(tmp_path: Path, kind: str, packed: bool) -> None:
    """Its first member is, which alone would be no shard; tarfile itself is content with most of these."""
    made = broken({"1.wav": sound(1), "2.wav": sound(2)}, kind)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / ("a.tar.gz" if packed else "a.tar")).write_bytes(gzip.compress(made) if packed else made)
    assert batch(tmp_path / "in", "-o", tmp_path / "out") == 2
    (failed,) = records(tmp_path / "out", "failed")
    assert failed["aside"]
    assert ("goes on after its end" if kind == "joined" else "no whole tar file") in failed["error"]
    assert not contents(tmp_path / "out")


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_packed_tar_that_is_damaged_is_set_aside(tmp_path: Path, share: float) -> None:
    write_tar(tmp_path / "in/a.tar.gz", MEMBERS)
    whole = (tmp_path / "in/a.tar.gz").read_bytes()
    at = int(share * len(whole))
    for damaged in (whole[:at], whole[:at] + bytes(200) + whole[at + 200 :]):
        (tmp_path / "in/a.tar.gz").write_bytes(damaged)
        assert batch(tmp_path / "in", "-o", tmp_path / "out", "--overwrite") == 2
        assert "no whole tar file" in records(tmp_path / "out", "failed")[0]["error"]
        assert not contents(tmp_path / "out")


def table(features: bool = True) -> Any:
    cells = [{"bytes": sound(seed), "path": f"{seed}.wav"} for seed in range(4)]
    made = pyarrow.table({"audio": cells, "text": ["a", "b", None, "d"]})
    words = {"info": {"features": {"audio": {"sampling_rate": RATE, "_type": "Audio"}}}}
    return made.replace_schema_metadata({"huggingface": json.dumps(words)}) if features else made


@pytest.mark.parametrize("features", [True, False])
def test_audio_in_parquet_is_cleaned_and_the_rest_stays(tmp_path: Path, features: bool) -> None:
    from pyarrow import parquet

    (tmp_path / "in").mkdir()
    parquet.write_table(table(features), tmp_path / "in/a.parquet", row_group_size=3)
    assert batch(tmp_path / "in", "-o", tmp_path / "out") == 0
    made = parquet.read_table(tmp_path / "out/a.parquet")
    assert made.schema.equals(table(features).schema, check_metadata=True)
    assert made["text"].to_pylist() == ["a", "b", None, "d"]
    expected = [{"bytes": cleaned(sound(seed)), "path": f"{seed}.wav"} for seed in range(4)]
    assert made["audio"].to_pylist() == expected


def test_a_data_set_that_was_saved_is_cleaned_with_what_describes_it(tmp_path: Path) -> None:
    """As `datasets` saves it: Arrow's stream, and two files of JSON."""
    folder = tmp_path / "in"
    folder.mkdir()
    with pyarrow.ipc.new_stream(str(folder / "data-00000-of-00001.arrow"), table().schema) as writer:
        writer.write_table(table())
    for name in ("dataset_info.json", "state.json"):
        (folder / name).write_text(f'{{"{name}": 1}}')
    assert batch(folder, "-o", tmp_path / "out") == 0
    with pyarrow.OSFile(str(tmp_path / "out/data-00000-of-00001.arrow"), "rb") as file:
        made = pyarrow.ipc.open_stream(file).read_all()
    assert [cell["bytes"] for cell in made["audio"].to_pylist()] == [cleaned(sound(seed)) for seed in range(4)]
    assert (tmp_path / "out/state.json").read_bytes() == (folder / "state.json").read_bytes()


@pytest.mark.parametrize(
    ("columns", "words", "options"),
    [
        ({"text": ["a"]}, "no column holds audio", ()),
        ({"audio": [{"bytes": None, "path": "a.wav"}]}, "row 0 of audio holds no bytes of audio", ()),
        ({"sound": [b"x"]}, "no column 'voice'; there are sound", ("--audio-column", "voice")),
    ],
)
def test_tables_without_audio_are_refused(
    tmp_path: Path, columns: Any, words: str, options: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    from pyarrow import parquet

    (tmp_path / "in").mkdir()
    if "audio" in columns:
        kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
        columns = {"audio": pyarrow.array(columns["audio"], kind)}
    parquet.write_table(pyarrow.table(columns), tmp_path / "in/a.parquet")
    assert batch(tmp_path / "in", "-o", tmp_path / "out", *options) == 2
    assert words in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("*.parquet"))


def test_a_column_of_bytes_may_be_named(tmp_path: Path) -> None:
    from pyarrow import parquet

    (tmp_path / "in").mkdir()
    parquet.write_table(pyarrow.table({"sound": [sound(1), None]}), tmp_path / "in/a.parquet")
    assert batch(tmp_path / "in", "-o", tmp_path / "out", "--audio-column", "sound") == 0
    assert parquet.read_table(tmp_path / "out/a.parquet")["sound"].to_pylist() == [cleaned(sound(1)), None]
