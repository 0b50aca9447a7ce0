"""What would become of a file, in words, before anything is written."""

from __future__ import annotations

import contextlib
from pathlib import Path

from denoise_wrapper.files.formats import Wishes, choose_format
from denoise_wrapper.files.media.source import MediaSource
from denoise_wrapper.files.media.target import plan_tracks
from denoise_wrapper.files.soundfiles import check_holds
from denoise_wrapper.files.transform import open_source, target_muxer
from denoise_wrapper.wording import count


def preview(src: Path, dst: Path, wishes: Wishes) -> list[str]:
    """Describe the target of a file: a line for it, then one for each of its streams. Raises as cleaning it would."""
    with contextlib.ExitStack() as stack:
        source = open_source(src, stack, wishes)
        muxer = target_muxer(dst, source, wishes)
        if muxer is None:
            form, subtype, _ = choose_format(dst, source.facts, wishes)
            check_holds(dst, source, form, subtype)
            what = f"{form} {subtype}, {count(source.channels, 'channel')} of {source.rate} Hz"
            return [f"{src} -> {dst}: {what}", f"from {source.facts.format or 'FFmpeg'} {source.facts.subtype or ''}"]
        plans = plan_tracks(source, dst, muxer, wishes)
        lines = [f"{src} -> {dst}: {muxer}, " + "; ".join(plan.describe() for plan in plans)]
        if not isinstance(source, MediaSource):
            return [*lines, f"from {source.facts.format} {source.facts.subtype}"]
        planned = {track.index: (track, plan) for track, plan in zip(source.tracks, plans, strict=True)}
        for stream in source.container.streams:
            if stream.index in planned:
                track, plan = planned[stream.index]
                rate = f", {track.facts.bit_rate / 1000:.4g} kbit/s" if track.facts.bit_rate else ""
                what = f"{track.facts.codec}{rate}, {count(track.channels, 'channel')} of {track.rate} Hz"
                lines.append(f"stream {stream.index}: {what}: cleaned, {plan.describe()}")
            else:
                lines.append(f"stream {stream.index}: {stream.type} {stream.name or ''}: as it is")
        return lines
