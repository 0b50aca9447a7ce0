"""Feature files as RNNoise's own tools have them: rows of float32, bare (.f32) or in HDF5, read and written in pieces.

A row of the classic network has 87 columns: 42 features, 22 gains, log10(0.01 + energy) of 22 bands of the noise, and
the voice label. One of v0.2's has 98: 65 features, 32 gains, the label. 2000 rows are a sequence, which is what a
recurrent state is carried through.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from denoise_wrapper.errors import ConfigError, DataError, FileError, file_error, needs_package
from denoise_wrapper.progress import tracked
from denoise_wrapper.training.rnnoise.features import LAYOUTS, Layout

Float32 = NDArray[np.float32]
SEQUENCE = 2000  # rows
VALIDATION = 0.1  # of the sequences, the last ones
WIDTHS = {"classic": 87, "v0.2": 98}
SUFFIXES = {".f32": False, ".h5": True, ".hdf5": True}  # whether it is HDF5
DATASET = "data"
CHUNK = 250  # rows that HDF5 keeps together
BLOCK = 20000  # rows looked at at a time
HDF5 = b"\x89HDF\r\n\x1a\n"
SLACK = 1e-3  # by which gains and labels may pass their range


class FeatureFile:
    """Sequences of a feature file as clips for the training loop, read from the disk as they are asked for.

    Columns are those of the layout of its family; energies of the clean bands, which no such file holds, are NaN.
    first, count: which of the file's sequences. Pickles by its path. What it holds is checked by `check_rows` alone.
    """

    frames = SEQUENCE

    def __init__(self, path: Path, family: str, first: int = 0, count: int | None = None) -> None:
        self.path, self.layout, self.first = path, layout_of(family), first
        self.rows = open_rows(path, family)
        self.count = len(self.rows) // SEQUENCE - first if count is None else count

    def __reduce__(self) -> tuple[Any, ...]:
        return FeatureFile, (self.path, self.layout.family, self.first, self.count)

    def __len__(self) -> int:
        return self.count

    def read(self, clip: int, first: int, count: int) -> Float32:
        """Frames first to first + count of a clip: float32 (count, layout.columns)."""
        if not 0 <= clip < self.count:
            raise IndexError(f"clip {clip} of {self.count}")
        start, stop = (self.first + clip) * SEQUENCE + first, min(first + count, SEQUENCE)
        return spread(read_rows(self.rows, start, start - first + stop), self.layout)


def open_feature_file(path: Path, family: str) -> tuple[FeatureFile, FeatureFile]:
    """The sequences to train on, and the last tenth, to validate on.

    family: "classic" or "v0.2". Reads the file once from end to end. Raises FileError where it cannot be read;
    DataError where it is of another width, cut short, too short, or holds what no feature file of that family does.
    """
    whole = FeatureFile(path, family)
    sequences = len(whole)
    if sequences < 2:
        raise DataError(
            f"{path} has {len(whole.rows)} rows, {sequences} whole sequences of {SEQUENCE}; training needs two or "
            "more, one of them for validation: extract more features"
        )
    check_rows(whole.rows, path, family)
    kept = sequences - validation_sequences(sequences)
    return FeatureFile(path, family, 0, kept), FeatureFile(path, family, kept, sequences - kept)


def validation_sequences(sequences: int) -> int:
    """Number of a file's sequences that are for validation."""
    return max(1, round(VALIDATION * sequences))


def layout_of(family: str) -> Layout:
    if family not in LAYOUTS:
        raise ConfigError(f"the family of a network is {' or '.join(LAYOUTS)}, not {family!r}")
    return LAYOUTS[family]


def spread(rows: Float32, layout: Layout) -> Float32:
    """Rows of a file as rows of a layout: the clean energies, which are not in it, are NaN."""
    spread_rows = np.full((len(rows), layout.columns), np.nan, np.float32)
    known = layout.feature_count + layout.bands  # features and gains, which come first in both
    spread_rows[:, :known] = rows[:, :known]
    spread_rows[:, layout.voice] = rows[:, -1]
    return spread_rows


