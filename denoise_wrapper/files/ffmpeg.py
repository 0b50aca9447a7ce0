"""Audio that libsndfile does not know (m4a, mp4, webm, wma ...), by the program ffmpeg, through pipes."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from denoise_wrapper.audio import Array, check_channels, check_rate
from denoise_wrapper.errors import FileError
from denoise_wrapper.files.formats import Facts

# Decoder -> the encoder that makes the same again, where it is not called the same.
_ENCODERS = {"mp3": "libmp3lame", "opus": "libopus", "vorbis": "libvorbis", "aac": "aac", "alac": "alac", "ac3": "ac3"}


class FFmpegSource:
    """The first audio track of a file, decoded by ffmpeg."""

    def __init__(self, path: Path, stack: contextlib.ExitStack) -> None:
        self.path, self.total = path, 0
        track = _probe(path)
        self.rate, self.channels = check_rate(int(track["sample_rate"])), check_channels(int(track["channels"]))
        self.codec, self.bit_rate = str(track.get("codec_name", "")), track.get("bit_rate")
        with contextlib.suppress(ValueError):  # some formats do not tell
            self.total = int(float(track.get("duration", 0)) * self.rate)
        self.facts = Facts(path, self.rate, self.channels, self.total)
        arguments = ["-i", str(path.absolute()), "-map", "0:a:0", "-c:a", "pcm_f32le", "-f", "f32le", "-"]
        self._ffmpeg = _Running(arguments, stack, stdout=subprocess.PIPE)

    def blocks(self, size: int) -> Iterator[Array]:
        pipe = self._ffmpeg.process.stdout
        assert pipe is not None
        while raw := pipe.read(size * self.channels * 4):
            whole = len(raw) - len(raw) % (4 * self.channels)
            yield np.frombuffer(raw[:whole], "<f4").astype(np.float32, copy=False).reshape(-1, self.channels)
        self._ffmpeg.finish(f"cannot read {self.path}")


class FFmpegTarget:
    """A file encoded by ffmpeg: tags are kept, and the pictures where the suffix is that of the source."""

    def __init__(self, part: Path, dst: Path, source: Any, stack: contextlib.ExitStack) -> None:
        self._dst = dst
        if not dst.suffix:
            raise FileError(f"{dst} has no suffix to tell its format; name it with one, such as .wav")
        arguments = ["-f", "f32le", "-ar", str(source.rate), "-ac", str(source.channels), "-i", "-"]
        if isinstance(source, FFmpegSource):
            arguments += ["-i", str(source.path.absolute()), "-map", "0:a", "-map_metadata", "1"]
            if dst.suffix.lower() == source.path.suffix.lower():
                arguments += ["-map", "1:v?", "-c:v", "copy"]
                if source.codec in _ENCODERS:
                    arguments += ["-c:a", _ENCODERS[source.codec]]
                if source.bit_rate:
                    arguments += ["-b:a", str(source.bit_rate)]
        arguments += ["-y", str(part.absolute())]
        self._ffmpeg = _Running(arguments, stack, stdin=subprocess.PIPE)

    def write(self, block: Array) -> None:
        pipe = self._ffmpeg.process.stdin
        assert pipe is not None
        try:
            pipe.write(_as_float(block).tobytes())
        except BrokenPipeError:
            self._finish()

    def close(self) -> None:
        pipe = self._ffmpeg.process.stdin
        assert pipe is not None
        with contextlib.suppress(BrokenPipeError):
            pipe.close()
        self._finish()

    def _finish(self) -> None:
        self._ffmpeg.finish(f"cannot write {self._dst}")


class _Running:
    """An ffmpeg at work, which stack ends if it has not ended by itself."""

    def __init__(self, arguments: list[str], stack: contextlib.ExitStack, **pipes: Any) -> None:
        self._errors: IO[bytes] = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 stack closes it
        command = [_program("ffmpeg"), "-v", "error", "-nostdin", *arguments]
        pipes.setdefault("stdin", subprocess.DEVNULL)
        self.process = subprocess.Popen(command, stderr=self._errors, **pipes)
        stack.callback(self._end)

    def finish(self, failed: str) -> None:
        """Wait for the end. Raises FileError with the reason if it is a bad one."""
        if self.process.wait():
            self._errors.seek(0)
            lines = self._errors.read().decode(errors="replace").strip().splitlines()
            raise FileError(f"{failed}: ffmpeg says {lines[-1] if lines else self.process.returncode}")

    def _end(self) -> None:
        self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self.process.wait()


def _probe(path: Path) -> dict[str, Any]:
    """Probe the first audio track. Raises FileError if there is none."""
    wanted = "stream=codec_name,sample_rate,channels,bit_rate,duration:format=duration"
    options = ["-v", "error", "-select_streams", "a:0", "-show_entries", wanted, "-of", "json"]
    command = [_program("ffprobe", path), *options, str(path.absolute())]
    probed = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, check=False)
    probe = json.loads(probed.stdout or b"{}")
    if probed.returncode or not probe.get("streams"):
        lines = probed.stderr.decode(errors="replace").strip().splitlines()
        reason = lines[-1].replace(f"{path.absolute()}: ", "") if lines else "there is no audio in it"
        raise FileError(f"{path} is no audio file that can be read: {reason}")
    return {**probe.get("format", {}), **probe["streams"][0]}


def _program(name: str, path: Path | None = None) -> str:
    program = shutil.which(name)
    if program is None:
        what = f"{path} is of a kind that" if path is not None else "this format"
        raise FileError(f"{what} needs {name}, which is not installed; install ffmpeg, or convert to wav or flac first")
    return program


def _as_float(block: Array) -> Array:
    from denoise_wrapper.audio import to_float

    return to_float(block).astype("<f4", copy=False)
