"""Settings, audio folders and mixing: what training starts from."""

from __future__ import annotations

import dataclasses
import errno
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from training_packs import GOOD_TOML, MIX, RATE, write_packs

from denoise_wrapper.atomic import make_folder
from denoise_wrapper.errors import ConfigError, DataError, FileError
from denoise_wrapper.training.config import DataConfig, load_config
from denoise_wrapper.training.data.corpus import Corpus, Float32, open_corpora, read_rooms
from denoise_wrapper.training.data.decoding import Bandwidth, decode
from denoise_wrapper.training.data.packs import licences, open_pack
from denoise_wrapper.training.mix.mixing import Mixer, expander, frame_energies, turn_down
from denoise_wrapper.training.mix.noises import clicks, coloured, hum, music, pulsed, whistle
from denoise_wrapper.training.mix.rooms import early_part, simulate_room
from denoise_wrapper.training.rnnoise.config import RNNoiseConfig


def corpora(folder: Path, seed: int = 1) -> tuple[Corpus, Corpus]:
    """Both sides of small packs made for the test."""
    speech, noise = write_packs(folder)
    return open_corpora(DataConfig((speech,), (noise,), validation=0.3), RATE, folder / "work", seed)


def write_toml(folder: Path, text: str) -> Path:
    path = folder / "settings.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_toml_file_becomes_one_frozen_dataclass(tmp_path: Path) -> None:
    config = load_config(write_toml(tmp_path, GOOD_TOML + "[mix]\nsnr_db = [0, 15]\n"), RNNoiseConfig.read)
    assert config.mix.snr_db == (0.0, 15.0)
    assert config.data.speech == (Path("speech"),)
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.seed = 2  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD_TOML + "[mix]\nsnr_dB = [0, 15]\n", "no setting called 'mix.snr_dB'; did you mean 'snr_db'"),
        ("sed = 1\n" + GOOD_TOML, "did you mean 'seed'"),
        ("seed = 1.5\n" + GOOD_TOML, "'seed' is of type int, not float"),
        ("seed = true\n" + GOOD_TOML, "'seed' is of type int, not bool"),
        (GOOD_TOML + "[mix]\nsnr_db = [0, 15, 20]\n", "'mix.snr_db' is a list of 2 values"),
        (GOOD_TOML + "[mix]\nsnr_db = [15, 0]\n", "is \\[lowest, highest\\]"),
        (GOOD_TOML + "[mix]\nroom_share = 1.5\n", "'room_share' is a share, 0 to 1"),
        (GOOD_TOML + "[network]\nactivations = ['tanh', 'gelu', 'tanh']\n", "is one of 'tanh', 'relu', not 'gelu'"),
        (GOOD_TOML + "[train]\nsteps = 0\n", "'steps' is above 0"),
        ("seed = -1\n" + GOOD_TOML, "'seed' is a whole number from 0"),
        ("name = ''\n" + GOOD_TOML, "'name' begins the names of files"),
        ("name = '../x'\n" + GOOD_TOML, "'name' begins the names of files"),
        (GOOD_TOML.replace('"work"', '"~nobody_at_all/q"'), "'work_dir' is '~nobody_at_all/q', but"),
        (GOOD_TOML + "[train]\nwarm_up = -1\n", "'warm_up' is 0 or more"),
        (GOOD_TOML + "[train]\nrate = inf\n", r"'train\.rate' is a finite number"),
        (GOOD_TOML + "[features]\nhours = 1" + 400 * "0" + "\n", r"'features\.hours' is a finite number"),
        (GOOD_TOML + "[mix]\nsnr_db = [0, nan]\n", r"'mix\.snr_db\[1\]' is a finite number"),
        (GOOD_TOML + "[mix]\nspeech_peaks = -1\n", "'speech_peaks' is 0 or more"),
        (GOOD_TOML + "[mix]\nnoise_peaks = -1\n", "'noise_peaks' is 0 or more"),
        (GOOD_TOML + "[mix]\nband_limits_hz = []\n", "'band_limits_hz' is a list of numbers above 0"),
        (GOOD_TOML + "[mix]\nband_limits_hz = [4000, 0]\n", "'band_limits_hz' is a list of numbers above 0"),
        (GOOD_TOML + "[mix]\nspeed = [0, 1]\n", "'speed' is a list of numbers above 0"),
        (GOOD_TOML + "[mix]\nnoise_speed = [-1, 1]\n", "'noise_speed' is a list of numbers above 0"),
        (GOOD_TOML + "[mix]\ngap_s = [0, 1]\n", "'gap_s' is a list of numbers above 0"),
        ("train = 3\n" + GOOD_TOML, "'train' is a table of settings"),
        ("work_dir = 'work'\n", "there is no speech; name folders in"),
        ("work_dir = \n", "is not TOML"),
    ],
)
def test_a_setting_that_does_not_fit_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(write_toml(tmp_path, text), RNNoiseConfig.read)