def open_rows(path: Path, family: str | None) -> Any:
    """Open a file as something with a shape (rows, columns) that is read by slicing.

    family: whose width it must have; None: that of either. Raises FileError, DataError.
    """
    try:
        with path.open("rb") as stream:
            begins = stream.read(len(HDF5))
        size = path.stat().st_size
    except OSError as error:
        raise file_error(f"{path} cannot be read ({error.strerror}); give the path of a feature file", error) from error
    if not size:
        raise DataError(f"{path} is empty; extract the features anew")
    if begins == HDF5:
        rows = open_hdf5(path)
        check_width(path, int(rows.shape[1]), family)
    else:
        if path.suffix.lower() in SUFFIXES and SUFFIXES[path.suffix.lower()]:
            raise DataError(f"{path} is no HDF5 file, whatever its name says; bare float32 is called NAME.f32")
        width = bare_width(path, size, family)
        rows = np.memmap(path, "<f4", "r", shape=(size // 4 // width, width))
    if not len(rows):
        raise DataError(f"{path} holds no row; extract the features anew")
    return rows


def open_hdf5(path: Path) -> Any:
    """The one two-dimensional dataset of an HDF5 file, or of several the one called "data"."""
    h5py = load_h5py()
    try:
        file = h5py.File(path, "r")
        tables: dict[str, Any] = {}
        file.visititems(
            lambda name, item: tables.update({name: item}) if len(getattr(item, "shape", ())) == 2 else None
        )
    except (OSError, RuntimeError, KeyError) as error:
        raise DataError(f"{path} is no whole HDF5 file ({error}); copy or make it anew") from error
    if len(tables) != 1 and DATASET not in tables:
        names = ", ".join(sorted(tables)) or "none"
        raise DataError(f"{path} holds no dataset called {DATASET!r} of rows; those of two dimensions are: {names}")
    rows = tables[DATASET] if DATASET in tables else next(iter(tables.values()))
    if rows.dtype.kind != "f":
        raise DataError(f"{path}: {rows.name} is of type {rows.dtype}, but features are floating point numbers")
    return rows


def load_h5py() -> Any:
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise ConfigError(needs_package("HDF5 needs", error, "training") + "; or use a bare .f32 file") from error
    return h5py


def check_width(path: Path, width: int, family: str | None) -> None:
    """Raises DataError for rows of another width than the family has."""
    if width in (WIDTHS.values() if family is None else (WIDTHS[family],)):
        return
    other = [name for name, columns in WIDTHS.items() if columns == width]
    if other:
        raise DataError(
            f"{path} has {width} columns: features of the {other[0]} network, not of the {family} one "
            f'({WIDTHS[str(family)]}); set [network] family = "{other[0]}", or extract them anew'
        )
    wanted = ", ".join(f"{columns} ({name})" for name, columns in WIDTHS.items() if family in (None, name))
    raise DataError(f"{path} has {width} columns; wanted are {wanted}: is it a feature file?")


def bare_width(path: Path, size: int, family: str | None) -> int:
    """The width of a file of bare float32, told from its length. Raises DataError if it cannot be right."""
    fitting = [name for name, width in WIDTHS.items() if size % (4 * width) == 0]
    if family in fitting:
        return WIDTHS[family]
    if family is None and len(fitting) == 1:
        return WIDTHS[fitting[0]]
    if family is None and fitting:
        raise DataError(f"{path} may be of either network by its length; say --family")
    families = WIDTHS if family is None else {family: WIDTHS[family]}
    rests = ", ".join(f"{name} {4 * width} bytes a row, {size % (4 * width)} over" for name, width in families.items())
    hint = f"its length fits the {fitting[0]} network: see [network] family" if fitting else "it was cut short"
    raise DataError(f"{path} has {size} bytes, no whole number of rows ({rests}); {hint}, or is no feature file")


def read_rows(rows: Any, first: int, last: int) -> Float32:
    """Rows first to last of an open file. Raises DataError if the disk does not give them."""
    try:
        return np.asarray(rows[first:last], np.float32)
    except (OSError, RuntimeError) as error:
        raise DataError(f"rows {first} to {last} of the feature file cannot be read ({error}); copy it anew") from error


def blocks(rows: Any) -> Iterator[tuple[int, Float32]]:
    """(number of the first row, rows) from end to end, with a bar if there are many."""
    starts = range(0, len(rows), BLOCK)
    for first in tracked(starts, len(starts), "reading features") if len(starts) > 20 else starts:
        yield first, read_rows(rows, first, min(first + BLOCK, len(rows)))


def check_rows(rows: Any, path: Path, family: str) -> None:
    """Raises DataError that names the first row that no feature file of that family has."""
    layout = layout_of(family)
    for start, block in blocks(rows):
        finite = np.isfinite(block)
        if not finite.all():
            row, column = np.argwhere(~finite)[0]
            raise DataError(
                f"{path}: row {start + row}, column {column} is {block[row, column]}; all must be finite: "
                "leave that row's sequence out, or extract the features anew"
            )
        for what, part, low in (("gain", block[:, layout.gains], -1.0), ("voice label", block[:, -1:], 0.0)):
            wrong = (part < low - SLACK) | (part > 1.0 + SLACK)
            if wrong.any():
                row, column = np.argwhere(wrong)[0]
                raise DataError(
                    f"{path}: row {start + row} has a {what} of {part[row, column]:g}, not within {low:g} and 1; these "
                    f"are not features of the {family} network ({WIDTHS[family]} columns of float32)"
                )


class FeatureWriter:
    """Writes rows to a file of either form, piece by piece; to be used on the path that `atomic_path` gives.

    path: where to. form: the suffix that says which form. rows: how many will come, for which there must be room.
    Raises FileError where the disk is or would be full.
    """

    def __init__(self, path: Path, form: str, family: str, rows: int) -> None:
        if form.lower() not in SUFFIXES:
            raise FileError(f"feature files are called NAME{', NAME'.join(SUFFIXES)}, not NAME{form or ' alone'}")
        self.path, self.width, self.done = path, WIDTHS[layout_of(family).family], 0
        free, needed = shutil.disk_usage(path.parent).free, 4 * self.width * rows
        if needed > free:
            raise FileError(
                f"{rows} rows take {needed / 1e6:.1f} MB, and {path.parent} has {free / 1e6:.1f} MB left; make room, "
                "or ask for less"
            )
        self._stream: Any = None
        self._file: Any = None
        if SUFFIXES[form.lower()]:
            self._file = load_h5py().File(path, "w")
            shape, chunks = (0, self.width), (CHUNK, self.width)
            self._rows = self._file.create_dataset(DATASET, shape, "<f4", maxshape=(None, self.width), chunks=chunks)
        else:
            self._stream = path.open("wb")

    def __enter__(self) -> FeatureWriter:
        return self

    def write(self, rows: Float32) -> None:
        """Append rows, float32 (n, columns)."""
        try:
            if self._stream is not None:
                self._stream.write(np.ascontiguousarray(rows, "<f4").tobytes())
            else:
                self._rows.resize(self.done + len(rows), axis=0)
                self._rows[self.done :] = rows
                self._file.flush()
        except (OSError, RuntimeError) as error:
            raise disk_error(error) from error
        self.done += len(rows)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            (self._stream or self._file).close()
        except (OSError, RuntimeError) as failure:
            if kind is None:  # else it is said already
                raise disk_error(failure) from failure


def disk_error(error: Exception) -> OSError:
    """HDF5's error for a full disk, as the system would have raised it."""
    full = getattr(error, "errno", None) == errno.ENOSPC or "No space left" in str(error)
    return OSError(errno.ENOSPC if full else errno.EIO, "the disk is full" if full else str(error))
