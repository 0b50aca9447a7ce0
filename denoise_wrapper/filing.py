"""The calls of `Denoiser` that clean files: one, many, and pairs of them."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Unpack

from denoise_wrapper.atomic import Overwrite, is_aside
from denoise_wrapper.audio import Array
from denoise_wrapper.errors import AudioError

if TYPE_CHECKING:
    from denoise_wrapper.files.batch import FileResult
    from denoise_wrapper.files.formats import Wishes, WishWords
    from denoise_wrapper.files.watch import Watch

BLOCK_S = 1  # seconds of audio that go through a stream at a time: bounds memory, and lets Ctrl-C in


class FileCleaner(ABC):
    """Cleans files by what a subclass makes of their blocks."""

    @abstractmethod
    def _cleaned(
        self,
        blocks: Iterable[Array],
        rate: int,
        shape: tuple[int, ...],
        seconds: dict[str, float] | None = None,
        source: Path | None = None,
    ) -> Iterator[Array]:
        """Clean the blocks of a whole clip.

        shape: of a frame. seconds: what the work adds its times to. source: the file that the clip is from.
        """

    def filter_file(
        self,
        src: str | os.PathLike[str] | IO[bytes],
        dst: str | os.PathLike[str] | IO[bytes] | None = None,
        *,
        overwrite: Overwrite = False,
        format: str | None = None,
        preserve_times: bool = False,
        progress: Callable[[int, int], object] | None = None,
        **wishes: Unpack[WishWords],
    ) -> Any:
        """Clean an audio file, block by block: memory does not grow with its length.

        src: any format of libsndfile, or of FFmpeg with the extra [media]; a path, also of a pipe, or an open binary
        file object, which is read from where it is to its end. dst: what to write, in the format that its suffix says:
        a path; a folder, in which it is called as src is; an open binary file object; or None for
        `<stem>_denoised<suffix>` beside src. Rate, channels and their speakers, sample type and depth, about the bit
        rate, tags, pictures and chunks of metadata are kept as far as the format of dst can hold them. overwrite:
        whether dst may be replaced, also if it is src; "force" for one that is read-only.
        format: a suffix, such as "flac", for a dst without a name; None for the format of src. preserve_times: whether
        dst gets the times of access and change that src has.
        progress: called with (frames done, frames in all; 0 if unknown).
        wishes: codec="alac" (FFmpeg's names), bit_rate=64000 (bit/s), quality=0.5 (0 to 1), subtype="PCM_24"
        (libsndfile's names): what dst is to be in place of what src is. track="all": the audio tracks that are cleaned,
        or a number from 1, or a language such as "eng". damaged="stop" refuses a damaged file, "skip" leaves out what
        cannot be read, "keep" puts silence there, so that all stays in time.
        Returns the path written, or dst if that is a file object. Raises FileError if one of the files cannot be read
        or written, AudioError if the audio cannot be cleaned; dst is then as it was before.
        """
        from denoise_wrapper.files.exchange import exchange
        from denoise_wrapper.files.formats import Wishes
        from denoise_wrapper.files.watch import Watch

        asked = Wishes(**wishes)

        def clean(source: Path, target: Path) -> None:
            self._transform(source, target, overwrite, Watch(progress), asked)

        return exchange(src, dst, clean, form=format, preserve_times=preserve_times)

    def filter_files(
        self,
        inputs: Iterable[str | os.PathLike[str]] | str | os.PathLike[str],
        out_dir: str | os.PathLike[str] | None = None,
        *,
        jobs: int | None = None,
        overwrite: Overwrite = False,
        preserve_times: bool = False,
        progress: Callable[[float, float], object] | None = None,
        **wishes: Unpack[WishWords],
    ) -> list[FileResult]:
        """Clean many audio files at once, in threads; each as `filter_file` does, and bit for bit the same.

            for result in Denoiser().filter_files(Path("calls").glob("*.wav"), "cleaned"):
                print(result.source, result.error or result.target)

        inputs: files, and folders, which stand for all audio files below them but results of earlier calls; or one of
        either. Such results are known by their names, or by the list `.denoised` that a folder of results has; of
        several files that are named, one of them is an error. out_dir: the folder to write to under the same names,
        with the trees of the folders, made if it is not there; None for `<stem>_denoised<suffix>` beside each. jobs:
        threads; None for one per core. overwrite: whether files may be replaced, "force" for read-only ones too.
        preserve_times: whether each gets the times of the file that it was made of. wishes: as for `filter_file`.
        progress: called a few times a second, in the thread of the caller, with (seconds of audio done, seconds in
        all); the length of files that are not yet open is estimated from their size.
        Returns what became of each file, in their order: `source`, `target` (None if it failed), `error` (None, or a
        DenoiseError: one that fails does not keep the others from being done), `seconds` of audio, `kept` seconds of
        the result, fewer where a gate dropped some, `took` seconds by the clock, and `stages`, how many of those went
        into decoding, resampling, denoising, encoding and other.
        Raises ConfigError for bad jobs; FileError, before anything is written, if out_dir is a file, two files would
        be written to one place, or one over another that is to be cleaned.
        What else is raised, Ctrl-C among it, stops all threads soon, and leaves no file half-written.
        """
        from denoise_wrapper.files.batch import plan

        each_input = [inputs] if isinstance(inputs, str | os.PathLike) else inputs
        made = plan([Path(each) for each in each_input], None if out_dir is None else Path(out_dir))
        return made.failed + self._filter_pairs(
            made.pairs, jobs, overwrite=overwrite, preserve_times=preserve_times, progress=progress, **wishes
        )

    def _filter_pairs(
        self,
        pairs: Sequence[tuple[Path, Path | None]],
        jobs: int | None = None,
        *,
        overwrite: Overwrite = False,
        preserve_times: bool = False,
        done: Callable[[FileResult], object] | None = None,
        progress: Callable[[float, float], object] | None = None,
        **wishes: Unpack[WishWords],
    ) -> list[FileResult]:
        """Clean pairs (file to read, file to write or None for the one beside it) as `filter_files` does.

        done: called with each result as it comes, in the thread of the caller.
        """
        from denoise_wrapper.files.batch import run_batch
        from denoise_wrapper.files.exchange import exchange
        from denoise_wrapper.files.formats import Wishes
        from denoise_wrapper.files.results import beside

        asked = Wishes(**wishes)

        def clean(source: Path, target: Path, watch: Watch) -> None:
            def once(plain: Path, made: Path) -> None:
                self._transform(plain, made, overwrite, watch, asked)

            named = None if target == beside(source) else target  # a pipe has nothing beside it
            exchange(source, named, once, preserve_times=preserve_times, waiting=watch.check)

        return run_batch(clean, pairs, jobs, done=done, progress=progress)

    def _transform(
        self, source: Path, target: Path, overwrite: Overwrite, watch: Watch, wishes: Wishes | None = None
    ) -> None:
        """Clean one plain file to another and tell watch: what the calls above are made of. Raises as they do."""
        from denoise_wrapper.files.levels import Meter
        from denoise_wrapper.files.transform import NO_WISHES, transform_file

        asked = NO_WISHES if wishes is None else wishes
        meters = iter([(watch.before, watch.after)])

        def clean(blocks: Iterable[Array], rate: int, channels: int) -> Iterator[Array]:
            if not watch.measured:
                return self._cleaned(blocks, rate, (channels,), watch.stages, source)
            before, after = next(meters, (Meter(), Meter()))  # of several tracks the level is the first one's
            cleaned = self._cleaned(before.through(blocks, rate), rate, (channels,), watch.stages, source)
            return after.through(cleaned, rate)

        try:
            transform_file(source, target, clean, overwrite=overwrite, block_s=BLOCK_S, watch=watch, wishes=asked)
        except AudioError as error:
            if is_aside(error):
                raise
            raise AudioError(f"{source}: {error}") from error
