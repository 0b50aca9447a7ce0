"""A file that FFmpeg writes: cleaned tracks encoded in time, everything else carried over untouched."""

from __future__ import annotations

import contextlib
import errno
import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from denoise_wrapper.audio import Array
from denoise_wrapper.errors import FileError
from denoise_wrapper.files.codecs import AUDIO_ONLY, TrackPlan, facts_of_subtype, plan_track, same_container
from denoise_wrapper.files.containers import mp4
from denoise_wrapper.files.formats import Wishes
from denoise_wrapper.files.media.encode import Lane, add_lane, choose_layout
from denoise_wrapper.files.media.library import library, open_input, open_output, reason
from denoise_wrapper.files.media.source import MediaSource
from denoise_wrapper.files.media.tracks import Track
from denoise_wrapper.files.media.vorbis import VorbisLane
from denoise_wrapper.files.tags.carried import carried_of

_MOV = {"mov", "mp4", "3gp"}
# Tags that measured the level before, and those that a muxer writes itself.
_STALE = ("replaygain_", "r128_", "itunnorm")
_MEASURED = ("bps", "number_of_", "_statistics_", "duration")  # what mkvmerge says of a stream's coding
_OWN = {"encoder", "major_brand", "minor_version", "compatible_brands", "duration"}
_ATTACHING = {"matroska"}  # muxers that take pictures as attached files
_PICTURED = {*_MOV, "asf", "wv", "tta", "ogg"}  # whose files mutagen writes pictures into
_HEAD = 1 << 16  # bytes in which a file says in which order its parts are
# An MP4 of more seconds than this is written in fragments, which are joined when it is whole: FFmpeg's muxer would keep
# some 90 bytes of memory for each packet. All streams have to begin soon, as the first fragment waits for them.
LONG_S, _SOON_S = 600, 60
_JOINED = {"aac", "alac", "ac3", "eac3", "flac", "libmp3lame", "mp3", "opus", "libopus", "mov_text"}


