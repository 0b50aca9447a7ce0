"""Audio in memory: arrays, bytes and AudioSegment to float32 frames and back, at the scale that their type says."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from denoise_wrapper._native import ffi, lib
from denoise_wrapper.arguments import shown, warn_caller, whole
from denoise_wrapper.errors import AudioError

Array = NDArray[Any]
Float32 = NDArray[np.float32]

MIN_RATE, MAX_RATE = 1_000, 768_000  # Hz
MAX_CHANNELS = 256
# Full scale is 1: a float sample beyond this is taken for damage, like NaN. The engine takes what it is resampled to.
LOUDEST = 1e5
OVER_SCALE = 16.0  # 24 dB over full scale: what somebody mixed too loud stays below, numbers of int16 do not

# Type of a sample, in either byte order -> what is full scale, and the most that float32 can hold below it; None for
# floats, which have 1 and no limit.
_SCALES: dict[np.dtype[Any], tuple[np.float32, np.float32] | None] = {
    np.dtype(order + code): scale
    for order in "<>"
    for code, scale in (
        ("i2", (np.float32(2**15), np.float32(2**15 - 1))),
        ("i4", (np.float32(2**31), np.float32(2**31 - 2**7))),
        ("f4", None),
        ("f8", None),
    )
}
NUMBERS = {  # what C calls types in the machine's own byte order
    np.dtype(np.int16): lib.DN_INT16,
    np.dtype(np.int32): lib.DN_INT32,
    np.dtype(np.float32): lib.DN_FLOAT,
    np.dtype(np.float64): lib.DN_DOUBLE,
}
_FLOAT32 = np.dtype(np.float32)
_MOST_POWER = LOUDEST * LOUDEST
_WANTED = "int16, int32, float32 or float64"
_ADVICE = {
    "f2": "use audio.astype(np.float32)",
    "f16": "use audio.astype(np.float64)",
    "u1": "for unsigned 8-bit audio use (audio.astype(np.int16) - 128) * 256",
    "i1": "for signed 8-bit audio use audio.astype(np.int16) * 256",
    "u2": "for unsigned 16-bit audio use (audio.astype(np.int32) - 32768).astype(np.int16)",
    "i8": "use .astype(np.int16) or .astype(np.int32), whichever scale the values have",
    "c8": "audio is real; use audio.real if the imaginary part means nothing",
    "c16": "audio is real; use audio.real if the imaginary part means nothing",
    "b1": "truth values are no audio",
}


@dataclass(frozen=True)
class Clip:
    """A whole clip as an array, and the way back to the kind of object that it came as.

    samples: (frames,) or (frames, channels) of a supported type. sample_rate: Hz, or None if the object had none.
    repack: makes an object of the first kind of an array like samples (of any number of frames).
    """

    samples: Array
    sample_rate: int | None
    repack: Callable[[Array], Any]


def check_rate(sample_rate: object) -> int:
    """Return the sampling rate as an int. Raises AudioError for what is no number of Hz, or an absurd one."""
    rate: object = sample_rate
    if isinstance(rate, float | np.floating) and float(rate).is_integer():
        rate = int(rate)
    hertz = whole(rate)
    if hertz is None or not MIN_RATE <= hertz <= MAX_RATE:
        raise AudioError(f"sample_rate is a whole number of Hz, {MIN_RATE} to {MAX_RATE}, not {shown(sample_rate)}")
    return hertz


def check_channels(channels: object) -> int:
    """Return the number of channels as an int. Raises AudioError unless it is 1 to MAX_CHANNELS."""
    count = whole(channels)
    if count is None or not 1 <= count <= MAX_CHANNELS:
        raise AudioError(f"channels is a whole number, 1 to {MAX_CHANNELS}, not {shown(channels)}")
    return count


def check_type(dtype: DTypeLike) -> np.dtype[Any]:
    """Return the dtype, if it is one that audio may have here. Raises AudioError that says what to do instead."""
    try:
        kind = np.dtype(dtype)
    except Exception as error:  # NumPy has many kinds for what is no type
        raise AudioError(f"dtype is {_WANTED}, not {shown(dtype)}") from error
    if kind not in _SCALES:
        advice = _ADVICE.get(f"{kind.kind}{kind.itemsize}", f"convert it to {_WANTED} first")
        raise AudioError(f"samples are {_WANTED}, not {kind.name}; {advice}")
    return kind


def check_layout(audio: Array, channels: int | None = None) -> int:
    """Return the number of channels of an array of audio, which is (frames,) or (frames, channels).

    channels: how many there must be; None for what the shape says, where more channels than frames mean that the
    array lies on its side. Raises AudioError that says what to do.
    """
    shape = audio.shape
    if audio.ndim == 1:
        if channels not in (None, 1):
            raise AudioError(f"audio of {channels} channels has shape (frames, {channels}), not {shape}")
        return 1
    if audio.ndim != 2:
        raise AudioError(f"audio has shape (frames,) or (frames, channels), not {shape}")
    frames, wide = shape
    if channels is None:
        if wide > max(2, frames) and frames > 0:
            raise AudioError(f"audio is (frames, channels), and {shape} looks like (channels, frames); use audio.T")
        return check_channels(wide)
    if wide != channels:
        fix = "; use audio.T" if frames == channels else ""
        raise AudioError(f"audio of {channels} channels has shape (frames, {channels}), not {shape}{fix}")
    return channels


def as_array(audio: object, channels: int | None = None) -> Array:
    """Return audio as an array of a supported type and layout, not copied. Raises AudioError that says what to do."""
    if not isinstance(audio, np.ndarray):
        raise AudioError(f"audio is a NumPy array, bytes or a pydub.AudioSegment, not {_came(audio)}")
    if isinstance(audio, np.ma.MaskedArray):
        raise AudioError("audio is a masked array, whose mask would be lost; use audio.filled(0)")
    if audio.dtype not in _SCALES:
        check_type(audio.dtype)
    check_layout(audio, channels)
    return audio if type(audio) is np.ndarray else np.asarray(audio)


def _came(audio: object) -> str:
    """Say what came in place of audio, and what to do with it."""
    if isinstance(audio, tuple) and len(audio) == 2:
        rate, data = audio if isinstance(audio[1], np.ndarray) else (audio[1], audio[0])
        if isinstance(data, np.ndarray) and np.ndim(rate) == 0:
            order = "rate, data" if data is audio[1] else "data, rate"
            return f"a tuple ({order}); use filter(data, sample_rate=rate)"
    if isinstance(audio, str | os.PathLike):
        return f"{type(audio).__name__} {shown(audio)}, a path; filter_file cleans files"
    if hasattr(audio, "read"):
        return (
            f"a file object, {type(audio).__name__}; filter_file takes its path, filter what soundfile.read makes of it"
        )
    if isinstance(audio, list | tuple | range):
        return (
            f"a {type(audio).__name__}; use np.asarray(audio, dtype=np.float32) for a sequence of numbers within +-1, "
            "np.int16 for one within +-32768"
        )
    return f"{type(audio).__name__}; use np.asarray(audio, dtype=np.float32) for numbers within +-1"


def check_scale(samples: Array, where: object = None) -> bool:
    """Warn if floats are numbers of int16 or the like, where full scale is 1. True once the samples have told.

    samples: the beginning of a signal, or what follows as long as the answer is False; any shape and type. where: the
    file that they are from, if it is one. Numbers of int16 are whole, so a signal with something within +-1 but zero is
    no such.
    """
    if samples.dtype.kind != "f":
        return True
    with np.errstate(invalid="ignore"):  # a signalling NaN, which is told of later
        if not samples.any():  # which is quick, as silence may last
            return False
        sizes = np.abs(samples)
        if not np.any(sizes > OVER_SCALE):
            return bool(np.any((sizes > 0) & (sizes < 1)))
    warn_caller(
        f"{'' if where is None else f'{where}: '}floats beyond +-{OVER_SCALE:g} came, where full scale is +-1: they "
        "look like int16 numbers in a float array, which are not cleaned well; give audio / 32768, or "
        "audio.astype(np.int16)"
    )
    return True


def to_float(audio: Array, non_finite: str = "raise", position: int = 0) -> Float32:
    """Convert samples to float32 frames, full scale +-1.

    audio: (frames,) or (frames, channels), of a supported type. non_finite: "raise", or "zero" to put zero in the
    place of each sample that is NaN, infinite or beyond LOUDEST. position: of the first frame, for the error message.
    Returns (frames, channels), C-contiguous, perhaps a view of audio. Raises AudioError saying where the first bad
    sample is.
    """
    samples = audio if audio.ndim == 2 else audio.reshape(-1, 1)
    scale = _SCALES[audio.dtype]
    if scale is not None:
        return np.multiply(samples, 1 / scale[0], dtype=np.float32, order="C")
    if audio.dtype.itemsize == 8:
        with np.errstate(over="ignore", invalid="ignore"):
            samples = samples.astype(np.float32)
    frames = np.ascontiguousarray(samples, np.float32)
    # The sum of squares is within the limit only if each sample is: one cheap pass tells that all is well.
    if np.vdot(frames, frames) <= _MOST_POWER:
        return frames
    return _mend(frames, non_finite, position)


def _mend(frames: Float32, non_finite: str, position: int) -> Float32:
    """Return frames as they are if no sample is bad, else mended; or raise AudioError."""
    bad = ~(np.abs(frames) <= LOUDEST)
    if not bad.any():
        return frames
    if non_finite == "zero":
        return np.where(bad, np.float32(0), frames)
    frame, channel = (int(index) for index in np.argwhere(bad)[0])
    where = f"frame {position + frame}" + (f", channel {channel}" if frames.shape[1] > 1 else "")
    raise AudioError(
        f"{int(bad.sum())} of {bad.size} samples are not finite or beyond +-{LOUDEST:g}; the first, "
        f'{frames[frame, channel]}, is at {where}; floats have full scale +-1; non_finite="zero" replaces such samples'
    )


def from_float(frames: Float32, dtype: np.dtype[Any], ndim: int = 2) -> Array:
    """Convert float32 frames to samples of a type; integers are rounded and clipped, floats are left beyond full scale.

    frames: (frames, channels), may be overwritten. ndim: 1 gives (frames,) of a single channel.
    """
    scale = _SCALES[dtype]
    if scale is None:
        samples: Array = frames if dtype == _FLOAT32 else frames.astype(dtype)
    elif dtype.itemsize == 2:
        samples = round_to(frames, 16).astype(dtype, copy=False)
    else:
        frames *= scale[0]
        np.rint(frames, out=frames)
        np.clip(frames, -scale[0], scale[1], out=frames)
        samples = frames.astype(dtype)
    return samples.reshape(-1) if ndim == 1 else samples


def round_to(samples: Array, depth: int, out: Array | None = None) -> Array:
    """Round samples to so many bits, halves to even, and clip them.

    samples: of a supported type, any shape. depth: 8 to 32. Returns an array of int16 for a depth up to 16 and of int32
    above, of full scale in that type, with zeros below the depth; NaN becomes 0. out: of that type and shape, for what
    is rounded, C-contiguous.
    """
    kind, bits = (np.int16, 16) if depth <= 16 else (np.int32, 32)
    if samples.dtype == kind and depth == bits:
        return samples
    number, flags = NUMBERS.get(samples.dtype), samples.flags
    if number is None or not (flags.c_contiguous and flags.aligned):
        samples = np.require(samples, samples.dtype.newbyteorder("="), ["C", "A"])
        number = NUMBERS[samples.dtype]
    made: Array = np.empty(samples.shape, kind) if out is None else out
    lib.dn_round_samples(number, ffi.from_buffer(samples), samples.size, depth, ffi.from_buffer(made))
    return made


def unpack(audio: object, sample_rate: int | None, channels: int | None, dtype: DTypeLike | None) -> Clip:
    """Return a clip of any kind as an array: ndarray, bytes (also bytearray and memoryview), or pydub.AudioSegment.

    Bytes need sample_rate, channels and dtype, as they say nothing themselves.
    Raises AudioError that says what to do.
    """
    rate = None if sample_rate is None else check_rate(sample_rate)
    if channels is not None:
        check_channels(channels)
    if isinstance(audio, bytes | bytearray | memoryview):
        return _unpack_bytes(audio, rate, channels, dtype)
    if is_segment(audio):
        return _unpack_segment(audio, rate, channels, dtype)
    if is_tensor(audio):
        return _unpack_tensor(audio, rate, channels, dtype)
    samples = as_array(audio, channels)
    if dtype is not None and check_type(dtype) != samples.dtype:
        raise AudioError(f"the array is {samples.dtype}, not {np.dtype(dtype)}; leave dtype out, it says so itself")
    return Clip(samples, rate, lambda cleaned: cleaned)


def _unpack_bytes(
    audio: bytes | bytearray | memoryview, rate: int | None, channels: int | None, dtype: DTypeLike | None
) -> Clip:
    """Unpack interleaved PCM in native byte order, or in the order that dtype names."""
    if rate is None or channels is None or dtype is None:
        facts = {"sample_rate": rate, "channels": channels, "dtype": dtype}
        missing = ", ".join(name for name, value in facts.items() if value is None)
        raise AudioError(f"bytes do not say what they hold; give {missing} too, as in dtype='int16'")
    kind = check_type(dtype)
    whole = kind.itemsize * channels
    raw = audio.tobytes() if isinstance(audio, memoryview) else audio
    if len(raw) % whole:
        raise AudioError(
            f"{len(raw)} bytes are not a whole number of frames of {channels} x {kind.itemsize} bytes; "
            "check channels and dtype, or cut the odd bytes off"
        )
    samples = np.frombuffer(raw, dtype=kind)
    if channels > 1:
        samples = samples.reshape(-1, channels)
    make = bytearray if isinstance(audio, bytearray) else bytes
    return Clip(samples, rate, lambda cleaned: make(cleaned.tobytes()))


def is_tensor(audio: object) -> bool:
    """Tell if audio is a torch.Tensor, without importing torch: who holds one has imported it."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(audio, torch.Tensor)


