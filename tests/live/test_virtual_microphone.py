"""A real PulseAudio, and PipeWire: what goes into one microphone comes clean out of another, and nothing is left."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from require import require
from serving import until
from sound_server import RATE, PipeWire, SoundServer

require("sounddevice", reason="sound devices: pip install 'denoise-wrapper[live]'")

import soundfile  # noqa: E402

from denoise_wrapper import Denoiser  # noqa: E402
from denoise_wrapper.stream.resample import resample  # noqa: E402

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="PulseAudio")
ATTEMPTS = 3  # at a sound without gaps, of which a busy machine makes some
WITHIN_S = 0.25  # of the way through the sound server and back, beside the other processes of a test machine


@pytest.fixture(scope="module")
def sound(needs: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoundServer]:
    for program in ("pactl", "pacat", "parec"):
        needs(program)
    server = SoundServer(tmp_path_factory.mktemp("sound"), needs("pulseaudio"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module", params=["PulseAudio", "PipeWire"])
def either(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoundServer]:
    """Each of the two, one after the other."""
    if request.param == "PulseAudio":
        yield request.getfixturevalue("sound")
        return
    absent = [program for program in PipeWire.PROGRAMS if shutil.which(program) is None]
    if absent:
        pytest.skip(f"{absent[0]} is absent: apt install pipewire pipewire-pulse wireplumber dbus")
    server = PipeWire(tmp_path_factory.mktemp("pipewire"))
    try:
        server.start()
        yield server
    finally:
        server.stop()


def live(sound: SoundServer, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "denoise_wrapper", "--no-config", "live", "--input", "room.monitor", *words]
    return subprocess.Popen(command, env=sound.environment, stderr=subprocess.PIPE, text=True)


def appears(sound: SoundServer, name: str) -> str:
    until(lambda: sound.described(name), 20)
    return sound.described(name)


def heard(sound: SoundServer, process: subprocess.Popen[str]) -> list[str]:
    """Sources that a program's children hear."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    names = {each["index"]: each["name"] for each in sound.listed("sources")}
    outputs = sound.listed("source-outputs")
    # what is being moved is at no source for a moment
    return [
        names.get(each["source"], "")
        for each in outputs
        if each["properties"].get("application.process.id") in children
    ]


def late(heard: Any, played: Any) -> int:
    """Frames by which played is found later in heard."""
    size = len(heard) + len(played)
    product = np.fft.rfft(heard, size) * np.conj(np.fft.rfft(played, size))
    return int(np.fft.irfft(product, size).argmax())


def si_sdr(estimate: Any, reference: Any) -> float:
    """Scale-invariant ratio of signal to distortion, dB (Le Roux et al. 2019)."""
    target = np.dot(estimate, reference) / np.dot(reference, reference) * reference
    return float(10 * np.log10(np.sum(target**2) / np.sum((target - estimate) ** 2)))