class MediaTarget:
    """A file being written by FFmpeg, as a target of one track, or of as many as the source has.

    lanes: the encoders of the source's tracks, in their order. notes: what could not be kept, as clauses.
    """

    def __init__(
        self, part: Path, dst: Path, source: Any, muxer: str, wishes: Wishes, stack: contextlib.ExitStack
    ) -> None:
        library(dst)
        import av

        self._dst, self._muxer = dst, muxer
        self.notes: list[str] = []
        self._media = media = source if isinstance(source, MediaSource) else None
        same = media is not None and same_container(dst, media.path)
        self._part, self._same, self._carried = part, same, carried_of(source)
        self._source = source.facts.path
        plans = plan_tracks(source, dst, muxer, wishes)
        self._file = stack.enter_context(open(part, "w+b", buffering=0))  # noqa: SIM115 stack closes it
        options = _options(muxer, source, dst)
        self._index_first = "movflags" in options
        self._unneeded: dict[int, mp4.Runs] | None = None  # by track, where fragments are joined
        if muxer in _MOV and _in_fragments(source, plans):
            self._unneeded, options = {}, {**options, **mp4.OPTIONS}
        self._container = open_output(self._file, muxer, options, part)
        stack.callback(self._abandon)
        self._last: dict[int, int] = {}  # time stamps of the packets last written, by stream
        self._outputs: dict[int, Any] = {}
        self.lanes: list[Lane] = []
        try:
            if media is None:
                self._container.metadata.update(self._carried.for_ffmpeg())
                self.lanes.append(self._lane(plans[0], source))
                self._attach_pictures()
            else:
                self._carry_over(media, plans, same)
        except (av.FFmpegError, ValueError) as error:
            raise FileError(f"{dst} cannot hold what is in {source.facts.path}: {reason(error)}") from error

    def write(self, block: Array) -> None:
        self.lanes[0].write(block)

    def close(self) -> None:
        import av

        if not any(lane.begun for lane in self.lanes):
            raise FileError(f"there is no sound in {self._source}, and nothing is written for it")
        try:
            for lane in self.lanes:
                lane.end()
            self._container.start_encoding()
            self._container.close()
        except av.FFmpegError as error:
            raise self._failure(error) from error
        if self._media is not None:
            self._media.release()
        if self._unneeded is not None:
            with open(self._part, "r+b") as file:
                mp4.join_fragments(file, self._index_first, self._unneeded)
        self.notes += self._carried.finish_media(self._part, self._held, self._same)
        os.fsync(self._file.fileno())

    def _failure(self, error: Exception) -> FileError:
        words = f"cannot write {self._dst}: {reason(error)}"
        return FileError(f"{words}; name a target of another format, such as .mka, .flac or .wav")

    def _writes_pictures(self, same: bool) -> bool:
        """Tell if pictures are written as they were read, so that not even a damaged one is in the way."""
        tags = self._carried.tags
        if tags is None or not tags.pictures or (same and tags.native is None):
            return False
        return self._muxer in _PICTURED or (not same and self._muxer in _ATTACHING)

    def _held(self) -> dict[str, str]:
        """What the finished file says of itself."""
        with contextlib.suppress(FileError), contextlib.ExitStack() as stack:
            container = open_input(self._part, stack)
            return {**container.streams.audio[0].metadata, **container.metadata}
        return {}

    def _attach_pictures(self) -> None:
        """Put pictures into a container that has them as files."""
        tags = self._carried.tags
        for picture in tags.pictures if tags is not None and self._muxer in _ATTACHING else []:
            kind = "png" if picture.mime == "image/png" else "jpg"
            self._container.add_attachment(f"cover.{kind}", picture.mime, picture.data)

    def _abandon(self) -> None:
        """Close what was not finished, which may fail on a full disk."""
        with contextlib.suppress(Exception):
            self._container.close()

    def _lane(self, plan: TrackPlan, track: Any) -> Lane:
        if plan.encoder == "vorbis":
            return VorbisLane(self._container, plan, track, self._mux, self._muxer)
        mask = None if isinstance(track, Track) else self._carried.mask
        if mask is not None and mask.bit_count() != track.channels:
            mask = None
        layout, left = choose_layout(plan, track, mask)
        if left is not None:
            self.notes.append(left)
        if isinstance(track, Track) and (depth := track.facts.depth or 8) % 8 and (plan.depth or 0) > depth:
            self.notes.append(f"its {depth} bits are written as {plan.depth}, as {plan.encoder} is encoded here")
        return add_lane(self._container, plan, track, self._mux, self._muxer, layout)

    def _carry_over(self, media: MediaSource, plans: list[TrackPlan], same: bool) -> None:
        """Make a stream for each of the source's, in their order, and hand on the packets of the others."""
        planned = {track.index: (track, plan) for track, plan in zip(media.tracks, plans, strict=True)}
        chapters, attach = media.container.chapters(), False
        for stream in media.container.streams:
            if stream.index in planned:
                track, plan = planned[stream.index]
                lane = self._lane(plan, track)
                output = lane.stream
                self.lanes.append(lane)
                lane.offset = -round(media.offset * track.rate / 1_000_000)
            elif _is_picture(stream) and self._writes_pictures(same):
                attach = self._muxer in _ATTACHING  # as files; elsewhere they are tags
                continue
            elif _follows(stream, self._dst, same, bool(chapters)):
                try:
                    if self._muxer == "mpegts" and _is_picture(stream):
                        raise ValueError("it would be data of no meaning")
                    output = self._container.add_stream_from_template(stream, opaque=True)
                except ValueError:
                    if same:
                        raise
                    self.notes.append(f"stream {stream.index} ({stream.type}) left out: {self._muxer} cannot hold it")
                    continue
            else:
                continue
            output.metadata.update(_kept(stream.metadata, stream.index in planned))
            with contextlib.suppress(Exception):
                output.disposition = stream.disposition
            if self._muxer in ("mpegts", "mov", "mp4") and stream.id:
                output.id = stream.id
            self._outputs[stream.index] = output
        self._container.metadata.update(_kept(media.container.metadata, True))
        if not same:  # several values of one tag, of which FFmpeg reads the first
            self._container.metadata.update(self._carried.for_ffmpeg())
        if attach:
            self._attach_pictures()
        if chapters:
            self._container.set_chapters(chapters)
        shift = Fraction(-media.offset, 1_000_000)

        def copy(packet: Any) -> None:
            output = self._outputs.get(packet.stream_index)
            if output is None:
                return
            if shift:
                ticks = round(shift / packet.time_base)
                packet.pts = None if packet.pts is None else packet.pts + ticks
                packet.dts = None if packet.dts is None else packet.dts + ticks
            packet.stream = output
            self._mux(packet)

        media.other = copy

    def _mux(self, packet: Any) -> None:
        import av

        index = packet.stream.index
        if packet.dts is None:
            packet.dts = packet.pts
        if packet.dts is not None:
            last = self._last.get(index)
            if last is not None and packet.dts <= last:  # some containers repeat a stamp, no muxer does
                packet.dts = last + 1
                if packet.pts is not None and packet.pts < packet.dts:
                    packet.pts = packet.dts
            self._last[index] = packet.dts
        if self._unneeded is not None and packet.stream.type == "video":
            self._unneeded.setdefault(index + 1, mp4.Runs()).append(int(packet.is_disposable))
        try:
            self._container.mux(packet)
        except av.FFmpegError as error:
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EFBIG):
                raise OSError(error.errno, os.strerror(error.errno)) from error
            raise self._failure(error) from error


