"""The page: clips, numbers and pictures of a comparison in one HTML file that needs nothing else."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from denoise_wrapper import __version__
from denoise_wrapper.compare.clips.clip import Clip
from denoise_wrapper.compare.comparison import Comparison, Track
from denoise_wrapper.compare.measure.measures import NEITHER, QUALITY, Measure
from denoise_wrapper.compare.report import images, sound, tables, words
from denoise_wrapper.compare.report.clips import DrawnClip, DrawnTrack
from denoise_wrapper.compare.report.plots import DrawnPlot
from denoise_wrapper.compare.statistics import verdicts
from denoise_wrapper.compare.tables import problems
from denoise_wrapper.wording import END_ISOLATE, ISOLATE, count, visible

FOLDER = Path(__file__).parent
STYLES = ("report.css", "player.css")
SCRIPTS = ("deck.js", "trials.js", "desk.js", "player.js", "blind.js")  # each needs some of those before it
_MODES = {"file": "whole files", "stream": "streams, in buffers of 20 ms"}
_STEPS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)  # s, of the time axis
_MOST_TICKS = 11
_SHORT = {
    "SIG": "SIG", "BAK": "BAK", "OVRL": "OVRL", "LFLSD": "LSD low", "HFLSD": "LSD high", "PAUSES": "pauses",
    "SPEECH": "speech",
}  # fmt: skip
_GAIN = Measure("gain", "dB", 1, NEITHER, "by which its level was changed")
_DELAY = Measure("delay", "ms", 1, NEITHER, "by which this clip lagged by itself")
_TRACK_HEIGHT, _AXIS_HEIGHT = 180, 30  # pixels, about: what tracks take on the page before they are laid out


def render(
    comparison: Comparison,
    drawn: Sequence[DrawnClip],
    drawn_plots: Mapping[str, Sequence[DrawnPlot]],
    title: str,
    audio: str,
) -> str:
    """The whole page. drawn: of each clip. drawn_plots: of "cost", "ratio" and "gain". audio: "opus" or "flac"."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER), autoescape=True, undefined=jinja2.StrictUndefined, finalize=_readable
    )
    return environment.get_template("report.html").render(
        version=__version__,
        title=title,
        css=_own(*STYLES),
        theme=_own("theme.js"),
        scripts=[_own(name) for name in SCRIPTS],
        about=_about(comparison),
        facts=list(_facts(comparison, audio)),
        **_results(comparison),
        cost_plots=_gallery(drawn_plots["cost"]),
        ratio_plots=_gallery(drawn_plots["ratio"]),
        gain_plots=_gallery(drawn_plots["gain"]),
        tops=" or ".join(dict.fromkeys(f"{images.top_hz(clip.rate) / 1000:g} kHz" for clip in comparison.clips)),
        range_db=f"{images.RANGE_DB:g}",
        gradient=_gradient(),
        clips=[_clip(comparison, number, drawing) for number, drawing in enumerate(drawn)],
        data=_data(comparison, drawn, title),
        sounds=list(_sounds(drawn, audio)),
    )


def _readable(value: Any) -> Any:
    """A value of the template, without characters that act; names in it are isolated already."""
    own = not isinstance(value, str) or hasattr(value, "__html__")
    return value if own else visible(value, keep=f"\n{ISOLATE}{END_ISOLATE}")


def _gallery(drawn: Sequence[DrawnPlot]) -> list[dict[str, Any]]:
    return [{**vars(plot), "light": _uri(plot.light), "dark": _uri(plot.dark)} for plot in drawn]


def _own(*names: str) -> Any:
    """Files of this package as they are: they are no one else's words."""
    import markupsafe

    return markupsafe.Markup("\n".join((FOLDER / name).read_text(encoding="utf-8").strip() for name in names))