def test_an_absent_settings_file_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path / "absent.toml", RNNoiseConfig.read)


CONFIGS = Path(__file__).parents[2] / "denoise_wrapper" / "training" / "configs"


@pytest.mark.parametrize(
    "name",
    ["rnnoise-base", "rnnoise-tuned", "rnnoise-pesq", "rnnoise-voices", "rnnoise-wide", "rnnoise-level", "rnnoise-ear",
     "rnnoise", "rnnoise-classic-base", "rnnoise-classic-tuned", "rnnoise-classic-voices", "rnnoise-classic"],
)  # fmt: skip
def test_shipped_settings_load_and_go_on_from_each_other(name: str) -> None:
    config = load_config(CONFIGS / f"{name}.toml", RNNoiseConfig.read)
    assert config.name == name
    start = config.train.start_from
    if start is not None:
        before = load_config(CONFIGS / f"{start.stem}.toml", RNNoiseConfig.read)
        assert start == before.work_dir / f"{before.name}.dnnw"
        assert config.network == before.network
        assert config.mix.first_clip != before.mix.first_clip or config.mix == before.mix


def test_no_voice_and_no_noise_is_on_both_sides(tmp_path: Path) -> None:
    training, validation = corpora(tmp_path)
    for kind in ("voices", "noises"):
        sides = [{source.name for source in getattr(side, kind)} for side in (training, validation)]
        assert all(sides)
        assert not sides[0] & sides[1]


def test_the_split_depends_on_the_seed_alone(tmp_path: Path) -> None:
    names = [[source.name for source in corpora(tmp_path, seed)[1].voices] for seed in (1, 1, 2, 3, 4)]
    assert names[0] == names[1]
    assert any(other != names[0] for other in names[2:])


def test_segments_of_the_table_are_the_recordings(tmp_path: Path) -> None:
    training, validation = corpora(tmp_path)
    recordings = [
        recording for side in (training, validation) for voice in side.voices for recording in voice.recordings
    ]
    assert sorted(recording.length for recording in recordings) == [RATE * 3 // 5] * 12


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda speech, noise: (speech / "segments.csv").write_text("file,voice\na,b\n"),
            "has no column end_s, start_s",
        ),
        (lambda speech, noise: (noise / "broken.wav").write_bytes(b"RIFF no"), "cannot be decoded"),
        (lambda speech, noise: [path.unlink() for path in noise.glob("*.wav")], "holds no audio file"),
        (lambda speech, noise: [soundfile.write(path, np.zeros(99), RATE) for path in noise.glob("*.wav")], "silent"),
    ],
)
def test_unusable_folders_are_data_errors(tmp_path: Path, spoil: Callable[[Path, Path], object], message: str) -> None:
    speech, noise = write_packs(tmp_path)
    spoil(speech, noise)
    with pytest.raises(DataError, match=message):
        open_corpora(DataConfig((speech,), (noise,)), RATE, tmp_path / "work", 1)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (b"voice0.wav,0,long,a", "line 3: start_s to end_s is a stretch of seconds, not '0' to 'long'"),
        (b"voice0.wav,1,0.5,a", "line 3: start_s to end_s"),
        (b"voice0.wav,-1,0.5,a", "line 3: start_s to end_s"),
        (b"voice0.wav,0,inf,a", "line 3: start_s to end_s"),
        (b"voice0.wav,0", "line 3: the row has not as many cells"),
        (b"voice0.wav,0,1,a,b", "line 3: the row has not as many cells"),
        (b"voice0.wav,0,1,\xe9", "line 3: not UTF-8"),
    ],
)
def test_a_damaged_table_is_a_data_error_with_its_line(tmp_path: Path, row: bytes, message: str) -> None:
    (tmp_path / "segments.csv").write_bytes(b"file,start_s,end_s,voice\nvoice0.wav,0,1,a\n" + row + b"\n")
    with pytest.raises(DataError, match=f"segments.csv, {message}"):
        _ = open_pack(tmp_path).rows