def plan_tracks(source: Any, dst: Path, muxer: str, wishes: Wishes) -> list[TrackPlan]:
    """Decide how each track of a source is encoded. Raises FileError if the target cannot hold one."""
    if not isinstance(source, MediaSource):
        facts = facts_of_subtype(source.facts)
        if muxer == "ogg" and source.facts.format == "FLAC":  # in the container that came
            return [plan_track(muxer, replace(facts, codec="flac"), wishes, True, dst)]
        return [plan_track(muxer, facts, wishes, False, dst)]
    same = same_container(dst, source.path)
    return [plan_track(muxer, track.facts, wishes, same, dst) for track in source.tracks]


def _options(muxer: str, source: Any, dst: Path) -> dict[str, str]:
    """Options of a muxer: lengths to the sample, the index where the source has it."""
    options: dict[str, str] = {}
    kind = source.doctype if isinstance(source, MediaSource) and same_container(dst, source.path) else None
    if muxer in _MOV:
        options["movie_timescale"] = str(source.rate)
        if dst.suffix.lower() in (".m4a", ".m4b"):
            options["brand"] = f"{dst.suffix[1:].upper()} "
        elif kind in ("M4A ", "M4B ") and muxer == "mp4":
            options["brand"] = kind
        if not isinstance(source, MediaSource) or _index_first(source.path):
            options["movflags"] = "+faststart"
    if muxer == "mpegts" and (kind == "m2ts" or dst.suffix.lower() in (".m2ts", ".mts")):
        options["mpegts_m2ts_mode"] = "1"
    return options


def _in_fragments(source: Any, plans: list[TrackPlan]) -> bool:
    """Tell if an MP4 is better written in fragments, and made of streams whose fragments can be joined."""
    if 0 < source.total < LONG_S * source.rate or not _JOINED.issuperset(plan.encoder for plan in plans):
        return False
    if not isinstance(source, MediaSource):
        return True
    cleaned = {track.index for track in source.tracks}
    return all(stream.index in cleaned or _joins(stream) for stream in source.container.streams)


def _joins(stream: Any) -> bool:
    """Tell if the packets of a stream that goes through are what its samples in an MP4 are, and begin soon."""
    import av

    if stream.type == "data":
        return bool(stream.discard == av.stream.Discard.all)  # the text of chapters
    if stream.start_time is None or stream.start_time * stream.time_base > _SOON_S:
        return False
    if stream.type == "video":
        return not _is_picture(stream)
    return stream.type in ("audio", "subtitle") and stream.codec_context.codec.canonical_name in _JOINED


def _index_first(path: Path) -> bool:
    with open(path, "rb") as file:
        head = file.read(_HEAD)
    at = 0
    while at + 8 <= len(head):
        size, kind = int.from_bytes(head[at : at + 4], "big"), head[at + 4 : at + 8]
        if kind in (b"moov", b"mdat"):
            return kind == b"moov"
        if size < 8:
            return False
        at += size
    return False


def _follows(stream: Any, dst: Path, same: bool, chapters: bool) -> bool:
    """Tell if a stream that is not cleaned goes into the target."""
    import av

    if stream.type == "data" and (chapters and stream.discard == av.stream.Discard.all):
        return False  # the text of chapters, which the muxer writes itself
    if same:
        return True
    if dst.suffix.lower() in AUDIO_ONLY:
        return stream.type == "audio" or _is_picture(stream)
    return True


def _is_picture(stream: Any) -> bool:
    """Tell if a stream is a picture of what is in the file, as a frame of video or an attached file."""
    import av

    if stream.type == "attachment":
        cover = any(key.lower().startswith("cover art") for key in stream.metadata)  # as an APE tag has it
        return cover or (stream.mimetype or "").startswith("image/")
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def _kept(metadata: dict[str, str], cleaned: bool) -> dict[str, str]:
    """Tags without those that muxers write, and, of what was cleaned, those that measured its level."""
    return {
        key: text
        for key, text in metadata.items()
        if key.lower() not in _OWN and not (cleaned and key.lower().startswith(_STALE + _MEASURED))
    }
