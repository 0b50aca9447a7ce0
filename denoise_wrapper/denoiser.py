"""The façade: picks a backend by name and runs arrays, bytes, segments and files through a stream of it."""

from __future__ import annotations

import copy
import dataclasses
import os
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar, Unpack, overload

import numpy as np
from numpy.typing import DTypeLike, NDArray

from denoise_wrapper.arguments import warn_caller
from denoise_wrapper.atomic import Overwrite, is_aside
from denoise_wrapper.audio import Array, Clip, check_rate, unpack
from denoise_wrapper.backends import BackendName, resolve_backend
from denoise_wrapper.backends.base import Backend
from denoise_wrapper.errors import AudioError, ConfigError
from denoise_wrapper.presets import PresetName, strength
from denoise_wrapper.stream.align import aligned
from denoise_wrapper.stream.asynchronous import stream_chunks
from denoise_wrapper.stream.gate import Cutter, make_gate
from denoise_wrapper.stream.lane import least_latency
from denoise_wrapper.stream.settings import NonFinite, Settings, VadGate
from denoise_wrapper.stream.stream import Float32, Sample, Stream

if TYPE_CHECKING:
    from denoise_wrapper.files.batch import FileResult
    from denoise_wrapper.files.formats import Wishes, WishWords
    from denoise_wrapper.files.watch import Watch

Audio = TypeVar("Audio")

BLOCK_S = 1  # seconds of audio that go through a stream at a time: bounds memory, and lets Ctrl-C in