def _unpack_tensor(tensor: Any, rate: int | None, channels: int | None, dtype: DTypeLike | None) -> Clip:
    """Unpack a tensor, (frames,), or (channels, frames) as torchaudio has it, of any device."""
    if tensor.ndim not in (1, 2):
        raise AudioError(
            f"a tensor of audio has shape (frames,) or (channels, frames), not {tuple(tensor.shape)}; give the clips "
            "of a batch one by one"
        )
    if tensor.ndim == 2 and tensor.shape[0] > max(2, tensor.shape[1]) > 0:
        raise AudioError(
            f"a tensor is (channels, frames), and {tuple(tensor.shape)} looks like (frames, channels); use audio.T"
        )
    if str(tensor.dtype) == "torch.bfloat16":
        raise AudioError(f"samples are {_WANTED}, not bfloat16; use audio.float()")
    samples = tensor.detach().cpu().numpy()
    clip = unpack(samples if tensor.ndim == 1 else samples.T, rate, channels, dtype)
    torch = sys.modules["torch"]

    def repack(cleaned: Array) -> Any:
        return torch.from_numpy(np.ascontiguousarray(cleaned.T)).to(tensor.device)

    return Clip(clip.samples, rate, repack)


def is_segment(audio: object) -> bool:
    """Tell if audio is a pydub.AudioSegment, without importing pydub: who holds one has imported it."""
    pydub = sys.modules.get("pydub")
    return pydub is not None and isinstance(audio, pydub.AudioSegment)