def test_a_damaged_room_is_a_data_error(tmp_path: Path) -> None:
    (tmp_path / "room.wav").write_bytes(b"RIFF no")
    with pytest.raises(DataError, match=r"room\.wav cannot be decoded"):
        read_rooms(tmp_path, RATE)


@pytest.mark.parametrize("below", ["", "further/down"])
def test_a_file_where_a_folder_is_wanted_is_a_file_error(tmp_path: Path, below: str) -> None:
    (tmp_path / "work").write_bytes(b"")
    with pytest.raises(FileError, match="work"):
        make_folder(tmp_path / "work" / below)


def test_a_set_without_noise_is_a_data_error(tmp_path: Path) -> None:
    speech, _ = write_packs(tmp_path)
    with pytest.raises(DataError, match="names no noise"):
        open_corpora(DataConfig((speech,), ()), RATE, tmp_path / "work", 1)
    with pytest.raises(DataError, match="is no folder"):
        open_corpora(DataConfig((speech,), (tmp_path / "absent",)), RATE, tmp_path / "work", 1)


def test_licences_are_summed_from_the_tables(tmp_path: Path) -> None:
    speech, noise = write_packs(tmp_path)
    [(source, licence, hours)] = licences((speech,))
    assert (source, licence) == ("made", "CC0")
    assert hours == pytest.approx(12 * 0.6 / 3600)
    [(source, licence, hours)] = licences((noise,))
    assert (source, licence) == ("noise", "unknown")
    assert hours == pytest.approx(4 * 2.0 / 3600)


def test_a_full_disk_is_not_blamed_on_the_recording(tmp_path: Path) -> None:
    class FullDisk(io.BytesIO):
        def write(self, data: Any) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    speech, _ = write_packs(tmp_path)
    with pytest.raises(OSError, match="No space left"):
        decode(speech / "voice0.wav", 8000, FullDisk())


def test_bandwidth_of_a_low_passed_noise_is_its_cut_off() -> None:
    rng = np.random.default_rng(1)
    spectrum = np.fft.rfft(rng.standard_normal(48000))
    spectrum[6000:] = 0.0
    audio = np.fft.irfft(spectrum).astype(np.float32)
    meter = Bandwidth(48000, len(audio))
    meter.add(audio)
    assert meter.measure() == pytest.approx(6000.0, abs=150.0)