class Denoiser:
    """Takes the noise out of audio: same kind, type, rate, channels and length back, in time with the original.

        clean = Denoiser("rnnoise").filter(audio, sample_rate=44100)
        Denoiser().filter_file("meeting.flac")                      # writes meeting_denoised.flac

    backend: a name, as `backend_names()` gives them, or a Backend. model: path or bytes of a model for it; of a DTLN
    two of them, (first, second), or the folder they are in.
    preset: strength by what the result is for: "voice" (calls; 24 dB at most), "asr" (a speech recogniser, which makes
    more errors the more is taken away; 6 dB), "broadcast" (12 dB) or "max" (no limit). It sets the next two.
    atten_lim_db: dB, 0 or more, by which noise is turned down at most, 0 passes all through; None for the preset's
    limit, or none. mix: 0 (dry) to 1 (cleaned); None for the preset's, or 1.
    vad_threshold: 0 to 1; where the probability of speech is below, the gate closes. None for no gate.
    vad_gate: "mute" silences what is gated, "drop" takes it out, so that the result is shorter. The gate acts on the
    cleaned signal and for all channels at once: it is open where any of them holds speech.
    vad_hold: seconds for which the gate stays open after speech.
    non_finite: "raise" refuses samples that are NaN, infinite or absurdly large, "zero" puts zeros in their place.

    All methods but filter_frame and reset keep no state and may be called from several threads at once.
    Raises ModelError for an unknown backend or a bad model, ConfigError for a setting out of range.
    """

    def __init__(
        self,
        backend: BackendName | str | Backend = "rnnoise",
        *,
        model: Any = None,
        preset: PresetName | None = None,
        atten_lim_db: float | None = None,
        mix: float | None = None,
        vad_threshold: float | None = None,
        vad_gate: VadGate = "mute",
        vad_hold: float = 0.2,
        non_finite: NonFinite = "raise",
    ) -> None:
        atten_lim_db, mix = strength(preset, atten_lim_db, mix)
        self._settings = Settings(atten_lim_db, mix, vad_threshold, vad_gate, vad_hold, non_finite)
        self._backend = self._resolve(backend, model)
        self._frames: Stream | None = None  # that of filter_frame, made when it is first used

    def _resolve(self, backend: str | Backend, model: Any = None) -> Backend:
        resolved = resolve_backend(backend, model)
        make_gate(resolved, self._settings)  # refuses a gate without a voice to open it
        return resolved

    @property
    def backend(self) -> Backend:
        """The backend in use. Set it to a name or a Backend: calls to come use that one, from fresh state."""
        return self._backend

    @backend.setter
    def backend(self, backend: str | Backend) -> None:
        self._backend = self._resolve(backend)
        self._frames = None

    @property
    def backend_name(self) -> str:
        """The name of the backend in use."""
        return self._backend.name

    @property
    def settings(self) -> Settings:
        """The strength, the gate, and what is done with damage."""
        return self._settings

    @overload
    def filter(
        self,
        audio: NDArray[Sample],
        sample_rate: int | None = None,
        *,
        channels: int | None = None,
        dtype: DTypeLike | None = None,
    ) -> NDArray[Sample]: ...
    @overload
    def filter(
        self,
        audio: memoryview,
        sample_rate: int | None = None,
        *,
        channels: int | None = None,
        dtype: DTypeLike | None = None,
    ) -> bytes: ...
    @overload
    def filter(
        self,
        audio: Audio,
        sample_rate: int | None = None,
        *,
        channels: int | None = None,
        dtype: DTypeLike | None = None,
    ) -> Audio: ...
    def filter(
        self,
        audio: Any,
        sample_rate: int | None = None,
        *,
        channels: int | None = None,
        dtype: DTypeLike | None = None,
    ) -> Any:
        """Clean a whole clip, from fresh state.

        audio: ndarray, int16, int32, float32 or float64, (frames,) or (frames, channels); or bytes of interleaved
        PCM; or a pydub.AudioSegment; or a torch.Tensor of the same types, (frames,) or, as torchaudio has it,
        (channels, frames), which comes back on its device, without a gradient. Integers have their full scale, floats
        +-1.
        sample_rate: Hz; the segment's own for a segment. Without one an array is taken at the backend's rate, with a
        UserWarning; so are floats far beyond +-1, which look like int16 numbers in a float array.
        channels, dtype: what bytes hold (needed for them, with sample_rate).
        Returns the same kind of object: integers rounded and clipped, floats perhaps past +-1. The same length, but
        with vad_gate="drop", which takes frames out. Raises AudioError that says what is wrong with the audio.
        """
        clip = unpack(audio, sample_rate, channels, dtype)
        samples = clip.samples
        rate = _rate_of(clip, self._backend)
        cleaned = np.empty_like(samples)
        end = 0
        for block in self._cleaned(_blocks(samples, rate * BLOCK_S), rate, samples.shape[1:]):
            cleaned[end : end + len(block)] = block
            end += len(block)
        return clip.repack(cleaned if end == len(cleaned) else cleaned[:end].copy())

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
        file object, which is read from where it is to its end. dst: what to write, in the format that its suffix says,
        a path or an open binary file object; None for `<stem>_denoised<suffix>` beside src. Rate, channels and their
        speakers, sample type and depth, about the bit rate, tags, pictures and chunks of metadata are kept as far as
        the format of dst can hold them. overwrite: whether dst may be replaced, also if it is src; "force" for one that
        is read-only.
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
            self.transform(source, target, overwrite, Watch(progress), asked)

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
        threads; None for one a core. overwrite: whether files may be replaced, "force" for read-only ones too.
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
        return made.failed + self.filter_pairs(
            made.pairs, jobs, overwrite=overwrite, preserve_times=preserve_times, progress=progress, **wishes
        )

    def filter_pairs(
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
                self.transform(plain, made, overwrite, watch, asked)

            named = None if target == beside(source) else target  # a pipe has nothing beside it
            exchange(source, named, once, preserve_times=preserve_times, waiting=watch.check)

        return run_batch(clean, pairs, jobs, done=done, progress=progress)

    def transform(
        self, source: Path, target: Path, overwrite: Overwrite, watch: Watch, wishes: Wishes | None = None
    ) -> None:
        """Clean one plain file to another and tell watch: what the calls above are made of. Raises as they do."""
        from denoise_wrapper.files.levels import Meter
        from denoise_wrapper.files.transform import NO_WISHES, transform_file

        asked = NO_WISHES if wishes is None else wishes
        meters = iter([(watch.before, watch.after)])

        def clean(blocks: Iterable[Array], rate: int, channels: int) -> Iterator[Array]:
            before, after = next(meters, (Meter(), Meter()))  # of several tracks the level is the first one's
            cleaned = self._cleaned(before.through(blocks, rate), rate, (channels,), watch.stages, source)
            return after.through(cleaned, rate)

        try:
            transform_file(source, target, clean, overwrite=overwrite, block_s=BLOCK_S, watch=watch, wishes=asked)
        except AudioError as error:
            if is_aside(error):
                raise
            raise AudioError(f"{source}: {error}") from error

    def filter_frame(self, frame: Any) -> tuple[float, Any]:
        """Clean one hop of a live mono signal at the backend's rate, keeping state from call to call.

        frame: ndarray (hop,) of any supported type, or bytes of hop int16 samples (960 bytes for rnnoise).
        Returns (probability of speech in it, the hop that came `backend.delay` samples ago, cleaned, as the same
        kind). Raises AudioError for a frame of another size; the state is then as before.
        """
        hop, raw = self._backend.hop, isinstance(frame, bytes | bytearray | memoryview)
        if isinstance(frame, memoryview) and not frame.c_contiguous:
            frame = frame.tobytes()
        if raw and memoryview(frame).nbytes != 2 * hop:
            size = memoryview(frame).nbytes
            raise AudioError(f"a frame is {2 * hop} bytes, {hop} samples of int16, not {size} bytes")
        samples = np.frombuffer(frame, np.int16) if raw else frame
        if isinstance(samples, np.ndarray) and samples.shape not in ((hop,), (hop, 1)):
            raise AudioError(f"a frame has shape ({hop},), not {samples.shape}; stream() takes chunks of any size")
        if self._frames is None:
            self._frames = Stream(self._backend, settings=self._settings, step=hop)
        cleaned = self._frames.process(samples)
        return float(self._frames.vad[-1]), cleaned.tobytes() if raw else cleaned

    def reset(self) -> None:
        """Forget the frames that came to filter_frame."""
        self._frames = None

    def stream(
        self,
        sample_rate: int | None = None,
        channels: int = 1,
        latency: int | None = None,
        dtype: DTypeLike | None = None,
    ) -> Stream:
        """Open a live signal through the backend, with this denoiser's settings.

        sample_rate: Hz; None for the backend's. channels: samples a frame. latency: frames; None for the least, more
        to leave room for `Stream.switch` to a slower backend. dtype: of the samples in chunks that are bytes, as in
        "int16"; None if none are. Raises ConfigError for vad_gate="drop".
        """
        return Stream(self._backend, sample_rate, channels, self._settings, latency, dtype=dtype)

    def astream(
        self,
        chunks: AsyncIterable[Any] | Iterable[Any],
        sample_rate: int | None = None,
        channels: int = 1,
        latency: int | None = None,
        dtype: DTypeLike | None = None,
    ) -> AsyncIterator[Any]:
        """Clean a live signal under asyncio, chunk by chunk as it comes.

            async for cleaned in denoiser.astream(microphone(), 48000, dtype="int16"):
                await socket.send(cleaned)

        chunks: what `async for` or `for` goes through, arrays or bytes, as `Stream.process` takes them. The rest: as
        for `stream`. Yields as many frames for each chunk, `latency` frames late, and then the last `latency` ones.
        Chunks of more than 0.1 s are cleaned in a thread. Raises, while it is gone through, what `stream` and `process`
        raise.
        """
        stream = self.stream(sample_rate, channels, latency, dtype)
        return stream_chunks(stream, chunks, stream.frame_bytes or 1)

    def latency(self, sample_rate: int | None = None) -> int:
        """Return the least latency of a stream at that rate (None: the backend's), in frames."""
        rate = self._backend.sample_rate if sample_rate is None else check_rate(sample_rate)
        return least_latency(self._backend, rate)

    def speech_probability(
        self,
        audio: Any,
        sample_rate: int | None = None,
        *,
        channels: int | None = None,
        dtype: DTypeLike | None = None,
    ) -> tuple[NDArray[np.float64], Float32]:
        """Estimate the probability of speech over a whole clip. audio and the rest: as for `filter`.

        Returns (times, probabilities): float64 (hops,), the beginning of each hop in seconds, and float32 (hops,), or
        (hops, channels) of several channels. Raises ConfigError if the backend gives no probability of speech.
        """
        backend = self._backend
        clip = unpack(audio, sample_rate, channels, dtype)
        rate = _rate_of(clip, backend)
        count = clip.samples.shape[1] if clip.samples.ndim == 2 else 1
        voice = self.voice_of(_blocks(clip.samples, rate * BLOCK_S), rate, count)
        return np.arange(len(voice), dtype=np.float64) * (backend.hop / backend.sample_rate), voice

    def voice_of(self, blocks: Iterable[Array], rate: int, channels: int) -> Float32:
        """Estimate the probability of speech over a clip that comes in blocks. rate: Hz.

        Returns float32 (hops,), or (hops, channels) of several. Raises ConfigError as `speech_probability` does.
        """
        backend, frames = self._backend, 0
        if not backend.has_vad:
            raise ConfigError(f"{backend.name} gives no probability of speech; rnnoise and rnnoise-classic do")
        stream = Stream(backend, rate, channels, Settings(non_finite=self._settings.non_finite))
        voice = []
        for block in aligned(stream, blocks):
            frames += len(block)
            voice.append(stream.vad)
        hops = -(-frames * backend.sample_rate // (rate * backend.hop))
        return np.concatenate(voice)[:hops]

    def _cleaned(
        self,
        blocks: Iterable[Array],
        rate: int,
        shape: tuple[int, ...],
        seconds: dict[str, float] | None = None,
        source: Path | None = None,
    ) -> Iterator[Array]:
        """Clean and align the blocks of a whole clip, without gated frames if so asked.

        shape: () for blocks (frames,), (channels,) for (frames, channels). seconds: what the stream adds its times to.
        source: the file that the clip is from.
        """
        settings, cutter = self._settings, None
        if settings.vad_gate == "drop" and settings.vad_threshold is not None:
            gate = make_gate(self._backend, settings)
            assert gate is not None
            cutter = Cutter(gate, self._backend, rate)
            settings = dataclasses.replace(settings, vad_threshold=None, vad_gate="mute")
        stream = Stream(self._backend, rate, shape[0] if shape else 1, settings, seconds=seconds, source=source)
        for block in aligned(stream, blocks):
            yield block if cutter is None else cutter.cut(block, stream.vad.reshape(-1, stream.channels).T)

    def __getstate__(self) -> dict[str, Any]:
        """Plain data, and what backends make of their own: so the modules of this package may move."""
        return {
            "backend": self._backend, "settings": dataclasses.asdict(self._settings), "frames": self._frames,
        }  # fmt: skip

    def __setstate__(self, saved: dict[str, Any]) -> None:
        self._backend, self._frames = saved["backend"], saved["frames"]
        self._settings = Settings(**saved["settings"])

    def __copy__(self) -> Denoiser:
        return copy.deepcopy(self)  # two denoisers never share the state of filter_frame

    def __repr__(self) -> str:
        backend = self._backend
        shipped = getattr(backend, "shipped", True)
        model = [] if shipped else [f"model=<sha256 {getattr(backend, 'digest', '')[:12]}>"]
        return f"Denoiser({', '.join([repr(self.backend_name), *model, *self._settings.changed()])})"


Denoiser.__module__ = "denoise_wrapper"  # where pickles look for it, wherever this file is


def _rate_of(clip: Clip, backend: Backend) -> int:
    """The rate of a clip; of an array that came without one that of the backend, with a warning."""
    if clip.sample_rate is not None:
        return clip.sample_rate
    warn_caller(
        f"an array without a rate is taken for one of {backend.sample_rate} Hz, that of {backend.name}, and cleaned "
        f"badly if it has another; say it: sample_rate={backend.sample_rate}, or what it has"
    )
    return backend.sample_rate


def _blocks(samples: Array, size: int) -> Iterator[Array]:
    """Cut a clip into blocks, one at least, so that a stream learns the type of a clip of no frames too."""
    return (samples[start : start + size] for start in range(0, max(1, len(samples)), size))
