"""Files of DNNw records, v0.2 blobs and our own classic ones: all that a reader must check is checked, and named."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from blobs import random_blob
from classic_models import random_model

from denoise_wrapper.backends.convert import V02Model, encode_model, fingerprint, read_any_model, write_model
from denoise_wrapper.backends.rnnoise import RNNoiseBackend
from denoise_wrapper.errors import ModelError
from denoise_wrapper.models.onnx import check_onnx

INT_MAX = 2**31 - 1


@dataclass(frozen=True)
class Record:
    """One record as it lies in a file, so that any part of it can be made wrong."""

    magic: bytes
    version: int
    kind: int  # 0 float32, 1 int32, 2 "qweight", 3 int8
    size: int
    room: int
    name: bytes  # 44
    payload: bytes  # with its padding

    @property
    def title(self) -> str:
        return self.name.split(b"\0")[0].decode("ascii")

    def packed(self) -> bytes:
        head = struct.pack("<4siiii44s", self.magic, self.version, self.kind, self.size, self.room, self.name)
        return head + self.payload

    def with_values(self, values: object, dtype: str) -> Record:
        data = np.asarray(values, dtype).tobytes()
        room = -(-len(data) // 64) * 64
        return replace(self, size=len(data), room=room, payload=data.ljust(room, b"\0"))

    def with_value(self, index: int, value: float, dtype: str = "<f4") -> Record:
        values = np.frombuffer(self.payload[: self.size], dtype).copy()
        values[index] = value
        return self.with_values(values, dtype)


def split(data: bytes) -> list[Record]:
    records, at = [], 0
    while at < len(data):
        magic, version, kind, size, room, name = struct.unpack_from("<4siiii44s", data, at)
        records.append(Record(magic, version, kind, size, room, name, data[at + 64 : at + 64 + room]))
        at += 64 + room
    return records


def join(records: list[Record]) -> bytes:
    return b"".join(record.packed() for record in records)


@cache
def sound(form: str) -> bytes:
    """A file of that form that is as it should be."""
    if form == "classic":
        return encode_model(random_model(8, 6, 7, 9), ".dnnw")
    return random_blob(16, 24, sparse="sparse" in form, quantised="int8" in form)


def changed(form: str, title: str, change: Callable[[Record], Record | None]) -> bytes:
    """The file with that record changed, or without it."""
    records = split(sound(form))
    assert title in [record.title for record in records]
    after = [change(record) if record.title == title else record for record in records]
    return join([record for record in after if record is not None])


def assert_refused(data: bytes, words: str) -> None:
    with pytest.raises(ModelError, match=words) as caught:
        RNNoiseBackend(data)
    assert "\n" not in str(caught.value)


FORMS = ["classic", "float", "float sparse", "int8", "int8 sparse"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda r: replace(r, magic=b"DNNx"), "no record starts at byte|are no model"),
        (lambda r: replace(r, version=1), "has version 1; 0 is known"),
        (lambda r: replace(r, version=-1), "has version -1; 0 is known"),
        (lambda r: replace(r, kind=5), "has type 5; 0 to 4 are known"),
        (lambda r: replace(r, kind=-1), "has type -1; 0 to 4 are known"),
        (lambda r: replace(r, size=0), "is said to have 0 bytes in a block of"),
        (lambda r: replace(r, size=-4), "is said to have -4 bytes in a block of"),
        (lambda r: replace(r, size=r.room + 1), "bytes in a block of .*; it has 1 or more, and its block all of them"),
        (lambda r: replace(r, size=INT_MAX), "2147483647 bytes in a block"),
        (
            lambda r: replace(r, size=INT_MAX, room=INT_MAX),
            "the 2147483647 bytes of its block do not fit the .* left in the file",
        ),
        (lambda r: replace(r, room=r.size - 1), "in a block of .*; it has 1 or more, and its block all of them"),
        (lambda r: replace(r, room=-64), "in a block of -64; it has 1 or more, and its block all of them"),
        (lambda r: replace(r, room=1 << 30), "the 1073741824 bytes of its block do not fit the .* left in the file"),
        (lambda r: replace(r, name=r.name[:43] + b"x"), "has no proper name"),
        (lambda r: replace(r, name=44 * b"x"), "has no proper name"),
    ],
)
@pytest.mark.parametrize("place", [0, 3, -1])
@pytest.mark.parametrize("form", FORMS)
def test_a_damaged_head_is_refused(form: str, place: int, change: Callable[[Record], Record], words: str) -> None:
    records = split(sound(form))
    records[place] = change(records[place])
    assert_refused(join(records), words)


@pytest.mark.parametrize("form", FORMS)
def test_every_record_is_wanted_once_and_in_its_type(form: str) -> None:
    records = split(sound(form))
    for index, record in enumerate(records):
        if record.title == "metadata":
            continue
        others = records[:index] + records[index + 1 :]
        layer = record.title.split("_weights")[0]
        if not record.title.endswith(("_diag", "_idx")):  # without one, or with other sizes, it is another network
            assert_refused(join(others), f"{record.title}|layer {layer}|neither a record")
        assert_refused(join([*records, record]), f"record {record.title} is there twice")
        for kind in {0, 1, 2, 3} - {record.kind}:
            spoilt = replace(record, kind=kind)
            assert_refused(join([*others, spoilt]), f"(record {record.title}|{layer}.*) has .* of type {kind}")


@pytest.mark.parametrize("form", FORMS)
def test_every_size_is_checked(form: str) -> None:
    records = split(sound(form))
    for index, record in enumerate(records):
        if record.title == "metadata":
            continue
        for size in {1, record.size - 1, record.size // 2, record.size + 1, record.size + 4} - {0, record.size}:
            data = (record.payload[: record.size] + bytes(64))[:size]
            spoilt = record.with_values(np.frombuffer(data, np.int8), "i1")
            data = join([*records[:index], spoilt, *records[index + 1 :]])
            assert_refused(data, "has .* bytes of type|group|for .* outputs|int8 weights of")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("form", FORMS[1:])
def test_every_float_is_finite(form: str, value: float) -> None:
    for record in split(sound(form)):
        if record.kind == 0:
            layer, _, array = record.title.replace("_weights", "/weights").replace("_bias", "/bias").partition("/")
            layer, array = (layer, array) if array else tuple(record.title.rsplit("_", 1))  # type: ignore[assignment]
            for place in (0, record.size // 4 - 1):
                spoilt = changed(form, record.title, lambda r, place=place: r.with_value(place, value))  # type: ignore[misc]
                assert_refused(spoilt, f"layer {layer}: value {place} of {array} is not finite")


@pytest.mark.parametrize("value", [0.0, -0.0, -1e-3])
def test_a_scale_is_above_zero(value: float) -> None:
    spoilt = changed("int8", "gru2_recurrent_scale", lambda r: r.with_value(71, value))
    assert_refused(spoilt, "layer gru2_recurrent: value 71 of scale is not above zero")


@pytest.mark.parametrize(
    ("index", "words"),
    [
        ([-1, *[0] * 8], "group 0 of weights_idx is said to have -1 blocks"),
        ([7, 0, 4, 8, 12, 16, 20, 0, *[0] * 8], "group 0 of weights_idx is said to have 7 blocks"),
        ([INT_MAX, 0], "group 0 of weights_idx is said to have 2147483647 blocks"),
        ([*[0] * 8, 2, 0], "group 8 of weights_idx is said to have 2 blocks"),
        ([1, 21, *[0] * 8], "block at input 21; multiples of 4 below 21 are possible"),
        ([1, 24, *[0] * 8], "block at input 24; multiples of 4 below 21"),
        ([1, 2, *[0] * 8], "block at input 2; multiples of 4"),
        ([1, -4, *[0] * 8], "block at input -4; multiples of 4"),
        ([1, INT_MAX - 3, *[0] * 8], "block at input 2147483644; multiples of 4"),
        ([0] * 8, "weights_idx has 8 groups of 8 outputs, for 72 outputs"),
        ([0] * 10, "weights_idx has 10 groups of 8 outputs, for 72 outputs"),
        ([1, 0, *[0] * 8], "record gru1_input_weights_(int8|float) has .* are wanted"),  # one block; the file has more
    ],
)
@pytest.mark.parametrize("form", ["float sparse", "int8 sparse"])
def test_an_index_stays_within_the_matrix(form: str, index: list[int], words: str) -> None:
    assert_refused(changed(form, "gru1_input_weights_idx", lambda r: r.with_values(index, "<i4")), words)


@pytest.mark.parametrize("name", ["conv1_bias", "conv2_bias"])
def test_sizes_have_a_limit(name: str) -> None:
    spoilt = changed("float", name, lambda r: r.with_values(np.zeros(1025), "<f4"))
    assert_refused(spoilt, f"record {name} has 4100 bytes of type 0; 4 to 4096")


def test_int8_weights_need_whole_blocks() -> None:
    assert_refused(random_blob(13, 24, quantised=True), "layer conv2: int8 weights of 39 inputs and 24 outputs")
    assert_refused(random_blob(16, 20, quantised=True), "layer conv2: int8 weights of 48 inputs and 20 outputs")


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (0, 41, "layer input_dense has 41 inputs; 42 are given to it"),
        (0, 0, "layer input_dense is said to have 0 inputs and 8 units; 1 to 512 are possible"),
        (1, 513, "layer input_dense is said to have 42 inputs and 513 units"),
        (1, -1, "layer input_dense is said to have 42 inputs and -1 units"),
        (1, INT_MAX, "said to have 42 inputs and 2147483647 units"),
        (1, 9, "record input_dense_weights has 336 bytes of type 3; 378 of type 3"),
        (2, -1, "layer input_dense has activation -1; 0 .tanh., 1 .sigmoid. and 2 .ReLU. are possible"),
        (2, 129, "layer input_dense has activation 129"),
        (3, 9, "layer vad_gru has 9 inputs; 8 are given to it"),
        (6, 57, "layer noise_gru has 57 inputs; 56 are given to it"),
        (9, 56, "layer denoise_gru has 56 inputs; 55 are given to it"),
        (13, 23, "layer denoise_output has 23 units; there are 22 bands"),
        (16, 2, "layer vad_output has 2 units; one is wanted"),
    ],
)
def test_the_layers_of_a_classic_network_fit_each_other(place: int, value: int, words: str) -> None:
    assert_refused(changed("classic", "classic_layers", lambda r: r.with_value(place, value, "<i4")), words)


@pytest.mark.parametrize("form", FORMS)
def test_what_a_reader_need_not_care_for_changes_nothing(form: str) -> None:
    records = split(sound(form))
    unknown = replace(records[0], name=b"unheard_of".ljust(44, b"\0"))
    roomy = [replace(r, room=r.room + 64, payload=r.payload[: r.size] + bytes(r.room + 64 - r.size)) for r in records]
    littered = [replace(r, payload=r.payload[: r.size].ljust(r.room, b"\xff")) for r in records]
    odd = [replace(r, room=r.size, payload=r.payload[: r.size]) for r in records]  # nothing is aligned then
    audio = np.random.default_rng(1).uniform(-0.5, 0.5, (1, 4800)).astype(np.float32)
    wanted, _ = RNNoiseBackend(sound(form)).new_state(1).process(audio)
    assert np.any(wanted)
    for same in (records[::-1], [unknown, *records], [*records, unknown, unknown], roomy, littered, odd):
        np.testing.assert_array_equal(RNNoiseBackend(join(same)).new_state(1).process(audio)[0], wanted)


def test_neither_family_is_told_apart_from_junk() -> None:
    junk = [replace(record, name=f"r{i}".encode().ljust(44, b"\0")) for i, record in enumerate(split(sound("float")))]
    assert_refused(join(junk), "neither a record classic_layers nor conv1_bias: this is no RNNoise network")


def test_a_model_of_another_backend_is_sent_there(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"\x08\x08")
    with pytest.raises(ModelError, match=r"a\.onnx cannot be used: .*; ONNX files are models of the dtln backends"):
        RNNoiseBackend(tmp_path / "a.onnx")
    for data in (sound("int8"), sound("classic"), encode_model(random_model(), ".rnnn")):
        with pytest.raises(ModelError, match=r"^it is a model of RNNoise, which the backend rnnoise runs$"):
            check_onnx(data)


# ---- written and read back ----


@pytest.mark.parametrize("suffix", [".bin", ".dnnw", ".dnnw.c"])
@pytest.mark.parametrize("form", FORMS[1:])
def test_a_blob_is_written_back_bit_for_bit(tmp_path: Path, form: str, suffix: str) -> None:
    model = read_any_model(sound(form))
    assert isinstance(model, V02Model)
    write_model(model, tmp_path / f"model{suffix}")
    again = read_any_model(tmp_path / f"model{suffix}")
    assert isinstance(again, V02Model)
    assert again.data == sound(form)
    assert fingerprint(again) == fingerprint(model)
    assert encode_model(again, suffix) == (tmp_path / f"model{suffix}").read_bytes()
    if suffix != ".dnnw.c":
        assert (tmp_path / f"model{suffix}").read_bytes() == sound(form)


def test_a_published_blob_is_written_back_to_the_byte(shared: Path, tmp_path: Path) -> None:
    path = shared / "reference/rnnoise/random_v02.bin"
    for suffix in (".bin", ".dnnw"):
        write_model(read_any_model(path), tmp_path / f"model{suffix}")
        assert encode_model(read_any_model(tmp_path / f"model{suffix}"), ".bin") == path.read_bytes()


@pytest.mark.parametrize("form", FORMS[1:])
def test_what_no_reader_reads_is_kept_too(form: str) -> None:
    records = split(sound(form))
    unknown = replace(records[0], name=b"unheard_of".ljust(44, b"\0"), payload=records[0].payload[::-1])
    data = join([unknown, *records[::-1]])
    assert encode_model(read_any_model(data), ".bin") == data
