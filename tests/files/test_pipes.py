"""What is no plain file: read once, or refused in a line before anything is made."""

from __future__ import annotations

import io
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from fakes import FakeBackend
from odd_files import FRAMES, RATE, encoded, pcm, tone, write
from require import require

from denoise_wrapper import Denoiser, FileError

pytestmark = pytest.mark.skipif(os.name == "nt", reason="pipes of another kind are there")
PLAIN = Denoiser(FakeBackend("plain", gain=1.0))
COMMAND = [sys.executable, "-m", "denoise_wrapper", "filter"]


def command(*words: Any, stdin: bytes | None = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*COMMAND, *map(str, words)], input=stdin, capture_output=True, check=False, timeout=60)


def frames_of(content: bytes) -> tuple[str, int]:
    info = soundfile.info(io.BytesIO(content))
    return info.format, info.frames


@pytest.mark.fault
def test_a_named_pipe_is_read_once(tmp_path: Path) -> None:
    pipe, content = tmp_path / "pipe.wav", encoded(tmp_path, "wav")
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(content))
    writer.start()
    made = PLAIN.filter_file(pipe, tmp_path / "b.wav")
    writer.join()
    assert soundfile.info(made).frames == FRAMES


def wait_for_reader(pipe: Path) -> int:
    """Wait until somebody reads a named pipe; returns a descriptor to write to it."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


@pytest.mark.fault
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_pipe_that_gives_nothing_can_be_interrupted(tmp_path: Path, number: int) -> None:
    pipe = tmp_path / "pipe.wav"
    os.mkfifo(pipe)
    with subprocess.Popen([*COMMAND, str(pipe), "-o", str(tmp_path / "b.wav")], stderr=subprocess.PIPE) as process:
        writer = wait_for_reader(pipe)
        process.send_signal(number)
        assert process.wait(10) != 0
        assert process.stderr is not None
        assert b"Traceback" not in process.stderr.read()
        os.close(writer)
    assert list(tmp_path.iterdir()) == [pipe]


@pytest.mark.fault
def test_a_pipe_without_a_target_is_refused(tmp_path: Path) -> None:
    pipe, content = tmp_path / "pipe.wav", encoded(tmp_path, "wav")
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(content))
    writer.start()
    with pytest.raises(FileError, match="name a target"):
        PLAIN.filter_file(pipe)
    writer.join()
    assert list(tmp_path.iterdir()) == [pipe]


@pytest.mark.fault
@pytest.mark.skipif(not os.path.exists("/dev/stdin"), reason="no /dev/stdin")
def test_standard_input_by_its_name_is_read(tmp_path: Path) -> None:
    done = command("/dev/stdin", "-o", tmp_path / "b.flac", "-q", stdin=encoded(tmp_path, "wav"))
    assert (done.returncode, done.stderr) == (0, b"")
    assert soundfile.info(tmp_path / "b.flac").frames == FRAMES


@pytest.mark.fault
@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "aiff", "opus", "au", "caf", "w64"])
def test_a_file_on_standard_input_is_known_by_its_content(tmp_path: Path, suffix: str) -> None:
    content = encoded(tmp_path, suffix)
    done = command("-", "-q", stdin=content)
    assert (done.returncode, done.stderr) == (0, b"")
    assert frames_of(done.stdout) == frames_of(content)


@pytest.mark.fault
@pytest.mark.parametrize(
    ("form", "codec", "begins"),
    [("adts", "aac", b"\xff\xf1"), ("ac3", "ac3", b"\x0bw"), ("mpegts", "mp2", b"G"), ("mpeg", "mp2", b"\0\0\1\xba"),
     ("mov", "pcm_s16le", b"\0\0\0\x14ftypqt"), ("matroska", "flac", b"\x1aE\xdf\xa3")],
)  # fmt: skip
def test_what_ffmpeg_reads_is_known_on_standard_input_too(
    tmp_path: Path, needs: Callable[[str], str], form: str, codec: str, begins: bytes
) -> None:
    require("av")
    write(tmp_path / "a.wav", encoded(tmp_path, "wav"))
    source, target = (str(tmp_path / name) for name in ("a.wav", "a"))
    words = [needs("ffmpeg"), "-v", "error", "-i", source, "-c:a", codec, "-f", form, target]
    subprocess.run(words, check=True)
    done = command("-", "-q", stdin=(tmp_path / "a").read_bytes())
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(begins)


@pytest.mark.fault
def test_damage_met_while_standard_input_is_read_is_said_of_it(tmp_path: Path) -> None:
    content = bytearray(encoded(tmp_path, "flac"))
    middle = len(content) // 2
    content[middle : middle + 300] = bytes(300)
    done = command("-", stdin=bytes(content))
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (2, b"", 1)
    assert b": standard input is damaged" in done.stderr


def test_standard_output_has_the_format_that_is_asked_for(tmp_path: Path) -> None:
    done = command("-", "-f", "flac", "-q", stdin=encoded(tmp_path, "wav"))
    assert (done.returncode, done.stderr) == (0, b"")
    assert frames_of(done.stdout) == ("FLAC", FRAMES)


@pytest.mark.fault
@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg"])
def test_a_file_is_never_taken_for_raw_pcm(tmp_path: Path, suffix: str) -> None:
    words = ["-", "--rate", RATE, "--channels", 1, "--dtype", "int16"]
    done = command(*words, stdin=encoded(tmp_path, suffix))
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"says itself what it holds" in done.stderr


def test_raw_pcm_is_cleaned_only_when_it_is_described() -> None:
    raw = pcm(tone())
    done = command("-", stdin=raw)
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (2, b"", 1)
    assert b"--rate --channels --dtype" in done.stderr
    described = command("-", "--rate", RATE, "--channels", 1, "--dtype", "int16", stdin=raw)
    assert (described.returncode, len(described.stdout)) == (0, len(raw))


@pytest.mark.parametrize(
    ("path", "words"), [("/dev/zero", "is a device"), ("/dev/null", "is a device"), ("/proc/self", "is a folder")]
)
def test_devices_and_folders_are_refused(tmp_path: Path, path: str, words: str) -> None:
    if not os.path.exists(path):
        pytest.skip(f"no {path}")
    with pytest.raises(FileError, match=words):
        PLAIN.filter_file(path, tmp_path / "b.wav")
    assert not list(tmp_path.iterdir())


@pytest.mark.fault
@pytest.mark.parametrize("kind", ["socket", "character device", "block device", "/dev/null", "/dev/zero"])
def test_the_command_refuses_what_is_no_file_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.chdir(tmp_path)  # the names of sockets are short
    if kind.startswith("/dev"):
        Path("a.wav").symlink_to(kind)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("a.wav")
    else:
        number, mode = (
            (os.makedev(1, 5), stat.S_IFCHR) if kind == "character device" else (os.makedev(7, 0), stat.S_IFBLK)
        )
        try:
            os.mknod("a.wav", mode | 0o600, number)
        except PermissionError:
            pytest.skip("only root makes devices")
    what = "a socket" if kind == "socket" else "a device"
    for words in (["a.wav"], ["a.wav", "-o", "b.wav"], ["a.wav", "-o", "out/"]):
        done = command(*words)
        assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (2, b"", 1)
        assert f"a.wav is {what}, and no file; copy its sound into a file, or pipe it into '-'".encode() in done.stderr
        assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


@pytest.mark.fault
@pytest.mark.parametrize("target", ["/dev/null", "pipe.wav"])
def test_a_target_that_is_no_file_is_refused_in_a_line(tmp_path: Path, target: str) -> None:
    source = write(tmp_path / "a.wav", encoded(tmp_path, "wav"))
    os.mkfifo(tmp_path / "pipe.wav")
    done = command(source, "-o", tmp_path / target, "--overwrite")
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (2, b"", 1)
    assert b"is not a regular file, so it cannot be replaced" in done.stderr


@pytest.mark.fault
def test_sound_from_a_socket_is_read_once_by_standard_input(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()

    def send() -> None:
        ours.sendall(encoded(tmp_path, "wav"))
        ours.shutdown(socket.SHUT_WR)

    words = [*map(str, COMMAND), "-", "-q"]
    with ours, theirs, subprocess.Popen(words, stdin=theirs.fileno(), stdout=subprocess.PIPE) as process:
        theirs.close()
        sender = threading.Thread(target=send)
        sender.start()
        made, _ = process.communicate(timeout=60)
        sender.join()
    assert frames_of(made) == ("WAV", FRAMES)


def test_sockets_and_broken_links_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        monkeypatch.chdir(tmp_path)  # the names of sockets are short
        server.bind("socket.wav")
    with pytest.raises(FileError, match="is a socket"):
        PLAIN.filter_file(tmp_path / "socket.wav", tmp_path / "b.wav")
    link = tmp_path / "link.wav"
    link.symlink_to("nowhere.wav")
    with pytest.raises(FileError, match=r"is a link to nowhere\.wav, which is not there"):
        PLAIN.filter_file(link, tmp_path / "b.wav")


@pytest.mark.fault
def test_a_damaged_pipe_is_named_by_its_own_name(tmp_path: Path) -> None:
    content = encoded(tmp_path, "wav")
    done = command("/dev/stdin", "-o", tmp_path / "b.wav", stdin=content[: len(content) // 2])
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
    assert b"/dev/stdin was cut short" in done.stderr
    assert not list(tmp_path.iterdir())


# ---- file objects ----


def test_file_objects_are_read_and_written(tmp_path: Path) -> None:
    content = encoded(tmp_path, "flac")
    made = io.BytesIO()
    assert PLAIN.filter_file(io.BytesIO(content), made) is made
    assert frames_of(made.getvalue()) == ("FLAC", FRAMES)
    wav = io.BytesIO()
    PLAIN.filter_file(io.BytesIO(content), wav, format="wav")
    assert frames_of(wav.getvalue()) == ("WAV", FRAMES)
    path = PLAIN.filter_file(io.BytesIO(content), tmp_path / "b.ogg")
    assert soundfile.info(path).frames == FRAMES
    with open(path, "rb") as source, open(tmp_path / "c.ogg", "wb") as target:
        PLAIN.filter_file(source, target)
    assert soundfile.info(tmp_path / "c.ogg").frames == FRAMES


def test_a_file_object_is_cleaned_as_its_file_is(tmp_path: Path) -> None:
    source = write(tmp_path / "a.wav", encoded(tmp_path, "wav"))
    made = io.BytesIO()
    with open(source, "rb") as file:
        Denoiser().filter_file(file, made)
    assert made.getvalue() == Denoiser().filter_file(source).read_bytes()


def test_a_file_object_is_read_from_where_it_is(tmp_path: Path) -> None:
    content = encoded(tmp_path, "flac")
    source = io.BytesIO(b"head" * 9 + content)
    source.seek(36)
    made = io.BytesIO()
    PLAIN.filter_file(source, made)
    assert frames_of(made.getvalue()) == ("FLAC", FRAMES)


class Silent(io.RawIOBase):
    """A stream that does not block, and of which nothing has come yet."""

    def read(self, size: int = -1) -> None:
        return None


@pytest.mark.parametrize(
    ("source", "target", "words"),
    [
        (io.StringIO("text"), io.BytesIO(), "mode 'rb'"), (io.BytesIO(b""), io.BytesIO(), "nothing came"),
        (io.BytesIO(b"no audio" * 99), io.BytesIO(), "the file object is no audio"), (5, io.BytesIO(), "not int"),
        (Silent(), io.BytesIO(), "gives nothing for now"),
        (io.BytesIO(b"x"), None, "name a target"), (io.BytesIO(b"x"), 5, "not int"),
    ],
)  # fmt: skip
def test_file_objects_of_no_use_are_refused(source: Any, target: Any, words: str) -> None:
    with pytest.raises(FileError, match=words):
        PLAIN.filter_file(source, target)


def test_a_target_object_that_takes_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="mode 'wb'"):
        PLAIN.filter_file(io.BytesIO(encoded(tmp_path, "wav")), io.StringIO())  # type: ignore[arg-type]


def test_a_suffix_and_a_format_that_differ_are_refused(tmp_path: Path) -> None:
    source = write(tmp_path / "a.wav", encoded(tmp_path, "wav"))
    with pytest.raises(FileError, match="says its format by its suffix"):
        PLAIN.filter_file(source, tmp_path / "b.wav", format="flac")
    assert PLAIN.filter_file(source, format="flac").name == "a_denoised.flac"


def test_samples_through_file_objects_are_those_of_the_source(tmp_path: Path) -> None:
    samples = np.rint(tone() * 32767).astype(np.int16)
    source, made = io.BytesIO(), io.BytesIO()
    soundfile.write(source, samples, RATE, format="WAV", subtype="PCM_16")
    source.seek(0)
    PLAIN.filter_file(source, made)
    made.seek(0)
    np.testing.assert_array_equal(soundfile.read(made, dtype="int16", always_2d=True)[0], samples)
