"""The results manifest: a line of JSON for each thing that happened to a file, so that nothing is done twice.

Append-only text, written by the one process that leads a run: it can be read and searched while the run goes on; what a
crash can damage is its last line, which is left out when it is read again; it needs no locks between machines, which a
database on a shared disk would. Its lines reach the disk together, once a second: a line that is lost with the power
costs its file another cleaning, and no more.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from denoise_wrapper.cluster.store import redacted
from denoise_wrapper.errors import DataError, FileError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

SYNC_S = 1.0  # between two times that lines are put on the disk
NAME = ".denoise-batch.jsonl"
_KEPT = (
    "event",
    "time",
    "seen",
    "made",
    "settings",
    "input_sha256",
    "output_sha256",
    "aside",
    "error",
)  # of a record in memory


class Manifest:
    """The manifest of one output, open for this process alone.

    last: target -> what counts of the last record about it that was there when this was opened, of "done", "failed" and
    "begin" events. What is written since is not kept: a million records take gigabytes.
    """

    def __init__(self, path: Path, *, go_on: bool, anew: bool, also: bytes = b"") -> None:
        """Open the manifest at path. go_on: to what is in it. anew: begin again where there is one.

        also: another manifest of the same output, whose lines are taken over.
        Raises FileError if another run has it open, if there is one and neither is asked for, or it cannot be written;
        DataError for one that is none.
        """
        self.path, self.last = path, dict[str, dict[str, Any]]()
        self._synced = time.monotonic()
        self._lock = threading.Lock()  # of writing, which threads may
        self._file: IO[bytes] | None = None
        try:
            file = open(path, "a+b")  # noqa: SIM115 - for as long as the run
            self._file = file
            self._claim(file)
            file.seek(0)
            data = b"" if anew else file.read()
            if data and not go_on:
                done = sum(record.get("event") == "done" for record in _records(data, path))
                raise FileError(
                    f"{path} tells of an earlier run, with {done} files done; --resume goes on with it, --overwrite "
                    "begins anew"
                )
            keep = data.rfind(b"\n") + 1  # a line that was being written when the power went
            file.truncate(keep)
            data = data[:keep]
            file.write(more := _more(also, data))
            for record in _records(data + more, path):
                # Of two machines that have led in turn the later one is right.
                if "target" in record and record["time"] >= self.last.get(record["target"], record)["time"]:
                    self._remember(record)
        except OSError as error:
            self.close()
            if isinstance(error, FileError):
                raise
            raise FileError(f"cannot write the manifest {path}: {(error.strerror or str(error)).lower()}") from error
        except BaseException:
            self.close()
            raise

    def write(self, event: str, **fields: Any) -> dict[str, Any]:
        """Append a record. Raises FileError if the disk takes no more."""
        assert self._file is not None
        record = {"event": event, "time": round(time.time(), 3), **fields}
        if "error" in record and record["error"] is not None:
            record["error"] = redacted(record["error"])
        with self._lock:
            try:
                self._file.write(json.dumps(record).encode() + b"\n")
                self._file.flush()
                if time.monotonic() - self._synced >= SYNC_S:
                    self.sync()
            except OSError as error:
                raise FileError(f"cannot write the manifest {self.path}: {(error.strerror or '').lower()}") from error
        return record

    def sync(self) -> None:
        """Put all lines on the disk."""
        assert self._file is not None
        self._file.flush()
        os.fsync(self._file.fileno())
        self._synced = time.monotonic()

    def close(self) -> None:
        """Put all lines on the disk, and let others have the manifest."""
        if self._file is not None:
            with contextlib.suppress(OSError, ValueError):
                self.sync()
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None

    def _remember(self, record: dict[str, Any]) -> None:
        self.last[record["target"]] = {name: record[name] for name in _KEPT if name in record}

    def _claim(self, file: IO[bytes]) -> None:
        if fcntl is None:
            return
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise FileError(
                f"another run is writing {self.path}; wait for its end, or choose another output"
            ) from error
        except OSError:  # a disk without locks
            return


def _more(book: bytes, known: bytes) -> bytes:
    """Whole lines of a manifest that another one has not."""
    if known.startswith(book):
        return b""
    lines = set(known.splitlines(keepends=True))
    return b"".join(line for line in book.splitlines(keepends=True) if line not in lines and line.endswith(b"\n"))


def _records(data: bytes, path: Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(io.BytesIO(data), 1):
        try:
            record = json.loads(line)
        except ValueError as error:
            raise DataError(
                f"line {number} of {path} is no record of a run; move it away, or --overwrite it"
            ) from error
        if not isinstance(record, dict) or not {"event", "time"} <= record.keys():
            raise DataError(f"line {number} of {path} is no record of a run; move it away, or --overwrite it")
        yield record
