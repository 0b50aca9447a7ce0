"""A file that FFmpeg reads: its tracks decoded side by side, its other streams handed on as they are."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from denoise_wrapper.audio import Array
from denoise_wrapper.errors import FileError
from denoise_wrapper.files.codecs import libsndfile_subtype
from denoise_wrapper.files.containers.mpegts import has_times, missing_packets
from denoise_wrapper.files.containers.ogg import places_behind_damage
from denoise_wrapper.files.containers.pieces import FileBytes
from denoise_wrapper.files.formats import Facts, Wishes
from denoise_wrapper.files.media.library import Complaints, library, listening, open_input, reason, silence
from denoise_wrapper.files.media.measure import measured
from denoise_wrapper.files.media.tracks import Track

_HEAD = 1 << 11  # bytes that tell the kind of a file
_MOST_QUEUED = 8 << 20  # bytes of packets of one track that wait while another one's are looked for
_SHORT = 0.25  # seconds by which a file may end before its header says, as headers round and estimate
_MOST_FAILURES = 1000  # errors without a packet between them, after which the rest of a damaged file is given up
# Demuxers whose length of a stream is exact, and cuts off what the encoder appended.
_EXACT = {"mov,mp4,m4a,3gp,3g2,mj2"}
_PROMISING = {*_EXACT, "matroska,webm", "asf", "wv", "tta", "ape", "flv"}


class MediaSource:
    """A file that FFmpeg reads, as a source of its first chosen audio track, and of all of them.

    tracks: the audio tracks that wishes choose. container: PyAV's. other: called with each packet of the other
    streams as it comes. rate, channels, total, facts: of the first of tracks.
    """

    def __init__(self, path: Path, stack: contextlib.ExitStack, wishes: Wishes, because: str = "") -> None:
        """because: why libsndfile does not read it, as a clause."""
        library(path, because)
        stack.enter_context(listening())
        stack.enter_context(silence())
        self.path, self.container = path, open_input(path, stack)
        self.form: str = self.container.format.name
        chosen = choose_tracks(path, self.container.streams.audio, wishes.track)
        for stream in chosen:
            if stream.codec_context is None:
                raise FileError(f"{path} holds a track of a codec that FFmpeg cannot decode; convert it first")
        names = {self.form, *(stream.codec_context.name for stream in chosen)}
        self._complaints = Complaints(names)
        self._damaged = wishes.damaged
        self.tracks = [Track(path, stream, self._complaints, wishes.damaged, self.form in _EXACT) for stream in chosen]
        measured(path, self.tracks, self.form)
        self._by_index = {track.index: track for track in self.tracks}
        self.other: Callable[[Any], None] = lambda packet: None
        for track in self.tracks:
            track.pump = self._pump
            track.clock = self.offset / 1_000_000
            if not track.total and self.container.duration:
                track.total = round(self.container.duration / 1_000_000 * track.rate)
        self._note_breaks()
        first = self.tracks[0]
        self.rate, self.channels, self.total = first.rate, first.channels, first.total
        subtype = libsndfile_subtype(first.facts)
        self.facts = Facts(path, self.rate, self.channels, self.total, path.stat().st_size, None, subtype)
        self._packets: Iterator[Any] | None = None
        self._ended = False
        self._end = 0.0  # seconds, of the packet that ends last

    def blocks(self, size: int) -> Iterator[Array]:
        """The first track alone; no packet of another one is kept."""
        self._by_index = {self.tracks[0].index: self.tracks[0]}
        return self.tracks[0].blocks(size)

    def release(self) -> None:
        """Give up FFmpeg's tables, as there is no more to be read."""
        self.container.close()

    @property
    def doctype(self) -> str | None:
        """The kind of a Matroska, MP4, MOV or MPEG-TS file by its first bytes: "webm", "M4A ", "qt  ", "m2ts" ...

        None of other files.
        """
        with open(self.path, "rb") as file:
            head = file.read(_HEAD)
        if self.form == "mpegts":
            return "m2ts" if has_times(head) else "ts"
        if self.form == "matroska,webm":
            return "webm" if b"webm" in head[:64] else "matroska"
        if self.form in _EXACT:
            return head[8:12].decode("latin-1") if head[4:8] == b"ftyp" else "qt  "
        return None

    @property
    def metadata(self) -> dict[str, str]:
        """Texts about the file, and about its first track."""
        return {**self.tracks[0].stream.metadata, **self.container.metadata}

    def pictures(self) -> list[tuple[str, bytes]]:
        """Pictures of what is in the file, such as covers: (MIME type, bytes)."""
        import av

        found: list[tuple[str, bytes]] = []
        with contextlib.ExitStack() as stack:
            container = open_input(self.path, stack)
            for stream in container.streams:
                if stream.type == "attachment" and (stream.mimetype or "").startswith("image/"):
                    found.append((stream.mimetype, bytes(stream.data)))
                elif stream.disposition & av.stream.Disposition.attached_pic:
                    with contextlib.suppress(av.FFmpegError):  # a damaged picture keeps no sound from being cleaned
                        data = bytes(next(iter(container.demux(stream)), b""))
                        found += [("image/png" if data[:4] == b"\x89PNG" else "image/jpeg", data)] if data else []
        return found

    @property
    def offset(self) -> int:
        """Microseconds that all time stamps are moved back by: containers whose clock begins anywhere."""
        return int(self.container.start_time or 0) if self.form in ("mpegts", "mpeg") else 0

    def _note_breaks(self) -> None:
        """Let tracks know where packets of theirs are missing, which FFmpeg does not say where whole frames are.

        Of Ogg, which was looked through before and refused for that, only where it is read all the same.
        """
        in_ogg = self.form == "ogg" and self._damaged != "stop"
        if self.form != "mpegts" and not in_ogg:
            return
        with open(self.path, "rb", buffering=0) as file:
            numbers = {track.stream.id for track in self.tracks}
            if in_ogg:
                places = dict.fromkeys(numbers, places_behind_damage(FileBytes(file)))
            else:
                places = missing_packets(file, numbers)
        for track in self.tracks:
            track.breaks.extend(places[track.stream.id])

    def _pump(self, track: Track) -> bool:
        """Read packets until there is one for track, or too much waits for another; False at the end of the file."""
        while not track.packets and not self._ended:
            if any(each.queued > _MOST_QUEUED for each in self.tracks):
                return True
            packet = self._read()
            if packet is None:
                self._ended = True
                self._check_end(track)
            elif packet.stream.index in self._by_index:  # stream_index is wrong of packets that flush
                self._by_index[packet.stream.index].push(packet)
            elif packet.size:
                self.other(packet)
        return bool(track.packets)

    def _read(self) -> Any:
        """The next packet, None at the end; those that only flush a decoder come last."""
        import av

        for _ in range(_MOST_FAILURES):
            if self._packets is None:
                self._packets = self.container.demux()
            try:
                with self._complaints.watch():
                    packet = next(self._packets, None)
            except av.FFmpegError as error:
                self._packets = None
                self._damage(reason(error))
                continue
            complaint = self._complaints.clear()
            if complaint is not None:
                self._damage(complaint)
            if packet is not None and packet.pts is not None and packet.size:
                unit = packet.time_base
                end = (packet.pts + (packet.duration or 0)) * unit.numerator / unit.denominator
                self._end = max(self._end, end)
            return packet
        return None

    def _damage(self, what: str) -> None:
        """Damage of the container, which each track meets where it is."""
        latest = max(self.tracks, key=lambda track: track.seconds)
        latest.damage(what)
        for track in self.tracks:
            if track is not latest:
                track.damage(what)

    def _check_end(self, track: Track) -> None:
        """Compare the end with what the header promises."""
        promised = (self.container.duration or 0) / 1_000_000
        if self.form in _PROMISING and promised - max(self._end, track.seconds) > _SHORT:
            track.damage(f"it promises {promised:.2f} s and holds {self._end:.2f} s")
            for each in self.tracks if self._damaged == "keep" else ():
                each.promised = each.total
        elif (missing := _missing(self.path)) > 0:
            track.damage(f"it promises {missing} bytes more than it holds")


def _missing(path: Path) -> int:
    """Bytes that a RIFF file, an AVI or WAV, lacks of what its header promises."""
    with open(path, "rb") as file:
        head, size = file.read(12), file.seek(0, 2)
    promised = int.from_bytes(head[4:8], "little")
    known = head[:4] == b"RIFF" and 0 < promised < 0x7FFF0000
    return max(0, promised + 8 - size) if known else 0


def choose_tracks(path: Path, streams: Any, wish: str) -> list[Any]:
    """Choose audio tracks: "all", a number from 1, or a language as the file has it. Raises FileError for none."""
    if wish == "all":
        return list(streams)
    if wish.isdecimal():
        chosen = [stream for number, stream in enumerate(streams, 1) if number == int(wish)]
    else:
        chosen = [stream for stream in streams if stream.language == wish]
    if not chosen:
        tracks = ", ".join(f"{number} ({stream.language or 'und'})" for number, stream in enumerate(streams, 1))
        raise FileError(f"{path} has no audio track {wish!r} (--track); it has {tracks}")
    return chosen
