"""Shards: tar files as WebDataset has them, Parquet and Arrow files with columns of audio, member by member."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import lzma
import os
import posixpath
import struct
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from denoise_wrapper.atomic import atomic_path
from denoise_wrapper.cluster import store
from denoise_wrapper.errors import AudioError, DataError, DenoiseError, FileError, needs_package
from denoise_wrapper.files.formats import SUFFIXES
from denoise_wrapper.files.watch import Watch
from denoise_wrapper.wording import few, listed

if TYPE_CHECKING:
    from denoise_wrapper.cluster.work import How

ROWS = 32  # of a table that are in memory at a time
# What tarfile and its decoders raise on one that is broken, or made to break them.
_BROKEN = (
    tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, ValueError, OverflowError, struct.error,
)  # fmt: skip
Fields = dict[str, Any]


def clean_shard(kind: str, source: Path, target: Path, how: How, watch: Watch, overwrite: bool) -> Fields:
    """Clean the audio in a shard and write another one, in the same order, with all else as it is.

    Returns what a manifest tells of it: members cleaned, dropped and kept. Raises DataError for a shard that is none,
    or whose names would lead out of it; the error of a member unless `how.bad_members` says otherwise.
    """
    if kind == "copy":
        store.copy(str(source), str(target), source)
        return {}
    cleaner = _Members(how, watch)
    if kind == "tar":
        check_names(source)
    with atomic_path(target, overwrite) as part:
        if kind == "tar":
            _clean_tar(source, part, target.name, cleaner)
        else:
            _clean_table(kind, source, part, cleaner)
    return cleaner.fields


class _Members:
    """Cleans the members of one shard and counts them."""

    def __init__(self, how: How, watch: Watch) -> None:
        self._how, self._watch = how, watch
        self._seconds = self._kept = 0.0
        self._cleaned, self._bad = 0, list[str]()

    @property
    def fields(self) -> Fields:
        made: Fields = {"members": self._cleaned}
        if self._bad:
            made["bad_members"] = self._bad
        return made

    def clean(self, name: str, data: bytes, suffix: str) -> bytes | None:
        """The cleaned bytes of a member; None for one that is to be left out. Raises DenoiseError."""
        try:
            with tempfile.TemporaryDirectory(prefix="denoise-") as folder:
                source, target = Path(folder) / f"member{suffix}", Path(folder) / f"cleaned{suffix}"
                source.write_bytes(data)
                cleaned = self._run(source, target)
        except DenoiseError as error:
            what = self._how.bad_members
            words = str(error).replace(str(source), name).replace(str(target), name)
            if what == "stop" or store.is_full(error):
                raise AudioError(f"{name} in it: {words}; --bad-members drop or keep goes on") from error
            self._bad.append(store.redacted(f"{name}: {words}"))
            return data if what == "keep" else None
        self._cleaned += 1
        return cleaned

    def _run(self, source: Path, target: Path) -> bytes:
        watch = Watch(lambda *_: self._watch.check())
        self._how.denoiser._transform(source, target, False, watch, self._how.wishes)
        self._seconds += watch.seconds
        self._kept += watch.kept
        # The shard's own watch counts thousandths of a second, as its members may have any rates.
        self._watch.rate = 1000
        self._watch.frames, self._watch.written = round(1000 * self._seconds), round(1000 * self._kept)
        for stage, took in watch.stages.items():
            self._watch.stages[stage] += took
        return target.read_bytes()


class UnsafeError(DataError):
    """A tar with members that must not be unpacked."""


def check_names(source: Path) -> None:
    """Raise UnsafeError for a tar with a name that would lead out of where it is unpacked, or a member that is no plain
    file; DataError for one that is broken, FileError.
    """
    for member in _tar_members(source):
        name = member.name.replace("\\", "/")
        if name.startswith("/") or ".." in name.split("/") or name[1:2] == ":":
            raise UnsafeError(f"{source} has a member {member.name!r}, which would lead out of where it is unpacked")
        if member.issparse() or not (member.isfile() or member.isdir()):
            raise UnsafeError(f"{source} has a member {member.name!r}, which is a link or a device, or has holes")


def _tar_members(source: Path) -> Iterator[tarfile.TarInfo]:
    """The members of a tar that is whole, as tarfile takes a header that is damaged for the end."""
    try:
        with tarfile.open(source, "r:*") as shard:
            last = -1
            for member in shard:
                if member.offset <= last or member.size < 0:  # which it would read without end
                    raise DataError(f"{source} is no whole tar file: {member.name!r} leads back")
                last = member.offset
                yield member
            file: Any = shard.fileobj
            file.seek(shard.offset)  # type: ignore[attr-defined]
            if file.read(tarfile.BLOCKSIZE) != tarfile.NUL * tarfile.BLOCKSIZE:
                raise DataError(f"{source} is no whole tar file: after {last} bytes is neither a member nor its end")
            while more := file.read(tarfile.RECORDSIZE):
                if more.strip(tarfile.NUL):
                    raise DataError(f"{source} goes on after its end; of tar files that were joined make one")
    except DenoiseError:
        raise
    except _BROKEN as error:
        raise DataError(f"{source} is no whole tar file: {error}") from error
    except OSError as error:
        raise FileError(f"cannot read {source}: {(error.strerror or str(error)).lower()}") from error


def _clean_tar(source: Path, part: Path, name: str, cleaner: _Members) -> None:
    packed = name.lower().endswith((".gz", ".tgz"))
    with contextlib.ExitStack() as stack:
        file: Any = stack.enter_context(open(part, "wb"))
        if packed:  # without a time in it, so that its bits are those of its content
            file = stack.enter_context(gzip.GzipFile("", "wb", fileobj=file, mtime=0))
        made = stack.enter_context(tarfile.open(fileobj=file, mode="w|", format=tarfile.PAX_FORMAT))
        try:
            shard = stack.enter_context(tarfile.open(source, "r:*"))
            for member in shard:
                content = shard.extractfile(member) if member.isfile() else None
                suffix = posixpath.splitext(member.name)[1].lower()
                if content is None or suffix not in SUFFIXES:
                    made.addfile(member, content)
                    continue
                cleaned = cleaner.clean(member.name, content.read(), suffix)
                if cleaned is not None:
                    member.size = len(cleaned)
                    member.pax_headers = {key: text for key, text in member.pax_headers.items() if key != "size"}
                    made.addfile(member, io.BytesIO(cleaned))
        except DenoiseError:
            raise
        except _BROKEN as error:
            raise DataError(f"{source} is no whole tar file: {error}") from error


def _clean_table(kind: str, source: Path, part: Path, cleaner: _Members) -> None:
    try:
        import pyarrow
        from pyarrow import ipc, parquet
    except ImportError as error:
        raise FileError(needs_package("Parquet and Arrow files need", error, "cluster")) from error
    try:
        with contextlib.ExitStack() as stack:
            writer: Any
            if kind == "parquet":
                table = stack.enter_context(parquet.ParquetFile(source))
                schema, batches = table.schema_arrow, table.iter_batches(batch_size=ROWS)
                packing = (
                    table.metadata.row_group(0).column(0).compression if table.metadata.num_row_groups else "SNAPPY"
                )
                packing = {"UNCOMPRESSED": "none"}.get(packing, packing)
                writer = stack.enter_context(parquet.ParquetWriter(part, schema, compression=packing))
            else:
                file = stack.enter_context(pyarrow.OSFile(str(source), "rb"))
                reader = stack.enter_context(ipc.open_stream(file))
                schema, batches = reader.schema, _slices(reader)
                writer = stack.enter_context(ipc.new_stream(str(part), schema))
            columns = audio_columns(schema, cleaner._how.audio_column)
            first = 0
            for batch in batches:
                writer.write_batch(_clean_batch(pyarrow, batch, columns, first, cleaner))
                first += batch.num_rows
    except pyarrow.ArrowException as error:
        raise DataError(f"{source} is no whole {kind} file: {' '.join(str(error).split())[:200]}") from error


def _slices(reader: Any) -> Iterator[Any]:
    for batch in reader:
        for start in range(0, batch.num_rows, ROWS):
            yield batch.slice(start, ROWS)


def audio_columns(schema: Any, named: str | None) -> list[str]:
    """Names of the columns of a table that hold audio: the one named, those that `datasets` says are audio, or those
    of structs of bytes and a path. Raises DataError if there are none.
    """
    if named is not None:
        if named not in schema.names:
            raise DataError(f"there is no column {named!r}; there are {listed(schema.names)}")
        return [named]
    with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
        features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
        found = [name for name, kind in features.items() if isinstance(kind, dict) and kind.get("_type") == "Audio"]
        if found:
            return [name for name in found if name in schema.names]
    found = [each.name for each in schema if _is_struct(each.type)]
    if not found:
        raise DataError(
            f"no column holds audio, a struct of bytes and path; there are {listed(schema.names)}; "
            "name one of bytes: --audio-column NAME"
        )
    return found


def _is_struct(kind: Any) -> bool:
    names = {kind.field(at).name for at in range(kind.num_fields)} if str(kind).startswith("struct") else set()
    return {"bytes", "path"} <= names


def _clean_batch(pyarrow: Any, batch: Any, columns: list[str], first: int, cleaner: _Members) -> Any:
    """A batch of rows with its audio cleaned. A row one of whose members is dropped is left out."""
    stays = [True] * batch.num_rows
    for column in columns:
        at = batch.schema.get_field_index(column)
        cells = batch.column(at).to_pylist()
        for row, cell in enumerate(cells):
            if cell is not None and stays[row]:
                cells[row] = cell = _clean_cell(cell, f"row {first + row} of {column}", cleaner.clean)
                stays[row] = cell is not None
        batch = batch.set_column(at, batch.schema.field(at), pyarrow.array(cells, batch.schema.field(at).type))
    return batch if all(stays) else batch.filter(pyarrow.array(stays))


def _clean_cell(cell: Any, name: str, clean: Callable[[str, bytes, str], bytes | None]) -> Any:
    """A cell with its audio cleaned: bytes, or a struct with bytes and path; None if it is dropped."""
    if isinstance(cell, bytes):
        return clean(name, cell, "")
    if not isinstance(cell, dict) or not isinstance(cell.get("bytes"), bytes):
        has = few(list(cell)) if isinstance(cell, dict) else type(cell).__name__
        raise DataError(f"{name} holds no bytes of audio, but {has}; embed the files in it first")
    suffix = os.path.splitext(str(cell.get("path") or ""))[1].lower()
    cleaned = clean(name, cell["bytes"], suffix if suffix in SUFFIXES else "")
    return None if cleaned is None else {**cell, "bytes": cleaned}
