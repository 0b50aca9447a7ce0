"""Survey of any file: what its content says that it is, not its suffix."""

from __future__ import annotations

from denoise_wrapper.files.containers.flac import begins_flac, survey_flac
from denoise_wrapper.files.containers.mp3 import begins_mp3, holds_mp3, survey_mp3
from denoise_wrapper.files.containers.mpegts import begins_mpegts
from denoise_wrapper.files.containers.ogg import begins_ogg, survey_ogg
from denoise_wrapper.files.containers.parts import Survey
from denoise_wrapper.files.containers.pieces import FileBytes
from denoise_wrapper.files.containers.riff import begins_riff, survey_riff
from denoise_wrapper.files.containers.whole import begins_mp4, refusal

_MPEG_SUFFIXES = (".mp1", ".mp2", ".mp3", ".mpa", ".mpga")
HEAD = 1 << 16  # bytes in front, in which the beginning of a file is looked for
_KINDS = (
    (begins_riff, survey_riff), (begins_ogg, survey_ogg), (begins_flac, survey_flac), (begins_mp3, survey_mp3),
)  # fmt: skip
_BEHIND = ((b"fLaC\0\0\0\x22", survey_flac), (b"OggS\0\x02", survey_ogg))
# Other files of sound by their first bytes: AU, AU of a small machine, CAF, W64, 8SVX, Matroska, ASF, AMR, MPEG-PS,
# AC-3 and DTS in both orders of bytes, AVR, PAF, IRCAM, DSD ...
_OTHERS = (
    b".snd", b"dns.", b"caff", b"riff", b"\x1aE\xdf\xa3", b"\x30\x26\xb2\x75", b"#!AMR", b"wvpk", b"MAC ", b"TTA1",
    b"Creative Voice File", b"NIST_1A", b"RIFF", b"FORM", b"FLV\x01", b"\0\0\x01\xba", b"nut/multimedia", b"\x0bw",
    b"w\x0b", b"\x7f\xfe\x80\x01", b"\xfe\x7f\x01\x80", b"2BIT", b" paf", b"fap ", b"\x64\xa3", b"\0\x01\xa3\x64",
    b"\0\x02\xa3\x64", b"DSD ", b"FRM8", b"MPCK", b"MP+", b"tBaK", b"ajkg", b"PVF1", b"MATLAB 5", b"ALawSoundFile",
    b"Extended Instrument",
)  # fmt: skip
_ADTS_HEADER = 7  # bytes


def survey(data: FileBytes, suffix: str) -> Survey:
    """Survey a file by its content; a file of other kinds than these is taken as it is.

    suffix: of its name. Of MPEG audio without a frame, the decoder would say so itself, on standard error.
    """
    head = data[0:HEAD]
    if not head.startswith(b"ID3"):
        for begins, look in _KINDS:
            if begins(head):
                return look(data)
    for magic, look in _BEHIND:  # a tag, or something else, in front; no container that has FLAC or Ogg inside
        if magic in head and not _named(head):
            return look(data)
    if head.startswith(b"ID3"):
        return survey_mp3(data)
    if not _named(head) and (suffix.lower() in _MPEG_SUFFIXES or holds_mp3(head)):
        return survey_mp3(data)
    return Survey(refusal=refusal(data))


def named_kind(head: bytes) -> str | None:
    """Name the kind of audio file that begins so, where it has a word for itself that raw PCM hardly has."""
    names = {begins_riff: "a WAV or AIFF file", begins_ogg: "an Ogg file", begins_flac: "a FLAC file"}
    return next((name for begins, name in names.items() if begins(head)), None)


def sounds_like(head: bytes) -> bool:
    """Tell if the first bytes of a stream are those of an audio file; if not, they may be raw PCM.

    head: HEAD bytes, or all there are.
    """
    return any(begins(head) for begins, _ in _KINDS) or _named(head)


def _named(head: bytes) -> bool:
    """Tell if a file begins with the word of another kind, or with packets that no PCM looks like."""
    return head.startswith(_OTHERS) or begins_mp4(head) or begins_mpegts(head) or _begins_adts(head)


def _begins_adts(head: bytes) -> bool:
    """Tell if these bytes are AAC without a container: a frame, and the next one where that ends."""
    if len(head) < _ADTS_HEADER or head[0] != 0xFF or head[1] & 0xF6 != 0xF0:
        return False
    length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    return length >= _ADTS_HEADER and head[length : length + 1] in (b"", b"\xff")