def _results(comparison: Comparison) -> dict[str, Any]:
    """The tables and sentences."""
    best = verdicts(comparison)
    everything = comparison.groups()["all"]
    caption = f"Means of {count(len(everything), 'clip')} and their 95 % intervals"
    return {
        "sentences": words.sentences(comparison, best),
        "problems": list(problems(comparison)),
        "winners": {"caption": "Who is best at what", "rows": tables.winners(comparison, best)},
        "means": tables.means(comparison, everything, best, caption),
        "groups": tables.groups(comparison),
        "pairs": tables.pairs(comparison),
        "costs": tables.costs(comparison, best),
        "cost_note": _cost_note(comparison),
    }


def _about(comparison: Comparison) -> str:
    candidates = count(len(comparison.candidates), "candidate")
    how = f"cleaned as {_MODES.get(comparison.mode, comparison.mode)}"
    day = comparison.date.replace("T", " ")[:16]
    return f"{count(len(comparison.clips), 'clip')}, {candidates}, {how}; {day}; {comparison.processor}"


def _facts(comparison: Comparison, audio: str) -> Iterator[tuple[str, str]]:
    yield "inputs", ", ".join(comparison.inputs)
    yield "date", comparison.date
    yield "processor", comparison.processor
    matched = "all tracks of a clip made equally loud before they were measured"
    yield "levels", matched if comparison.level_matched else "as each candidate gave them back"
    kept = {
        "opus": "Ogg Opus, 64 kbit/s a channel, 96 for clips of 48 kHz and of rates that Opus does not know",
        "flac": "FLAC, lossless to 24 bits",
    }
    yield "audio in this page", f"{kept[audio]}; all was measured on the uncompressed audio"
    for result in comparison.results:
        yield result.name, result.description
        for file, digest in result.model_sha256.items():
            yield f"SHA-256 of {file}", digest


def _cost_note(comparison: Comparison) -> str:
    if not any(result.cost is not None for result in comparison.results):
        return "No costs were measured: the candidates were cleaned by other programs."
    return (
        f"Measured on one thread of {comparison.processor}. RTF: seconds of computing a second of audio, so 0.01 is a "
        "hundred times faster than real time."
    )


def _gradient() -> str:
    """The colours of the spectrograms, for CSS."""
    return ", ".join("#" + bytes(images.colour_table()[at]).hex() for at in range(0, 256, 17))


def _clip(comparison: Comparison, number: int, drawn: DrawnClip) -> dict[str, Any]:
    clip = comparison.clips[number]
    tracks = [result.tracks[number] for result in comparison.results]
    best = _best_values([result.tracks[number] for result in comparison.candidates])
    return {
        "number": number,
        "id": clip.id,
        "about": _clip_about(clip),
        "notes": list(_notes(clip, drawn)),
        "height": _AXIS_HEIGHT + _TRACK_HEIGHT * len(drawn.tracks),
        "data_seconds": repr(drawn.seconds),
        "hz": [
            {"text": images.format_hz(hz), "top": f"{100.0 * (1.0 - images.height_of(hz, clip.rate)):.2f}"}
            for hz in images.ticks_hz(clip.rate)
        ],
        "ticks": _time_ticks(drawn.seconds),
        "tracks": [
            _track(clip, drawing, tracks[at] if at < len(tracks) else None, best)
            for at, drawing in enumerate(drawn.tracks)
        ],
    }


def _clip_about(clip: Clip) -> str:
    ratio = "" if clip.snr_db is None else f"{clip.snr_db:g} dB, "
    return f"{ratio}{clip.seconds:.2f} s, {clip.rate / 1000:g} kHz"


def _notes(clip: Clip, drawn: DrawnClip) -> Iterator[str]:
    if clip.problem:
        yield f"There is no reference: {clip.problem}"
    if drawn.seconds < clip.seconds:
        yield f"Only the first {drawn.seconds:g} s are shown and played; all {clip.seconds:.0f} s were measured."
    if drawn.scale_db < 0.0:
        yield (
            f"A track passes full scale, so all of this clip's tracks are played {-drawn.scale_db:.1f} dB quieter than "
            "they are."
        )


