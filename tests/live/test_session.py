"""A session without devices: bypass in time, no clicks, buffers between devices, recordings beyond 4 GB."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from require import require
from speech import speechlike

from denoise_wrapper import Denoiser
from denoise_wrapper.errors import FileError
from denoise_wrapper.live.record import GrowingWav, Recorder
from denoise_wrapper.live.session import FADE_S, Session

RATE = 48000


def run(session: Session, samples: Any, block: int, steps: dict[int, Any] | None = None) -> Any:
    """Blocks through a session; steps: what to do before the block of that number."""
    channels = session.stream.channels
    played = np.zeros((len(samples) // block * block, channels), np.float32)
    for number in range(len(played) // block):
        (steps or {}).get(number, lambda: None)()
        part = slice(number * block, (number + 1) * block)
        session.fill(samples[part].reshape(block, channels), played[part], False)
    assert session.error is None
    return played


@pytest.mark.parametrize("block", [128, 441, 480, 2000])
def test_bypass_is_the_noisy_signal_in_time_with_the_clean_one(block: int) -> None:
    samples = speechlike(200)
    stream = Denoiser().stream(RATE)
    wanted = Denoiser().stream(RATE).process(samples)
    np.testing.assert_array_equal(run(Session(stream), samples, block)[:, 0], wanted[: len(samples) // block * block])
    session = Session(Denoiser().stream(RATE))
    session.clean = False
    dry = run(session, samples, block)[:, 0]
    late, fade = stream.latency, round(FADE_S * RATE)
    np.testing.assert_allclose(dry[late + fade :], samples[fade : len(dry) - late], atol=1e-6)


def test_bypass_and_mute_fade_without_a_click() -> None:
    t = np.arange(2 * RATE) / RATE
    tone = (0.5 * np.sin(2 * np.pi * 200 * t)).astype(np.float32)
    session = Session(Denoiser().stream(RATE))

    def flip(name: str) -> Any:
        return lambda: setattr(session, name, not getattr(session, name))

    played = run(session, tone, 480, {60: flip("clean"), 100: flip("muted"), 140: flip("muted"), 141: flip("clean")})[
        :, 0
    ]
    steepest = np.abs(np.diff(tone)).max()
    assert np.abs(np.diff(played)).max() <= 1.05 * steepest + 0.6 / (FADE_S * RATE)
    assert not played[103 * 480 : 140 * 480].any()
    assert np.abs(played[70 * 480 : 100 * 480]).max() == pytest.approx(0.5, abs=1e-3)


def test_wishes_are_done_between_blocks_and_a_block_that_fails_is_silent_and_said() -> None:
    samples = speechlike(100)
    session = Session(Denoiser().stream(RATE, latency=4800))
    run(session, samples, 480, {20: lambda: session.wishes.append(lambda stream: stream.switch("rnnoise-classic"))})
    assert session.stream.backend.name == "rnnoise-classic"
    played = np.ones((480, 1), np.float32)
    session.fill(np.full((480, 1), np.nan, np.float32), played, True)
    assert not played.any()
    assert session.error is not None
    assert session.xruns == 1
    assert session.times().worst >= session.times().p999 >= session.times().p50 > 0


def test_blocks_between_two_paces_come_in_order_and_gaps_are_counted() -> None:
    require("sounddevice", reason="sound devices: pip install 'denoise-wrapper[live]'")
    from denoise_wrapper.live.devices import Between

    rng = np.random.default_rng(0)
    between, out = Between(4, 1), np.empty((4, 1), np.float32)
    sent, got = 0, []
    for _ in range(3000):
        if rng.random() < 0.5:
            between.room()[:] = np.arange(sent, sent + 4)[:, None] + 1
            between.put()
            sent += 4
        else:
            between.take(out)
            got.append(out[:, 0].copy())
    heard = np.concatenate(got)
    heard = heard[heard > 0]
    assert (np.diff(heard) > 0).all()
    assert np.count_nonzero(np.diff(heard) != 1) <= between.gaps
    assert between.waiting <= (between.MOST + 1) * 4


def test_a_recording_can_be_read_after_every_write(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    wav = GrowingWav(path, RATE, 2)
    rng = np.random.default_rng(1)
    written = np.zeros((0, 2), np.float32)
    for size in (0, 1, 480, 7):
        block = rng.standard_normal((size, 2)).astype(np.float32)
        wav.write(block)
        written = np.concatenate([written, block])
        samples, rate = soundfile.read(path, dtype="float32")
        np.testing.assert_array_equal(samples, written)
        assert rate == RATE
    with pytest.raises(FileError, match="exists"):
        GrowingWav(path, RATE, 2)


def test_a_recording_goes_past_4_gb(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    wav = GrowingWav(path, RATE, 1)
    wav.size = (1 << 32) - 4000  # a hole, which takes no room on the disk
    block = np.linspace(-1, 1, 2000, dtype=np.float32)[:, None]
    for _ in range(2):
        wav.write(block)
        with soundfile.SoundFile(path) as file:
            assert file.frames == wav.size // 4
            file.seek(file.frames - 2000)
            np.testing.assert_array_equal(file.read(dtype="float32"), block[:, 0])
    with soundfile.SoundFile(path) as file:
        assert file.format == "RF64"
    wav.close()


def test_both_recordings_are_as_long_and_in_time(tmp_path: Path) -> None:
    samples = speechlike(150)
    stream = Denoiser().stream(RATE)
    recorder = Recorder(str(tmp_path / "n.wav"), str(tmp_path / "c.wav"), RATE, 1, stream.latency)
    run(Session(stream, recorder), samples, 480)
    recorder.close(stream.flush().reshape(-1, 1))
    noisy, clean = (soundfile.read(tmp_path / name, dtype="float32")[0] for name in ("n.wav", "c.wav"))
    np.testing.assert_array_equal(noisy, samples)
    np.testing.assert_array_equal(clean, Denoiser().filter(samples, RATE))
    with pytest.raises(FileError):
        Recorder(str(tmp_path / "new.wav"), str(tmp_path / "c.wav"), RATE, 1, 0)
    assert not (tmp_path / "new.wav").exists()
