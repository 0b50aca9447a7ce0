"""One audio track of a file: its packets decoded and placed by their time stamps."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from denoise_wrapper.audio import Array, check_channels, check_rate
from denoise_wrapper.errors import FileError
from denoise_wrapper.files.codecs import TrackFacts, lossless_depth
from denoise_wrapper.files.formats import vorbis_nominal
from denoise_wrapper.files.media.library import CHECKS, Complaints, reason

_LEAST_GAP = Fraction(30, 1000)  # seconds; time stamps of some containers jitter by less
_LONGEST_GAP = 24 * 3600  # seconds; beyond this a time stamp is damage
_MOST_PLANES = 8  # channels from which on samples are not taken plane by plane
_MOST_PADDING = 4096  # frames of an encoder's padding at the end that a container may cut off
# Type of an FFmpeg sample -> the type that loses none of it.
_TYPES = {"u8": "int16", "s16": "int16", "s32": "int32", "s64": "float64", "flt": "float32", "dbl": "float64"}

Pump = Callable[["Track"], bool]


class Track:
    """One audio track being decoded, as a source of blocks.

    rate, channels, total: as `Source` has them. start: position of the first sample in frames, known once a block was
    read. gaps: (first, end) in frames from that, which hold silence because nothing is in the file there.
    """

    def __init__(self, path: Path, stream: Any, complaints: Complaints, damaged: str, ends: bool) -> None:
        """ends: whether the length of the stream as the container has it cuts off what an encoder appended."""
        self.path, self.stream, self.index = path, stream, int(stream.index)
        known = stream.format is not None and stream.format.packed is not None
        if not (known and stream.sample_rate and stream.layout.channels):
            raise FileError(f"{path} is damaged: its header says no rate, channels or sample type; get it anew")
        self.rate, self.channels = check_rate(stream.sample_rate), check_channels(len(stream.layout.channels))
        self.layout = stream.layout.name
        self.facts = _facts(stream)
        self.dtype = np.dtype(_TYPES[stream.format.packed.name])
        self._sample: str = stream.format.packed.name
        self._resampler: Any = None  # of samples that NumPy is not given as they are
        length = 0 if stream.duration is None else round(stream.duration * stream.time_base * self.rate)
        self.total = max(0, length)
        self.start: int | None = None
        self.gaps: list[tuple[int, int]] = []
        self.packets: deque[Any] = deque()
        self.queued = 0  # bytes in packets
        self.pump: Pump | None = None
        self.clock = 0.0  # seconds that the file's time stamps begin with
        self.breaks: deque[int] = deque()  # bytes at which packets are missing, where the container counts them
        self._complaints, self._damaged = complaints, damaged
        self._limit = self.total if ends and self.total else None
        self._anchor = 0  # what time stamps count from, in frames
        self._next = 0  # frames that were placed
        self.promised = 0  # frames at least that there are to be, in silence if need be
        self._excess: list[Array] = []
        self._mended = False
        self._resumes: int | None = None  # from this frame on what is missing is behind
        stream.codec_context.thread_count = 1  # so that complaints come in this thread
        stream.codec_context.options = {"err_detect": CHECKS}

    @property
    def seconds(self) -> float:
        """Where decoding is, from the beginning of the file."""
        return (self._next + (self.start or 0)) / self.rate - (self.clock if self.start is not None else 0)

    def push(self, packet: Any) -> None:
        self.packets.append(packet)
        self.queued += packet.size

    def blocks(self, size: int) -> Iterator[Array]:
        """Arrays (n, channels) of about size frames; of none where another track is to go on first."""
        parts: list[Array] = []
        count = 0
        for part in self._ending():
            if not len(part):
                yield part
                continue
            parts.append(part)
            count += len(part)
            if count >= size:
                yield np.concatenate(parts)
                parts, count = [], 0
        if parts:
            yield np.concatenate(parts)

    def damage(self, what: str) -> None:
        """Raise FileError that says where, or go on if that is wanted."""
        if self._damaged == "stop":
            raise FileError(
                f"{self.path} is damaged at {self.seconds:.2f} s: {what}; get it anew, or --damaged skip leaves out "
                "what cannot be read and --damaged keep puts silence there"
            )
        self._mended = True

    def _ending(self) -> Iterator[Array]:
        """The track without the padding that its container cuts off."""
        done = 0
        for part in self._parts():
            if self._limit is not None and done + len(part) > self._limit:
                keep = max(0, self._limit - done)
                self._excess.append(part[keep:])
                if sum(map(len, self._excess)) <= _MOST_PADDING:
                    part = part[:keep]
                    if not keep:
                        continue
                else:  # so much is no padding
                    part = np.concatenate([part[:keep], *self._excess])
                    self._limit, self._excess = None, []
            done += len(part)
            yield part

    def _parts(self) -> Iterator[Array]:
        assert self.pump is not None
        while True:
            if not self.packets:
                if self.pump(self):
                    if not self.packets:
                        yield np.empty((0, self.channels), self.dtype)
                    continue
                lost = self._mended and self._damaged == "keep"  # damage at the end, behind which no time stamp comes
                yield from self._silence(max(0, (self.total if lost else self.promised) - self._next))
                return
            packet = self.packets.popleft()
            self.queued -= packet.size
            for frame in self._decode(packet):
                yield from self._place(frame)

    def _decode(self, packet: Any) -> list[Any]:
        import av

        while self.breaks and packet.pos is not None and packet.pos >= self.breaks[0]:
            self.breaks.popleft()
            self.damage("packets are missing")
            if packet.pts is not None:  # Ogg's last packet before a missing page may have the place behind
                self._resumes = self._frames_of(packet.pts + max(1, packet.duration or 0), packet.time_base)
        if packet.is_corrupt:
            self.damage("a packet is not whole")
            return []
        if not packet.size and packet.pts is not None:  # one with facts alone, as FLAC ends in NUT; others flush
            return []
        try:
            with self._complaints.watch():
                frames: list[Any] = packet.decode()
        except av.EOFError:
            return []
        except av.FFmpegError as error:
            self._complaints.clear()
            self.damage(reason(error))
            return []
        complaint = self._complaints.clear()
        if complaint is not None:  # what was decoded all the same is a guess
            self.damage(complaint)
            return []
        return frames

    def _place(self, frame: Any) -> Iterator[Array]:
        """The samples of a frame, after silence where the time stamps leave a gap."""
        if frame.sample_rate != self.rate or len(frame.layout.channels) != self.channels:
            raise FileError(
                f"{self.path} changes to {len(frame.layout.channels)} channels of {frame.sample_rate} Hz at "
                f"{self.seconds:.2f} s, from {self.channels} of {self.rate} Hz: convert it to one form first"
            )
        samples = self._samples(frame)
        position: int | None = None
        if frame.pts is not None:
            position = self._frames_of(frame.pts, frame.time_base)
            if self.start is None:
                self.start = self._anchor = self._beginning(position)
            gap = self._on_grid(position - self._anchor - self._next, len(samples), frame.time_base)
            least = len(samples) / 2 if self._mended else _LEAST_GAP * self.rate
            if abs(gap) >= least:
                if self._mended and self._damaged == "skip":
                    self._anchor += gap
                elif 0 < gap <= _LONGEST_GAP * self.rate:
                    yield from self._silence(gap)
                elif -len(samples) < gap < 0:
                    samples = samples[-gap:]
                else:
                    seconds = f"{abs(gap) / self.rate:.2f} s"
                    back = f"time stamps go back by {seconds}, as where another file was joined to it"
                    self.damage(back if gap < 0 else f"a time stamp jumps by {seconds}")
                    self._anchor += gap
        if position is None or self._resumes is None or position >= self._resumes:
            self._mended, self._resumes = False, None
        self._next += len(samples)
        yield samples

    def _frames_of(self, stamp: int, unit: Fraction) -> int:
        """A time stamp in frames. Most count frames already, and fractions take long."""
        if unit.numerator == 1 and unit.denominator == self.rate:
            return stamp
        return round(stamp * unit * self.rate)

    def _beginning(self, position: int) -> int:
        """Position of the track's first sample, where position is that of the first one that was decoded."""
        first = self.stream.start_time
        if not (self._mended and self._damaged == "keep") or first is None:
            return position
        return min(position, round(first * self.stream.time_base * self.rate))

    def _samples(self, frame: Any) -> Array:
        """The samples of a decoded frame, (frames, channels)."""
        wanted = "dbl" if self._sample == "s64" else self._sample
        # What is probed and what decodes need not agree; and of eight planes PyAV counts nine, and reads beyond them.
        if frame.format.packed.name != wanted or (frame.format.is_planar and self.channels >= _MOST_PLANES):
            import av

            self._resampler = self._resampler or av.AudioResampler(wanted)
            frame = self._resampler.resample(frame)[0]
        array: Array = frame.to_ndarray()
        array = array.T if frame.format.is_planar else array.reshape(-1, self.channels)
        if array.dtype == np.uint8:
            return (array.astype(np.int16) - 128) << 8
        return np.ascontiguousarray(array.astype(self.dtype, copy=False))

    def _on_grid(self, gap: int, length: int, unit: Fraction) -> int:
        """Make a gap whole frames of the codec if the time stamps, in units of seconds, are too coarse to tell."""
        whole = round(gap / length) * length if length else gap
        return whole if abs(gap - whole) <= unit * self.rate / 2 + 1 else gap

    def _silence(self, frames: int) -> Iterator[Array]:
        if frames and not self._mended:
            self.gaps.append((self._next, self._next + frames))
        while frames:
            piece = min(frames, self.rate)
            self._next += piece
            frames -= piece
            yield np.zeros((piece, self.channels), self.dtype)


def _facts(stream: Any) -> TrackFacts:
    context = stream.codec_context
    sample = stream.format.packed.name
    extradata = bytes(context.extradata or b"")
    return TrackFacts(
        codec=context.codec.canonical_name,
        rate=stream.sample_rate,
        channels=len(stream.layout.channels),
        sample=sample,
        depth=lossless_depth(context.codec.canonical_name, sample, extradata),
        bit_rate=vorbis_nominal(extradata) or stream.bit_rate or None,
    )