def test_a_clip_depends_on_seed_and_index_alone(tmp_path: Path) -> None:
    training, _ = corpora(tmp_path)
    mixer = Mixer(training, MIX, 1)
    first = [mixer.clip(index) for index in (3, 4, 5)]
    again = [Mixer(training, MIX, 1).clip(index) for index in (5, 4, 3)][::-1]
    for one, other in zip(first, again, strict=True):
        for name in ("noisy", "clean", "voice"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert not np.array_equal(first[0].noisy, first[1].noisy)
    assert not np.array_equal(first[0].noisy, Mixer(training, MIX, 2).clip(3).noisy)


def test_every_mixture_is_finite_and_within_full_scale(tmp_path: Path) -> None:
    mixer = Mixer(corpora(tmp_path)[0], MIX, 1)
    for index in range(60):
        mix = mixer.clip(index)
        assert mix.noisy.shape == mix.clean.shape == (RATE,)
        assert np.isfinite(mix.noisy).all()
        assert np.isfinite(mix.clean).all()
        assert np.abs(mix.noisy).max() <= 1.0
        assert set(np.unique(mix.voice)) <= {0.0, 0.5, 1.0}


def test_the_ratio_of_a_plain_mix_is_the_one_asked_for(tmp_path: Path) -> None:
    plain = dataclasses.replace(
        MIX, snr_db=(6.0, 6.0), noise_only_share=0.0, speech_only_share=0.0, room_share=0.0, band_limit_share=0.0,
        clipped_share=0.0, silence_share=0.0, expand_below_db=-200.0,
    )  # fmt: skip
    mixer = Mixer(corpora(tmp_path)[0], plain, 1)
    for index in range(5):
        mix = mixer.clip(index)
        ratio = np.mean(mix.clean**2) / np.mean((mix.noisy - mix.clean) ** 2)
        assert 10.0 * np.log10(ratio) == pytest.approx(6.0, abs=0.3)


def test_a_clip_of_noise_alone_wants_silence(tmp_path: Path) -> None:
    mixer = Mixer(corpora(tmp_path)[0], dataclasses.replace(MIX, noise_only_share=1.0), 1)
    mix = mixer.clip(0)
    assert not mix.clean.any()
    assert not mix.voice.any()
    assert mix.noisy.any()


def test_bandwidth_is_unlimited_when_the_mix_ends_below_the_speech(tmp_path: Path) -> None:
    limited = dataclasses.replace(MIX, band_limit_share=1.0, band_limits_hz=(3400.0,))
    assert Mixer(corpora(tmp_path)[0], limited, 1).clip(0).bandwidth_hz == RATE / 2


def test_hiss_in_the_pauses_of_a_recording_is_turned_down() -> None:
    rng = np.random.default_rng(1)
    segment = 1e-4 * rng.standard_normal(48000).astype(np.float32)
    segment[:24000] += np.sin(np.arange(24000) * 0.1).astype(np.float32)
    down_db, labels = expander(frame_energies(segment, 480), -38.0)
    assert down_db.shape == labels.shape == (100,)
    assert (labels[:50] == 1.0).all()
    assert not labels[56:].any()
    clean = turn_down(segment, down_db)
    np.testing.assert_array_equal(clean[:24000], segment[:24000])
    np.testing.assert_allclose(clean[30000:], 10.0**-1.5 * segment[30000:], rtol=1e-4)


@pytest.mark.parametrize("kind", [clicks, coloured, hum, music, pulsed, whistle])
@pytest.mark.parametrize("rate", [16000, 48000])
def test_formula_noises_are_finite_and_not_silent(
    kind: Callable[[np.random.Generator, int, int], Float32], rate: int
) -> None:
    for seed in range(5):
        noise = kind(np.random.default_rng(seed), rate, rate)
        assert noise.shape == (rate,)
        assert noise.dtype == np.float32
        assert np.isfinite(noise).all()
        assert noise.any()


def test_music_by_formula_has_tones_of_one_scale_that_begin_and_end() -> None:
    for seed in range(4):
        song = music(np.random.default_rng(seed), 480000, 48000)
        power = np.abs(np.fft.rfft(song[:458752].reshape(-1, 16384) * np.hanning(16384))) ** 2
        strongest = np.argmax(power, axis=1) * 48000 / 16384
        assert ((strongest > 50) & (strongest < 16000)).mean() > 0.9
        assert power.max(axis=1).sum() > 0.02 * power.sum()  # tones, each in a few bins of 8193
        loudness = np.sqrt(np.square(song.reshape(-1, 4800)).mean(axis=1))
        assert loudness.std() > 0.1  # of a mean power of 1
    assert not np.array_equal(song, music(np.random.default_rng(9), 480000, 48000))


def test_the_early_part_of_a_room_is_its_beginning() -> None:
    room = simulate_room(np.random.default_rng(1), 48000)
    early = early_part(room, 48000, 20.0)
    assert room[0] == 1.0
    np.testing.assert_array_equal(early[:960], room[:960])
    assert len(early) == 1440


def test_a_room_starts_with_its_direct_sound(tmp_path: Path) -> None:
    response = np.zeros((4000, 2), np.float32)
    response[48] = 0.5, 0.25
    response[400] = 0.1
    soundfile.write(tmp_path / "room.wav", response, 48000)
    for room in read_rooms(tmp_path, 48000):
        assert room[0] == 1.0
