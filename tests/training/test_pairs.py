"""Pairs in the DNS layout, own recordings, and blends of them: the clips that a DTLN is trained on."""

from __future__ import annotations

import multiprocessing
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from training_packs import MIX, write_packs, write_pairs

from denoise_wrapper.errors import ConfigError, DataError
from denoise_wrapper.training.config import BlendConfig, build, load_config
from denoise_wrapper.training.data.pairs import group_pairs, read_pairs
from denoise_wrapper.training.mix.mixing import Mix
from denoise_wrapper.training.mix.sources import Blend, ClipSource, PairSource, open_sources

RATE = 16000


def assert_same(one: Mix, other: Mix) -> None:
    for name in ("noisy", "clean", "voice"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def pair_source(folder: Path, rate: int = RATE, clip_s: float = 1.0, **settings: tuple[float, float]) -> PairSource:
    return PairSource(read_pairs(folder, rate, folder.parent / "work"), rate, clip_s, 1, **settings)


def test_pairs_stay_together_and_in_time(tmp_path: Path) -> None:
    """Each made pair is speech plus a noise of its own constant level, so that the difference tells the pair."""
    source = pair_source(write_pairs(tmp_path / "set", lengths=[3 * RATE] * 6))
    numbers = set()
    for index in range(30):
        mix = source.clip(index)
        assert mix.noisy.shape == mix.clean.shape == (RATE,)
        assert mix.noisy.dtype == mix.clean.dtype == np.float32
        steps = np.unique(np.rint((mix.noisy - mix.clean) * 1000.0))
        assert len(steps) == 1
        numbers.add(int(steps[0]))
    assert numbers == {1, 2, 3, 4, 5, 6}


def test_crops_of_a_long_pair_begin_anywhere(tmp_path: Path) -> None:
    folder = write_pairs(tmp_path / "set", lengths=[10 * RATE])
    whole = np.random.default_rng(1).uniform(-0.5, 0.5, 10 * RATE).astype(np.float32)
    soundfile.write(next((folder / "noisy").iterdir()), whole, RATE, subtype="FLOAT")
    source = pair_source(folder)
    starts = set()
    for index in range(20):
        noisy = source.clip(index).noisy
        start = int(np.argmin(np.abs(whole[: 1 - RATE] - noisy[0]) + np.abs(whole[1 : 2 - RATE] - noisy[1])))
        np.testing.assert_allclose(noisy, whole[start : start + RATE], atol=2e-5)
        starts.add(start // RATE)
    assert len(starts) >= 5


def test_short_pairs_are_strung_together(tmp_path: Path) -> None:
    source = pair_source(write_pairs(tmp_path / "set", lengths=[RATE // 4, RATE // 5, 100, 1]))
    steps = np.rint((source.clip(0).noisy - source.clip(0).clean) * 1000.0)
    assert (steps > 0.0).all()
    assert len(set(steps)) > 1


def test_a_silent_target_is_a_clip_of_noise_alone(tmp_path: Path) -> None:
    folder = write_pairs(tmp_path / "set", lengths=[RATE] * 3)
    for path in (folder / "clean").iterdir():
        soundfile.write(path, np.zeros(RATE), RATE, subtype="PCM_16")
    mix = pair_source(folder).clip(0)
    assert not mix.clean.any()
    assert not mix.voice.any()
    assert mix.noisy.any()
    assert np.isfinite(mix.noisy).all()


def test_a_pair_whose_noisy_side_is_silent_is_left_out(tmp_path: Path) -> None:
    folder = write_pairs(tmp_path / "set", lengths=[RATE] * 3)
    soundfile.write(next((folder / "noisy").glob("*_fileid_1.wav")), np.zeros(RATE), RATE, subtype="PCM_16")
    assert sorted(pair.number for pair in pair_source(folder).pairs) == [0, 2]


def test_levels_of_pairs_vary_but_never_clip(tmp_path: Path) -> None:
    folder = write_pairs(tmp_path / "set", lengths=[2 * RATE] * 3)
    plain = pair_source(folder)
    varied = pair_source(folder, level_db=(-20.0, 40.0))
    ratios = []
    for index in range(20):
        mix = varied.clip(index)
        assert max(np.abs(mix.noisy).max(), np.abs(mix.clean).max()) <= 1.0
        ratios.append(float(np.abs(mix.noisy).max() / np.abs(plain.clip(index).noisy).max()))
    assert min(ratios) < 0.5
    assert max(ratios) > 1.5


@pytest.mark.parametrize("rate", [16000, 32000, 48000])
def test_pairs_of_another_rate_are_resampled_with_a_notice(
    tmp_path: Path, rate: int, capsys: pytest.CaptureFixture[str]
) -> None:
    source = pair_source(write_pairs(tmp_path / "set", lengths=[2 * RATE] * 3), rate)
    mix = source.clip(0)
    assert (source.rate, source.length, len(mix.noisy)) == (rate, rate, rate)
    notice = f"resampled to {rate} Hz: 3 of 16000 Hz"
    assert (notice in capsys.readouterr().err) == (rate != 16000)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: (path / "clean/clean_fileid_3.wav").unlink(), "no clean file for ids 3 of noisy; add them"),
        (
            lambda path: [(path / f"clean/clean_fileid_{number}.wav").unlink() for number in range(7)],
            r"no clean file for ids 0, 1, 2, 3, 4 and 2 more of noisy",
        ),
        (
            lambda path: next((path / "noisy").glob("*_fileid_7.wav")).unlink(),
            "no noisy file for ids 7 of clean",
        ),
        (
            lambda path: (path / "clean/clean_fileid_3.wav").rename(path / "clean/clean_fileid_33.wav"),
            "no clean file for ids 3 of noisy; no noisy file for ids 33 of clean",
        ),
        (
            lambda path: soundfile.write(path / "noisy/stray.wav", np.ones(9), RATE),
            "no _fileid_N at the end of",
        ),
        (
            lambda path: soundfile.write(path / "clean/clean_fileid_03.flac", np.ones(9) / 2, RATE),
            "more than one clean file for ids 3",
        ),
        (
            lambda path: soundfile.write(path / "clean/clean_fileid_3.wav", np.full(5000, 0.1), RATE),
            r"noisy and clean differ in length for ids 3 \(1.00 and 0.31 s\)",
        ),
        (lambda path: (path / "noisy").rename(path / "nosy"), "has no folder noisy"),
        (lambda path: [file.unlink() for file in (path / "noisy").iterdir()], "holds no audio file"),
        (lambda path: (path / "clean/clean_fileid_3.wav").write_bytes(b"RIFF"), "cannot be decoded"),
    ],
)
def test_pairs_that_do_not_fit_are_named(tmp_path: Path, spoil: Callable[[Path], object], message: str) -> None:
    folder = write_pairs(tmp_path / "set", lengths=[RATE] * 9)
    spoil(folder)
    with pytest.raises(DataError, match=message):
        read_pairs(folder, RATE, tmp_path / "work")


def test_no_reader_is_on_both_sides(tmp_path: Path) -> None:
    folder = write_pairs(tmp_path / "set", lengths=[RATE] * 12, readers=4)
    groups = read_pairs(folder, RATE, tmp_path / "work")
    assert [len(group.pairs) for group in groups] == [3, 3, 3, 3]
    training, validation = sides(folder, tmp_path)
    numbers = [{pair.number % 4 for pair in source.pairs} for source in (training, validation)]
    assert all(numbers)
    assert not numbers[0] & numbers[1]


def sides(folder: Path, work: Path, seed: int = 1) -> tuple[PairSource, PairSource]:
    one, other = open_sources(BlendConfig(pairs=(folder,), validation=0.3), MIX, RATE, work / "work", seed)
    assert isinstance(one, PairSource)
    assert isinstance(other, PairSource)
    return one, other


def test_a_file_with_two_readers_keeps_both_on_one_side(tmp_path: Path) -> None:
    [pair] = pair_source(write_pairs(tmp_path / "set", lengths=[RATE])).pairs
    names = [
        "reader_1_a_fileid_1",
        "reader_2_a_reader_3_b_fileid_2",
        "reader_3_fileid_3",
        "book_7_fileid_4",
        "x_fileid_0",
    ]
    groups = group_pairs("set/", [(name, pair) for name in names])
    assert [(group.name, len(group.pairs)) for group in groups] == [
        ("set/book_7", 1), ("set/fileid_0", 1), ("set/reader_1", 1), ("set/reader_2", 2),
    ]  # fmt: skip


def test_the_split_of_pairs_depends_on_the_seed_alone(tmp_path: Path) -> None:
    folder = write_pairs(tmp_path / "set", lengths=[RATE] * 12)
    kept = [{pair.number for pair in sides(folder, tmp_path, seed)[1].pairs} for seed in (1, 1, 2, 3)]
    assert kept[0] == kept[1]
    assert kept[0] != kept[2] or kept[0] != kept[3]


class Numbers:
    """A source whose clips tell their index."""

    def __init__(self, sign: int, rate: int = RATE) -> None:
        self.sign, self.rate, self.length = sign, rate, 1

    def clip(self, index: int) -> Mix:
        sample = np.full(1, self.sign * (index + 1), np.float32)
        return Mix(sample, sample, sample, 0.0)


@pytest.mark.parametrize("share", [0.0, 0.1, 1 / 3, 0.5, 0.77, 1.0])
def test_a_blend_keeps_its_share_and_leaves_no_clip_out(share: float) -> None:
    blend = Blend(Numbers(1), Numbers(-1), share)
    drawn = [int(blend.clip(index).noisy[0]) for index in range(200)]
    first, second = [number for number in drawn if number > 0], [-number for number in drawn if number < 0]
    assert first == list(range(1, len(first) + 1))
    assert second == list(range(1, len(second) + 1))
    for stop in range(1, 201):
        assert abs(sum(number > 0 for number in drawn[:stop]) - share * stop) < 1.0 + 1e-9


def test_sources_of_two_rates_do_not_blend() -> None:
    with pytest.raises(DataError, match="one rate"):
        Blend(Numbers(1), Numbers(-1, 48000), 0.5)


def test_own_pairs_come_in_their_share(tmp_path: Path) -> None:
    """The noise of own pairs is a step below zero, that of the others one above."""
    base = write_pairs(tmp_path / "base", lengths=[2 * RATE] * 6)
    own = write_pairs(tmp_path / "own", lengths=[2 * RATE] * 6, sign=-1.0)
    data = BlendConfig(pairs=(base,), own=(own,), own_share=0.25, validation=0.3)
    for source in open_sources(data, MIX, RATE, tmp_path / "work", 1):
        mixes = [source.clip(index) for index in range(40)]
        assert sum(float(np.mean(mix.noisy - mix.clean)) < 0.0 for mix in mixes) == 10


def test_own_speech_is_mixed_with_own_noise_even_of_one_file_each(tmp_path: Path) -> None:
    base = write_pairs(tmp_path / "base", lengths=[2 * RATE] * 6)
    rng = np.random.default_rng(1)
    for name in ("speech", "noise"):
        (tmp_path / "own" / name).mkdir(parents=True)
        soundfile.write(tmp_path / "own" / name / "one.wav", 0.1 * rng.standard_normal(20 * RATE), RATE)
    data = BlendConfig(pairs=(base,), own=(tmp_path / "own",), own_share=1.0)
    training, validation = open_sources(data, MIX, RATE, tmp_path / "work", 1)
    for source in (training, validation):
        assert source.clip(1).noisy.any()
    assert isinstance(training, Blend)
    assert isinstance(validation, Blend)
    kept = [set(stretches(side.first)) for side in (training, validation)]
    assert all(kept)
    assert not kept[0] & kept[1]


def stretches(source: ClipSource) -> list[int]:
    return [recording.start for voice in source.corpus.voices for recording in voice.recordings]  # type: ignore[attr-defined]


def test_own_speech_without_noise_takes_the_noise_of_the_others(tmp_path: Path) -> None:
    speech, noise = write_packs(tmp_path)
    (tmp_path / "own").mkdir()
    (speech).rename(tmp_path / "own" / "speech")
    base = write_pairs(tmp_path / "base", lengths=[2 * RATE] * 6)
    alone = BlendConfig(pairs=(base,), own=(tmp_path / "own",))
    with pytest.raises(DataError, match="has no folder noise, and"):
        open_sources(alone, MIX, RATE, tmp_path / "work", 1)
    both = BlendConfig((tmp_path / "own" / "speech",), (noise,), own=(tmp_path / "own",), pairs=(base,))
    training, _ = open_sources(both, MIX, RATE, tmp_path / "work", 1)
    assert all(training.clip(index).noisy.any() for index in range(8))


def test_own_noise_alone_is_mixed_with_the_speech_of_the_others(tmp_path: Path) -> None:
    speech, noise = write_packs(tmp_path)
    (tmp_path / "own" / "noise").mkdir(parents=True)
    steady = np.full(20 * RATE, 0.25)  # a constant, by which the own noise is told from the others
    soundfile.write(tmp_path / "own" / "noise" / "room.wav", steady, RATE)
    base = write_pairs(tmp_path / "base", lengths=[2 * RATE] * 6)
    with pytest.raises(DataError, match="has no folder speech, and"):
        open_sources(BlendConfig(pairs=(base,), own=(tmp_path / "own",)), MIX, RATE, tmp_path / "work", 1)
    data = BlendConfig((speech,), (noise,), own=(tmp_path / "own",), own_share=1.0)
    for source in open_sources(data, MIX, RATE, tmp_path / "work", 1):
        assert isinstance(source, Blend)
        assert {each.name.split()[0] for each in source.first.corpus.noises} == {"room"}  # type: ignore[attr-defined]
        assert source.first.corpus.voices  # type: ignore[attr-defined]
        assert source.clip(1).noisy.any()


def test_a_folder_without_own_recordings_is_refused(tmp_path: Path) -> None:
    base = write_pairs(tmp_path / "base", lengths=[2 * RATE] * 3)
    data = BlendConfig(pairs=(base,), own=(base / "noisy",))
    with pytest.raises(
        DataError, match="holds no own recordings; they lie in clean/ and noisy/, or in speech/, noise/ or"
    ):
        open_sources(data, MIX, RATE, tmp_path / "work", 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("speech = ['a']", "'speech' without 'noise' makes no mixture"),
        ("noise = ['a']\npairs = ['b']", "'noise' without 'speech' makes no mixture"),
        ("own = ['a']", "there is nothing to train on"),
        ("pairs = ['a']\nown_share = 1.5", "'own_share' is a share"),
        ("pairs = ['a']\npairs_db = [3, 0]", r"'pairs_db' is \[lowest, highest\]"),
        ("pairs = ['a']\nvalidation = 0", "'validation' is the share of data kept"),
        ("pair = ['a']", "no setting called 'pair'; did you mean 'pairs'"),
    ],
)
def test_data_settings_that_do_not_fit_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "data.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        load_config(path, lambda table: build(table, BlendConfig))


def all_kinds(folder: Path) -> ClipSource:
    """A source of mixtures, pairs and own recordings."""
    speech, noise = write_packs(folder)
    base = write_pairs(folder / "base", lengths=[2 * RATE] * 6)
    data = BlendConfig((speech,), (noise,), pairs=(base,), own=(base,))
    return open_sources(data, MIX, RATE, folder / "work", 1)[0]


def test_a_clip_is_the_same_in_any_process(tmp_path: Path) -> None:
    source = all_kinds(tmp_path)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        for index, mix in enumerate(pool.map(source.clip, range(8))):
            assert_same(mix, source.clip(index))


def test_a_source_is_pickled_without_its_audio(tmp_path: Path) -> None:
    source = all_kinds(tmp_path)
    written = pickle.dumps(source)
    assert len(written) < 20000  # the audio is 100 times that
    assert_same(pickle.loads(written).clip(5), source.clip(5))