def _unpack_segment(segment: Any, rate: int | None, channels: int | None, dtype: DTypeLike | None) -> Clip:
    """Unpack a segment's samples: 16 or 32 bit as they are, 8 bit as floats, so that they are rounded once."""
    for name, value, own in (("sample_rate", rate, segment.frame_rate), ("channels", channels, segment.channels)):
        if value is not None and value != own:
            raise AudioError(f"the AudioSegment has {name} {own}, not {value}; leave {name} out, it says so itself")
    if dtype is not None:
        raise AudioError("an AudioSegment says its own sample width; leave dtype out")
    count, samples, width = check_channels(segment.channels), segment_samples(segment), segment.sample_width
    if width == 1:
        samples = samples / np.float32(2**15)

    def repack(cleaned: Array) -> Any:
        if width == 1:
            cleaned = (round_to(cleaned, 8) >> 8).astype(np.int8)
        return type(segment)(data=cleaned.tobytes(), sample_width=width, frame_rate=segment.frame_rate, channels=count)

    return Clip(samples if count > 1 else samples.reshape(-1), check_rate(segment.frame_rate), repack)


def segment_samples(segment: Any) -> Array:
    """Return a pydub.AudioSegment as an array (frames, channels): int32 of a 32-bit one, else int16."""
    wide = segment if segment.sample_width in (2, 4) else segment.set_sample_width(2)
    kind = np.int32 if wide.sample_width == 4 else np.int16
    return np.frombuffer(wide.raw_data, dtype=kind).reshape(-1, segment.channels)