def _best_values(tracks: Sequence[Track]) -> dict[str, float]:
    """The best value of each measure, of those that at least two candidates have."""
    best = {}
    for name, measure in QUALITY.items():
        known = [value for value in (track.value(name) for track in tracks) if not math.isnan(value)]
        if len(known) > 1 and measure.better != NEITHER:
            best[name] = min(known, key=measure.cost)
    return best


def _track(clip: Clip, drawn: DrawnTrack, track: Track | None, best: dict[str, float]) -> dict[str, Any]:
    """A track for the template. track: None for the reference, which has no values."""
    name = f"{drawn.name} on {clip.id}"
    values = [] if track is None else list(_values(track, best))
    return {
        "name": drawn.name,
        "key": drawn.key,
        "error": drawn.error,
        "measured": values,
        "reasons": [] if track is None else [text for text in track.faults() if text != track.error],
        "spectrogram": _uri(drawn.spectrogram),
        "waveform": _uri(drawn.waveform),
        "spectrogram_alt": f"Spectrogram of {name}: {drawn.filled:.0%} of it is within {images.RANGE_DB:g} dB of the "
        "loudest spot of the clip's tracks",
        "waveform_alt": f"Waveform of {name}: "
        + (
            f"its loudest sample is {drawn.peak:.2f} of full scale, its RMS {drawn.rms_db:.0f} dBFS"
            if drawn.peak
            else "silence"
        ),
    }


def _values(track: Track, best: dict[str, float]) -> Iterator[dict[str, Any]]:
    for name, measure in QUALITY.items():
        value = track.value(name)
        if not math.isnan(value):
            yield {
                "label": _SHORT.get(name, measure.label),
                "what": f"{measure.label}: {measure.what}",
                "text": words.number(value, measure),
                "best": value == best.get(name),
            }
    for measure, value in ((_GAIN, track.gain_db), (_DELAY, track.delay_ms or 0.0)):
        if value:
            text = words.number(value, measure, signed=True)
            yield {"label": measure.label, "what": measure.what, "text": text, "best": False}


def _time_ticks(seconds: float) -> list[dict[str, str]]:
    step = next((step for step in _STEPS if seconds / step <= _MOST_TICKS), _STEPS[-1])
    return [
        {"text": f"{number * step:g} s", "left": f"{100.0 * number * step / seconds:.3f}"}
        for number in range(int(seconds / step + 1e-9) + 1)
        if number * step <= 0.97 * seconds
    ]


def _uri(data: bytes | None) -> str | None:
    """A WebP picture as the page holds it."""
    return None if data is None else f"data:image/webp;base64,{sound.to_base64(data)}"


def _data(comparison: Comparison, drawn: Sequence[DrawnClip], title: str) -> Any:
    """The clips as the scripts know them, as JSON that cannot end its element."""
    import markupsafe

    clips = [
        {
            "id": comparison.clips[number].id,
            "seconds": clip.seconds,
            "tracks": [
                {
                    "track": at,
                    "name": track.name,
                    "key": track.key,
                    "audio": _audio_id(number, at) if track.audio is not None else None,
                    "loudness_db": round(track.loudness_db, 3),
                    "error": None if track.error is None else visible(track.error),
                }
                for at, track in enumerate(clip.tracks)
            ],
        }
        for number, clip in enumerate(drawn)
    ]
    digest = hashlib.sha256(repr((comparison, clips)).encode("utf-8", "replace")).hexdigest()
    content = {"title": visible(title), "report": digest[:16], "clips": clips}
    text = json.dumps(content, ensure_ascii=True, allow_nan=False)
    for char in "<>&":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return markupsafe.Markup(text)


def _audio_id(clip: int, track: int) -> str:
    return f"audio-{clip}-{track}"


def _sounds(drawn: Sequence[DrawnClip], audio: str) -> Iterator[dict[str, Any]]:
    for number, clip in enumerate(drawn):
        for at, track in enumerate(clip.tracks):
            if track.audio is not None:
                data = sound.to_base64(track.audio)
                yield {"id": _audio_id(number, at), "type": sound.TYPES[audio], "data": data}
