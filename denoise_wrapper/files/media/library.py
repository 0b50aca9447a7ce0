"""PyAV: imported late, opened without network or playlists, and its complaints kept as errors."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from denoise_wrapper.errors import FileError
from denoise_wrapper.files.formats import SUFFIXES

# Demuxers that read a single file and nothing that it names: no playlists, no devices, no patterns of file names.
DEMUXERS = """
    aac ac3 aiff alac amr ape asf au avi caf dsf dts dtshd eac3 flac flv iff loas matroska mlp mov mp3 mpc mpc8 mpeg
    mpegts mxf nistsphere nut ogg oma qcp rm rso sox svx tak truehd tta voc w64 wav webm wtv wv xwma
""".split()
MAX_STREAMS = 64
_BUFFER = 1 << 16  # bytes read or written at a time
CHECKS = "crccheck+bitstream+buffer"  # what decoders look for beyond what stops them
_OPTIONS = {
    "format_whitelist": ",".join(DEMUXERS),
    "protocol_whitelist": "",
    "max_streams": str(MAX_STREAMS),
    "err_detect": CHECKS,
}
# What FFmpeg reports as an error of files that are whole.
_HARMLESS = ("Header missing", "Skipping unhandled metadata")


def library(path: Path, because: str = "") -> Any:
    """Import PyAV. Raises FileError that names path and the extra to install where it is absent.

    because: why nothing else will do, as a clause.
    """
    try:
        import av
        import av.logging
    except ImportError as error:
        raise FileError(
            f"{path} needs FFmpeg's libraries{f' ({because})' * bool(because)}, which the package av brings: "
            "pip install 'denoise-wrapper[media]'; or convert it to WAV or FLAC first"
        ) from error
    return av


def open_input(path: Path, stack: contextlib.ExitStack) -> Any:
    """Open a file for reading by its content alone; stack closes it. Raises FileError if there is no audio in it."""
    av = library(path)
    file = stack.enter_context(open(path, "rb", buffering=0))  # noqa: SIM115 stack closes it
    try:
        with av.logging.Capture():  # what matters comes again while it is read
            container = av.open(
                file, "r", options=dict(_OPTIONS), buffer_size=_BUFFER, metadata_errors="surrogateescape"
            )
    except (av.FFmpegError, ValueError) as error:
        kind = path.suffix[1:].lower() if path.suffix.lower() in SUFFIXES else "audio"
        raise FileError(f"{path} is no {kind} file that can be read, or a damaged one: {reason(error)}") from error
    stack.callback(container.close)
    if not container.streams.audio:
        raise FileError(f"{path} is no audio file that can be read: there is no audio in it")
    return container


def open_output(file: Any, muxer: str, options: dict[str, str], path: Path) -> Any:
    """Begin a file in a container by the name of FFmpeg's muxer.

    file: open for writing, with seek. path: of it, which a muxer that moves its index to the front reads again.
    """
    import av

    return av.open(
        file,
        "w",
        format=muxer,
        container_options=options,
        buffer_size=_BUFFER,
        metadata_errors="surrogateescape",
        io_open=lambda *_: open(path, "rb"),  # which FFmpeg closes
    )


def reason(error: BaseException) -> str:
    """FFmpeg's words for an error, in lower case and without its number and the name of the function."""
    text = getattr(error, "strerror", None) or str(error)
    return text[:1].lower() + text[1:].rstrip(".")


class Complaints:
    """Errors that FFmpeg reports in this thread and goes on from: damage that it hides.

    with complaints.watch(): around each call; last: the newest one, None if there was none since `clear`.
    names: of demuxers and decoders whose words count.
    """

    def __init__(self, names: set[str]) -> None:
        self._names = names
        self.last: str | None = None

    @contextlib.contextmanager
    def watch(self) -> Iterator[None]:
        """Keep what is reported meanwhile."""
        import av.logging

        with av.logging.Capture() as logs:
            try:
                yield
            finally:
                for level, name, message in logs:
                    if level <= av.logging.ERROR and name in self._names and not message.startswith(_HARMLESS):
                        self.last = " ".join(message.split()).rstrip(".:")

    def clear(self) -> str | None:
        """Return the last complaint and forget it."""
        last, self.last = self.last, None
        return last


def silence() -> Any:
    """Return a context in which what FFmpeg reports in this thread goes nowhere, but for what `Complaints` watch."""
    import av.logging

    return av.logging.Capture()


_lock = threading.Lock()
_listeners = 0
_before: Any = None


@contextlib.contextmanager
def listening() -> Iterator[None]:
    """Let FFmpeg report errors to PyAV while any file is open, and as it was set before when none is."""
    import av.logging

    global _listeners, _before
    with _lock:
        _listeners += 1
        if _listeners == 1:
            _before = av.logging.get_level(), av.logging.get_skip_repeated()
            if _before[0] is None or _before[0] < av.logging.ERROR:
                av.logging.set_level(av.logging.ERROR)
            av.logging.set_skip_repeated(False)
    try:
        yield
    finally:
        with _lock:
            _listeners -= 1
            if _listeners == 0:
                av.logging.set_level(_before[0])
                av.logging.set_skip_repeated(_before[1])
