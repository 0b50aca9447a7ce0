"""Bit rates of audio streams alone, which few containers name."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from denoise_wrapper.files.media.library import open_input

if TYPE_CHECKING:
    from denoise_wrapper.files.codecs import TrackFacts
    from denoise_wrapper.files.media.tracks import Track

_ENOUGH = 1_200  # seconds of a file that are looked through
# Demuxers that name the bit rate of each stream, by its bytes or in the stream itself.
_NAMING = {"mov,mp4,m4a,3gp,3g2,mj2"}
_VARIABLE = {"mp3", "opus"}  # codecs whose packets tell the mode by their sizes


def _is_named(facts: TrackFacts, form: str) -> bool:
    """Tell if the file names the bit rate, and there is no more to know."""
    by_container = form in _NAMING and facts.codec not in _VARIABLE
    return bool(facts.bit_rate) and (by_container or facts.codec == "vorbis")


def measured(path: Path, tracks: list[Track], form: str) -> None:
    """Complete the facts of lossy tracks: their bit rate, and whether it is constant."""
    wanted = [track for track in tracks if track.facts.lossy and not _is_named(track.facts, form)]
    if not wanted:
        return
    import av
    import av.logging

    sizes: dict[int, list[int]] = {track.index: [] for track in wanted}
    spans: dict[int, float] = dict.fromkeys(sizes, 0.0)
    with contextlib.ExitStack() as stack:
        container = open_input(path, stack)
        chosen = [container.streams[track.index] for track in wanted]
        for stream in container.streams:
            if stream not in chosen:
                stream.discard = av.stream.Discard.all
        with contextlib.suppress(av.FFmpegError), av.logging.Capture():  # who decodes will say so
            for packet in container.demux(chosen):
                if packet.size:
                    sizes[packet.stream_index].append(packet.size)
                    spans[packet.stream_index] += float((packet.duration or 0) * packet.time_base)
                    if min(spans.values()) > _ENOUGH:
                        break
    for track in wanted:
        span, counts = spans[track.index], sizes[track.index]
        if span > 0:
            body = counts[1:-1] or counts
            track.facts = dataclasses.replace(
                track.facts, bit_rate=round(8 * sum(counts) / span), constant=max(body) - min(body) <= 1
            )