def places(heard: Any, clean: Any) -> list[tuple[int, float]]:
    """Where stretches of speech are found, and their SI-SDR there: a gap on a busy machine costs but its own."""
    size = RATE // 8
    stretches = clean[: len(clean) // size * size].reshape(-1, size)
    powers = np.mean(stretches**2, axis=1)
    found = []
    for number in np.flatnonzero(powers > 0.3 * powers.max()):
        at = late(heard, stretches[number])
        part = heard[at : at + size]
        found.append((at, si_sdr(part, stretches[number]) if len(part) == size else -99.0))
    return found


def middle(found: list[tuple[int, float]]) -> float:
    """The median of the SI-SDR of stretches, dB."""
    return float(np.median([ratio for _, ratio in found]))


def test_noise_goes_in_and_speech_comes_out(sound: SoundServer, shared: Path) -> None:
    rate = RATE
    speech = soundfile.read(shared / "dev/clean/00.flac", dtype="float32", frames=4 * 16000)[0]
    clean = resample(speech[:, None], 16000, rate)[:, 0]
    noise = np.random.default_rng(4).standard_normal(len(clean)).astype(np.float32)
    noisy = clean + noise * np.sqrt(np.mean(clean**2) / 2)  # 3 dB
    # About as good as the same clip through a stream.
    came, wanted = (middle(places(each, clean)) for each in (noisy, Denoiser().filter(noisy, rate)))
    assert wanted > came + 3
    enough = came + 0.5 * (wanted - came)
    process = live(sound, "--virtual-mic", "Clean voice")
    try:
        source = appears(sound, "Clean voice")
        for _ in range(ATTEMPTS):
            with sound.recording("room.monitor") as before, sound.recording(source) as after:
                until(lambda: len(after.samples()) and len(before.samples()), 20)
                assert sound.play(noisy).wait(30) == 0
                time.sleep(0.7)
                into, out_of = (places(each.samples(), clean) for each in (before, after))
            reached = middle(out_of)
            if reached > enough:
                break
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 128 + signal.SIGTERM
    assert "p99" in said
    assert reached > enough, said
    delays_s = [after.time_of(out) - before.time_of(at) for (out, _), (at, _) in zip(out_of, into, strict=True)]
    assert Denoiser().latency(rate) / rate < np.median(delays_s) < WITHIN_S
    assert sound.names("modules").count("module-null-sink") == 2
    assert "module-remap-source" not in sound.names("modules")


def test_what_goes_in_comes_out(either: SoundServer) -> None:
    tone = (0.5 * np.sin(2 * np.pi * 440 * np.arange(2 * RATE) / RATE)).astype(np.float32)
    process = live(either, "--virtual-mic", "Through", "--atten-lim", "0")
    try:
        source = appears(either, "Through")
        with either.recording(source) as heard:
            until(lambda: len(heard.samples()), 20)
            assert either.play(tone).wait(30) == 0
            until(lambda: np.abs(heard.samples()).max() > 0.3, 20)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    finally:
        process.kill()
    assert not either.described("Through")


def test_two_live_together_and_what_a_crash_leaves_goes_with_the_next(either: SoundServer) -> None:
    sound = either
    first, second = live(sound, "--virtual-mic", "First"), live(sound, "--virtual-mic", "Second")
    try:
        assert appears(sound, "First") != appears(sound, "Second")
        first.kill()
        first.wait()
        assert sound.described("First")  # nobody could undo it
        third = live(sound, "--virtual-mic", "Third", "--seconds", "0.5")
        assert third.wait(30) == 0
        assert not sound.described("First")
        assert not sound.described("Third")
        assert sound.described("Second")
        second.send_signal(signal.SIGINT)
        assert second.wait(20) == 130
    finally:
        for process in (first, second):
            process.kill()
            process.communicate()
    until(lambda: sound.names("modules").count("module-null-sink") == 2)


def test_the_microphone_stays_while_the_device_is_away(sound: SoundServer) -> None:
    form = ("sink_name=stick", f"rate={RATE}", "channels=1")
    stick = sound.pactl("load-module", "module-null-sink", *form).stdout.strip()
    command = [sys.executable, "-m", "denoise_wrapper", "--no-config", "live", "--input", "stick.monitor"]
    process = subprocess.Popen(
        [*command, "--virtual-mic", "Stays"], env=sound.environment, stderr=subprocess.PIPE, text=True
    )
    try:
        source = appears(sound, "Stays")
        until(lambda: "stick.monitor" in heard(sound, process), 20)  # or it would find nothing to be moved
        sound.pactl("unload-module", stick)
        assert process.stderr is not None
        assert "is gone" in process.stderr.readline()
        assert sound.described("Stays") == source
        stick = sound.pactl("load-module", "module-null-sink", *form).stdout.strip()
        assert "is back" in process.stderr.readline()
        until(lambda: "stick.monitor" in heard(sound, process), 20)
        assert sound.described("Stays") == source
    finally:
        process.terminate()
        process.communicate(timeout=20)
        sound.pactl("unload-module", stick, check=False)
    assert not sound.described("Stays")


def test_the_system_s_microphone_is_followed_but_not_to_the_one_made_here(either: SoundServer) -> None:
    sound = either
    sound.pactl("set-default-source", "room.monitor")
    words = [sys.executable, "-m", "denoise_wrapper", "--no-config", "live", "--virtual-mic", "Chosen"]
    process = subprocess.Popen(words, env=sound.environment, stderr=subprocess.PIPE, text=True)
    try:
        own = appears(sound, "Chosen")
        until(lambda: heard(sound, process) == ["room.monitor"], 20)
        sound.pactl("set-default-source", own)  # as who chooses it for all programs
        time.sleep(3.0)  # in which a server may have moved it there, and it has come back
        until(lambda: heard(sound, process) == ["room.monitor"], 20)
        sound.pactl("set-default-source", "ears.monitor")
        until(lambda: heard(sound, process) == ["ears.monitor"], 20)
        assert sound.described("Chosen") == own
    finally:
        process.terminate()
        _, said = process.communicate(timeout=20)
    assert "is gone" in said or "another microphone" in said


def test_a_terminal_that_is_closed_leaves_nothing(sound: SoundServer) -> None:
    process = live(sound, "--virtual-mic", "Closed")
    try:
        appears(sound, "Closed")
        for _ in range(2):  # from the terminal and from its shell
            process.send_signal(signal.SIGHUP)
            time.sleep(0.002)
        process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 128 + signal.SIGHUP
    assert not sound.described("Closed")


def test_a_number_is_no_part_of_a_name(sound: SoundServer) -> None:
    module = sound.pactl("load-module", "module-null-sink", "sink_name=card_7").stdout.strip()
    try:
        words = [sys.executable, "-m", "denoise_wrapper", "--no-config", "live", "--virtual-mic", "No", "--input", "7"]
        done = subprocess.run(words, env=sound.environment, capture_output=True, text=True, timeout=60, check=False)
    finally:
        sound.pactl("unload-module", module)
    assert done.returncode == 2
    assert "--input 7: the sound server has no such source" in done.stderr


def test_recordings_are_in_time_and_readable_after_a_kill(sound: SoundServer, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    noise = (0.1 * rng.standard_normal(3 * RATE)).astype(np.float32)
    files = [tmp_path / "noisy.wav", tmp_path / "clean.wav"]
    process = live(sound, "--output", "none", "--atten-lim", "0", "--record", *map(str, files))
    try:
        until(lambda: files[0].exists() and files[0].stat().st_size > 4 * RATE // 4, 20)
        sound.play(noise).wait(20)
        end = files[0].stat().st_size + 4 * RATE
        until(lambda: files[0].stat().st_size > end, 20)
    finally:
        process.kill()
        process.communicate()
    noisy, clean = (soundfile.read(path, dtype="float32")[0] for path in files)
    assert len(noisy) > 2 * RATE
    size = min(len(noisy), len(clean))
    assert np.abs(noisy[:size]).max() > 0.05
    loud = slice(late(noisy, noise) + RATE // 2, None)  # with a limit of 0 dB both are the same sound
    assert size - loud.start > RATE
    assert si_sdr(clean[:size][loud], noisy[:size][loud]) > 20
    again = live(sound, "--output", "none", "--record", *map(str, files))
    _, said = again.communicate(timeout=20)
    assert again.returncode == 2
    assert "exists" in said


def test_a_sound_server_that_is_gone_is_waited_for(sound: SoundServer, tmp_path: Path) -> None:
    noisy = tmp_path / "noisy.wav"
    process = live(sound, "--virtual-mic", "Back again", "--record", str(noisy), str(tmp_path / "clean.wav"))
    try:
        appears(sound, "Back again")
        until(lambda: noisy.exists() and noisy.stat().st_size > 50_000, 20)
        sound.stop()
        time.sleep(1.0)
        sound.start()
        appears(sound, "Back again")
        before = noisy.stat().st_size
        until(lambda: noisy.stat().st_size > before + 50_000, 20)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=20)
    finally:
        process.kill()
    assert "the sound device is gone" in said
    assert "the sound device is back" in said
    until(lambda: sound.names("modules").count("module-null-sink") == 2)


def test_devices_are_listed_and_those_that_are_none_are_said(sound: SoundServer, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "denoise_wrapper", "live"]
    listed = subprocess.run(
        [*words, "--list-devices"], env=sound.environment, capture_output=True, text=True, check=True
    )
    assert "pulse" in listed.stdout
    assert "room.monitor" in listed.stdout
    words += ["--input", "no such thing", "--record", str(tmp_path / "noisy.wav"), str(tmp_path / "clean.wav")]
    done = subprocess.run(words, env=sound.environment, capture_output=True, text=True, check=False)
    assert not list(tmp_path.iterdir())
    assert done.returncode == 2
    assert "pulse" in done.stderr
    assert "room.monitor" in done.stderr
    assert done.stderr.count("\n") == 1


def test_portaudio_s_devices_work_too(sound: SoundServer) -> None:
    """By ALSA's way to the sound server, as there is no other device here."""
    words = [sys.executable, "-m", "denoise_wrapper", "--no-config", "live", "--input", "pulse", "--output", "pulse"]
    routes = {"PULSE_SOURCE": "room.monitor", "PULSE_SINK": "ears"}
    process = subprocess.Popen(
        [*words, "--atten-lim", "0"], env=sound.environment | routes, stderr=subprocess.PIPE, text=True
    )
    noise = (0.1 * np.random.default_rng(6).standard_normal(2 * RATE)).astype(np.float32)
    try:
        until(lambda: sound.names("sink-inputs"), 20)
        with sound.recording("ears.monitor") as ears:
            sound.play(noise).wait(20)
            until(lambda: np.abs(ears.samples()).max(initial=0.0) > 0.05, 20)
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    assert process.returncode == 130


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="a terminal")
def test_keys_steer_and_the_status_is_a_line(sound: SoundServer) -> None:
    main, side = os.openpty()
    words = [sys.executable, "-m", "denoise_wrapper", "live", "--input", "room.monitor", "--output", "none"]
    process = subprocess.Popen(
        [*words, "-b", "rnnoise,rnnoise-classic"], env={**sound.environment, "COLUMNS": "200"},
        stdin=side, stdout=side, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    os.set_blocking(main, False)
    seen = ""

    def shows(text: str) -> bool:
        nonlocal seen
        with contextlib.suppress(BlockingIOError):
            seen += os.read(main, 65536).decode()
        return text in seen.rpartition("\r")[0].rpartition("\r")[2]

    try:
        until(lambda: shows("[rnnoise, all]"), 20)
        for key, text in ((b" ", "BYPASS"), (b" ", "all]"), (b"-", "60 dB at most"), (b"-", "57 dB"), (b"+", "60 dB"),
                          (b"n", "rnnoise-classic"), (b"m", "MUTE")):  # fmt: skip
            os.write(main, key)
            until(lambda text=text: shows(text), 10)
        os.write(main, b"q")
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.communicate()
        os.close(main)
        os.close(side)
    assert "latency" in seen
    assert "xruns" in seen


def test_the_example_makes_a_microphone_and_ends_without_complaint(sound: SoundServer) -> None:
    example = Path(__file__).resolve().parents[2] / "examples/virtual_microphone.py"
    process = subprocess.Popen(
        [sys.executable, str(example), "room.monitor"], env=sound.environment, stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        appears(sound, "Clean")
        until(lambda: heard(sound, process) == ["room.monitor"], 20)
        _, said = process.communicate("\n", timeout=20)
    finally:
        process.kill()
    assert (process.returncode, said) == (0, "")
    assert not sound.described("Clean")


def test_names_that_pactl_could_not_quote_are_refused() -> None:
    words = [sys.executable, "-m", "denoise_wrapper", "live", "--virtual-mic", "it's"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert json.dumps(done.stderr).count("\\n") == 1
