"""Ray: clean the audio in a Ray Dataset, or files with the workers of a cluster, from within a program on Ray."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, Unpack

import numpy as np

from denoise_wrapper.audio import Array
from denoise_wrapper.errors import ConfigError, DataError, DenoiseError, needs_package

if TYPE_CHECKING:
    from denoise_wrapper.cluster.run import Counts
    from denoise_wrapper.cluster.work import Outcome
    from denoise_wrapper.denoiser import Denoiser
    from denoise_wrapper.files.formats import WishWords

BATCH = 16  # rows that a worker has in memory at a time
OnError = Literal["raise", "drop", "keep"]
COLUMNS = ("audio", "amplitude", "bytes")  # as `datasets`, Ray's read_audio and read_binary_files call them
RATES = ("sample_rate", "sampling_rate")


def denoise(
    dataset: Any,
    column: str | None = None,
    *,
    denoiser: Denoiser | None = None,
    sample_rate: int | str | None = None,
    channels_first: bool = True,
    on_error: OnError = "raise",
    concurrency: int | tuple[int, int] | None = None,
    num_cpus: float = 1,
    batch_size: int = BATCH,
) -> Any:
    """Clean a column of audio of a Ray Dataset, by actors that load the backend once.

        import ray
        from denoise_wrapper import Denoiser
        from denoise_wrapper.integrations.ray import denoise

        clean = denoise(ray.data.read_audio("s3://corpus/"), denoiser=Denoiser("dtln-16k"))

    column: what holds the audio; None for `audio`, `amplitude` or `bytes`, whichever there is first. Its cells are
    arrays (frames,) or of channels, or bytes of audio files, or dictionaries with "bytes" (an audio file), or with
    "array" and "sampling_rate". denoiser: what cleans; None for `Denoiser()`. sample_rate: of arrays, in Hz, or the
    column that has it; None for `sample_rate` or `sampling_rate`. channels_first: whether arrays of two dimensions are
    (channels, frames), as Ray's read_audio and torchaudio have them, or (frames, channels).
    on_error: for a row that cannot be cleaned: "raise", "drop" it, or "keep" it as it is. One without audio stays.
    concurrency: actors, or the least and the most of them; None for 1 to as many as the cluster has cores for.
    num_cpus: cores of each. batch_size: rows at a time.
    Returns a Dataset with the same columns and types; lazy, as Ray's are. Raises ConfigError for a bad setting;
    errors of rows come out of Ray, as those of any map do.
    """
    if on_error not in ("raise", "drop", "keep"):
        raise ConfigError(f"on_error is 'raise', 'drop' or 'keep', not {on_error!r}")
    ray = _ray()
    if denoiser is None:
        from denoise_wrapper.denoiser import Denoiser

        denoiser = Denoiser()
    if concurrency is None:
        concurrency = (1, max(1, int(ray.cluster_resources().get("CPU", 1) // num_cpus)))
    least, most = concurrency if isinstance(concurrency, tuple) else (concurrency, concurrency)
    return dataset.map_batches(
        _Rows,
        fn_constructor_args=(denoiser, column, sample_rate, channels_first, on_error),
        batch_size=batch_size,
        batch_format="numpy",
        compute=ray.data.ActorPoolStrategy(min_size=least, max_size=most),
        num_cpus=num_cpus,
    )


def denoise_files(
    inputs: Sequence[str | os.PathLike[str]] | str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    denoiser: Denoiser | None = None,
    resume: bool = False,
    overwrite: bool = False,
    attempts: int = 5,
    root: str | None = None,
    column: str | None = None,
    manifest: str | None = None,
    cpus_per_worker: int = 1,
    workers: int | None = None,
    told: Callable[[Outcome, bool], object] = lambda outcome, last: None,
    **wishes: Unpack[WishWords],
) -> Counts:
    """Clean files on the cluster that this program is connected to, as `denoise-wrapper batch --ray` does.

    inputs: folders, globs, manifests, shards and files, paths that all machines see, or addresses of object storage.
    output: folder or address. denoiser: what cleans; None for `Denoiser()`. resume: go on with what the manifest of an
    earlier run tells. overwrite: replace what is there. attempts: of a file, before it is set aside. root, column: of
    manifests, see `denoise-wrapper batch --help`. manifest: path of the results manifest. cpus_per_worker: cores of an
    actor, which cleans as many files at a time. workers: actors at most; None for as many as there are cores for.
    told: called with the outcome of each try, and whether it was the last one. wishes: as for `Denoiser.filter_file`.
    Returns counts, with `done`, `failed`, `skipped` and `seconds` of audio. Raises FileError, ConfigError or DataError
    before anything is made, for inputs that are none; FileError where all files would fail alike.
    """
    from denoise_wrapper.cluster.plan import make_tasks
    from denoise_wrapper.cluster.ray_engine import ray_engine, start
    from denoise_wrapper.cluster.run import run_tasks
    from denoise_wrapper.cluster.store import normal
    from denoise_wrapper.cluster.work import How
    from denoise_wrapper.denoiser import Denoiser
    from denoise_wrapper.files.formats import Wishes

    how = How(Denoiser() if denoiser is None else denoiser, Wishes(**wishes))
    places = [inputs] if isinstance(inputs, str | os.PathLike) else inputs
    made = make_tasks([os.fspath(place) for place in places], os.fspath(output), root=root, column=column)
    if made.failed:
        raise made.failed[0][1]
    engine = ray_engine(start("auto"), cpus_per_worker, workers=workers)
    return run_tasks(
        made, normal(os.fspath(output)), how, engine, resume=resume, overwrite=overwrite, attempts=attempts,
        manifest=manifest, told=told,
    )  # fmt: skip


def _ray() -> Any:
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ConfigError(needs_package("a Ray Dataset needs", error, "ray")) from error
    return ray


class _Rows:
    """Cleans batches of rows in an actor."""

    def __init__(
        self, denoiser: Denoiser, column: str | None, rate: int | str | None, channels_first: bool, on_error: OnError
    ) -> None:
        self._denoiser, self._column, self._rate = denoiser, column, rate
        self._channels_first, self._on_error = channels_first, on_error

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        column = self._column or next((name for name in COLUMNS if name in batch), None)
        if column is None or column not in batch:
            raise DataError(f"there is no column {column or ' or '.join(COLUMNS)}; there are {', '.join(batch)}")
        cells, stays = list(batch[column]), list[int]()
        for row, cell in enumerate(cells):
            try:
                cells[row] = self._clean(cell, batch, row)
            except DenoiseError:
                if self._on_error == "raise":
                    raise
                if self._on_error == "drop":
                    continue
            stays.append(row)
        made = np.empty(len(stays), dtype=object)
        for at, row in enumerate(stays):
            made[at] = cells[row]
        return {name: made if name == column else values[stays] for name, values in batch.items()}

    def _clean(self, cell: Any, batch: dict[str, Any], row: int) -> Any:
        if cell is None:
            return None
        if isinstance(cell, bytes):
            return self._file(cell)
        if isinstance(cell, dict):
            if isinstance(cell.get("bytes"), bytes):
                return {**cell, "bytes": self._file(cell["bytes"])}
            if cell.get("array") is not None:
                array = np.asarray(cell["array"])
                return {**cell, "array": self._array(array, cell.get("sampling_rate") or self._rate_of(batch, row))}
            raise DataError(f"a cell of audio has bytes, or array and sampling_rate, not {', '.join(cell)}")
        return self._array(np.asarray(cell), self._rate_of(batch, row))

    def _file(self, data: bytes) -> bytes:
        import io

        target = io.BytesIO()
        self._denoiser.filter_file(io.BytesIO(data), target)
        return target.getvalue()

    def _array(self, array: Array, rate: int) -> Array:
        turned = array.ndim == 2 and self._channels_first
        cleaned = self._denoiser.filter(np.ascontiguousarray(array.T) if turned else array, int(rate))
        return np.ascontiguousarray(cleaned.T) if turned else cleaned

    def _rate_of(self, batch: dict[str, Any], row: int) -> int:
        if isinstance(self._rate, int):
            return self._rate
        names = (self._rate,) if self._rate else RATES
        name = next((name for name in names if name in batch), None)
        if name is None:
            raise DataError(
                f"arrays need a rate: sample_rate=16000, or the column that has it; there are {', '.join(batch)}"
            )
        return int(batch[name][row])
