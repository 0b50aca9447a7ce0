"""Feature files: both forms written and read, of 87 columns and of 98, and what is said of those that are no use."""

from __future__ import annotations

import builtins
import errno
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from feature_rows import bare, made_rows
from require import require

torch = require("torch", reason="training needs torch: pip install denoise-wrapper[training]")
h5py = require("h5py", reason="HDF5 needs h5py: pip install denoise-wrapper[training]")

from training_packs import MIX, write_packs  # noqa: E402

from denoise_wrapper.atomic import atomic_path  # noqa: E402
from denoise_wrapper.backends.features import FeatureExtractor  # noqa: E402
from denoise_wrapper.cli.main import main  # noqa: E402
from denoise_wrapper.errors import ConfigError, DataError, FileError  # noqa: E402
from denoise_wrapper.training.config import DataConfig  # noqa: E402
from denoise_wrapper.training.mix.mixing import Mix  # noqa: E402
from denoise_wrapper.training.rnnoise import feature_files  # noqa: E402
from denoise_wrapper.training.rnnoise.config import FeatureConfig, NetworkConfig, RNNoiseConfig  # noqa: E402
from denoise_wrapper.training.rnnoise.extract import convert_features, extract_features, mix_rows  # noqa: E402
from denoise_wrapper.training.rnnoise.feature_files import (  # noqa: E402
    SEQUENCE,
    WIDTHS,
    FeatureFile,
    FeatureWriter,
    open_feature_file,
)
from denoise_wrapper.training.rnnoise.features import LAYOUTS  # noqa: E402

FAMILIES = ("classic", "v0.2")
FORMS = (".f32", ".h5")


def write_file(path: Path, family: str, rows: np.ndarray) -> Path:
    with FeatureWriter(path, path.suffix, family, len(rows)) as writer:
        for first in range(0, len(rows), 777):
            writer.write(rows[first : first + 777])
    return path


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_written_is_what_the_loop_reads(tmp_path: Path, family: str, form: str) -> None:
    rows, layout = made_rows(family, 4 * SEQUENCE + 100), LAYOUTS[family]
    training, validation = open_feature_file(write_file(tmp_path / f"a{form}", family, rows), family)
    assert (len(training), len(validation), training.frames) == (3, 1, SEQUENCE)
    for source, clip, sequence in ((training, 2, 2), (validation, 0, 3)):
        read = source.read(clip, 150, 30)
        wanted = rows[sequence * SEQUENCE + 150 : sequence * SEQUENCE + 180]
        assert read.shape == (30, layout.columns)
        assert read.dtype == np.float32
        np.testing.assert_array_equal(read[:, layout.features], wanted[:, : layout.feature_count])
        np.testing.assert_array_equal(read[:, layout.gains], wanted[:, layout.gains])
        np.testing.assert_array_equal(read[:, layout.voice], wanted[:, -1])
        assert np.isnan(read[:, layout.energy]).all()


def test_a_clip_ends_with_its_sequence(tmp_path: Path) -> None:
    source = FeatureFile(write_file(tmp_path / "a.f32", "classic", made_rows("classic", 2 * SEQUENCE)), "classic")
    assert len(source.read(0, SEQUENCE - 10, 30)) == 10
    with pytest.raises(IndexError):
        source.read(2, 0, 1)


def test_the_last_tenth_is_for_validation(tmp_path: Path) -> None:
    rows = np.zeros((30 * SEQUENCE, 87), np.float32)
    training, validation = open_feature_file(write_file(tmp_path / "a.h5", "classic", rows), "classic")
    assert (len(training), len(validation), validation.first) == (27, 3, 27)


@pytest.mark.parametrize("form", FORMS)
def test_a_source_pickles_by_its_path(tmp_path: Path, form: str) -> None:
    path = write_file(tmp_path / f"a{form}", "v0.2", made_rows("v0.2", 3 * SEQUENCE))
    _, validation = open_feature_file(path, "v0.2")
    again = pickle.loads(pickle.dumps(validation))
    np.testing.assert_array_equal(again.read(0, 5, 7), validation.read(0, 5, 7))


@pytest.mark.parametrize("dataset", ["data", "training", "deep/inside"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_any_single_table_of_an_hdf5_file_will_do(tmp_path: Path, dataset: str, dtype: str) -> None:
    rows = made_rows("classic", 2 * SEQUENCE)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset(dataset, data=rows.astype(dtype))
        file.create_dataset("note", data=np.arange(3))
    training, _ = open_feature_file(tmp_path / "a.h5", "classic")
    np.testing.assert_array_equal(training.read(0, 0, 9)[:, :64], rows.astype(dtype)[:9, :64].astype(np.float32))


def test_of_several_tables_the_one_called_data_is_read(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("data", data=np.zeros((2 * SEQUENCE, 87), np.float32))
        file.create_dataset("other", data=np.zeros((10, 3), np.float32))
    assert len(FeatureFile(tmp_path / "a.h5", "classic")) == 2
    with h5py.File(tmp_path / "b.h5", "w") as file:
        for name in "xy":
            file.create_dataset(name, data=np.zeros((10, 87), np.float32))
    with pytest.raises(DataError, match="no dataset called 'data' of rows; those of two dimensions are: x, y"):
        FeatureFile(tmp_path / "b.h5", "classic")


def hdf5(path: Path, rows: np.ndarray) -> Path:
    with h5py.File(path, "w") as file:
        file.create_dataset("data", data=rows)
    return path


def spoilt(family: str, row: int, column: int, value: float) -> np.ndarray:
    rows = made_rows(family, 2 * SEQUENCE)
    rows[row, column] = value
    return rows


def swapped() -> np.ndarray:
    """Rows from a machine of the other byte order."""
    return np.asarray(made_rows("classic", 4100).byteswap())


def cut_hdf5(path: Path) -> Path:
    data = hdf5(path, made_rows("classic", 2 * SEQUENCE)).read_bytes()
    path.write_bytes(data[: len(data) // 2])
    return path


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda f: bare(f / "a.f32", np.zeros((0, 87))), DataError, "a.f32 is empty; extract the features anew"),
        (lambda f: f / "absent.h5", FileError, "absent.h5 cannot be read .*; give the path of a feature file"),
        (lambda f: f, FileError, "cannot be read"),
        (lambda f: bare(f / "a.f32", made_rows("classic", 4100), cut=4), DataError, "no whole number .* cut short"),
        (lambda f: bare(f / "a.f32", made_rows("v0.2", 4100)), DataError, "fits the v0.2 network: see "),
        (lambda f: bare(f / "a.f32", made_rows("v0.2", 87 * 60)), DataError, "has a (gain|voice label) of "),
        (lambda f: bare(f / "a.f32", np.zeros((SEQUENCE, 87))), DataError, "2000 rows, 1 whole sequences of 2000"),
        (lambda f: hdf5(f / "a.h5", made_rows("v0.2", 4100)), DataError, '98 columns: .*set .network. family = "v0.2"'),
        (lambda f: hdf5(f / "a.h5", np.zeros((4100, 88), "f4")), DataError, r"88 columns; wanted are 87 \(classic\)"),
        (lambda f: hdf5(f / "a.h5", np.zeros((0, 87), "f4")), DataError, "holds no row"),
        (lambda f: hdf5(f / "a.h5", np.zeros((4100, 87), "i4")), DataError, "of type int32, but features are floating"),
        (lambda f: hdf5(f / "a.h5", np.zeros((2, 2050, 87), "f4")), DataError, "no dataset called 'data' .*: none"),
        (lambda f: cut_hdf5(f / "a.h5"), DataError, "is no whole HDF5 file"),
        (lambda f: bare(f / "a.h5", made_rows("classic", 4100)), DataError, "is no HDF5 file, whatever its name says"),
        (lambda f: bare(f / "a.f32", spoilt("classic", 3210, 5, np.nan)), DataError, "row 3210, column 5 is nan"),
        (lambda f: hdf5(f / "a.h5", spoilt("classic", 17, 86, np.inf)), DataError, "row 17, column 86 is inf"),
        (lambda f: bare(f / "a.f32", spoilt("classic", 7, 50, 3.0)), DataError, "row 7 has a gain of 3, not within"),
        (lambda f: bare(f / "a.f32", spoilt("classic", 9, 86, -1.0)), DataError, "row 9 has a voice label of -1"),
        (lambda f: bare(f / "a.f32", swapped()), DataError, "are not features|must be finite"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_trained_on_is_refused_in_words(
    tmp_path: Path, make: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        open_feature_file(make(tmp_path), "classic")


def test_an_unknown_family_is_refused(tmp_path: Path) -> None:
    path = bare(tmp_path / "a.f32", made_rows("classic", 4100))
    with pytest.raises(ConfigError, match=r"classic or v0.2, not 'v3'"):
        open_feature_file(path, "v3")


def test_without_h5py_hdf5_is_refused_in_words_and_bare_files_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = hdf5(tmp_path / "a.h5", made_rows("classic", 4100))
    plain = bare(tmp_path / "a.f32", made_rows("classic", 4100))
    real = builtins.__import__

    def absent(name: str, *rest: Any) -> Any:
        if name == "h5py":
            raise ModuleNotFoundError("no", name="h5py")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(ConfigError, match=r"h5py: pip install 'denoise-wrapper\[training\]"):
        open_feature_file(path, "classic")
    assert len(open_feature_file(plain, "classic")[0]) == 1


def test_reading_takes_a_file_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers that ask for 30 frames get 30 read, and the check takes so many rows at a time."""
    path = write_file(tmp_path / "a.h5", "classic", made_rows("classic", 3 * SEQUENCE))
    most, real = 0, feature_files.read_rows

    def watched(rows: Any, first: int, last: int) -> Any:
        nonlocal most
        most = max(most, last - first)
        return real(rows, first, last)

    monkeypatch.setattr(feature_files, "read_rows", watched)
    monkeypatch.setattr(feature_files, "BLOCK", 500)
    training, _ = open_feature_file(path, "classic")
    assert most == 500
    most = 0
    training.read(1, 40, 30)
    assert most == 30
    assert training.rows.chunks == (250, 87)


def mixture() -> Mix:
    rng = np.random.default_rng(3)
    clean, noise = (rng.standard_normal(48000).astype(np.float32) * level for level in (0.1, 0.03))
    return Mix(clean + noise, clean, np.ones(100, np.float32), 24000.0)


def test_rows_are_what_the_engine_extracts() -> None:
    mix = mixture()
    for family, layout in LAYOUTS.items():
        rows, extracted = mix_rows(mix, family), FeatureExtractor(family).extract(mix.noisy, mix.clean)
        assert rows.shape == (100, WIDTHS[family])
        np.testing.assert_array_equal(rows[:, layout.features], extracted.features)
        np.testing.assert_array_equal(rows[:, layout.gains], extracted.gains)
        np.testing.assert_array_equal(rows[:, -1], mix.voice)
    noise = mix.noisy - mix.clean
    energy = FeatureExtractor("classic").extract(noise, noise).energy
    np.testing.assert_allclose(mix_rows(mix, "classic")[:, 64:86], np.log10(energy + 0.01), rtol=1e-6)


def settings(folder: Path, family: str) -> RNNoiseConfig:
    speech, noise = write_packs(folder)
    return RNNoiseConfig(
        folder / "work",
        DataConfig((speech,), (noise,), validation=0.3),
        mix=MIX,
        features=FeatureConfig(hours=0.02),
        network=NetworkConfig(family=family),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(("family", "form"), [("classic", ".h5"), ("v0.2", ".f32")])
def test_mixtures_become_a_feature_file(tmp_path: Path, family: str, form: str) -> None:
    config = settings(tmp_path, family)
    path = tmp_path / f"a{form}"
    assert extract_features(config, path, 4100) == 4100
    training, validation = open_feature_file(path, family)
    assert len(training.rows) == 4100
    assert (len(training), len(validation)) == (1, 1)
    layout = training.layout
    for source in (training, validation):
        rows = source.read(0, 0, SEQUENCE)
        assert np.ptp(rows[:, 0]) > 1.0
        assert {0.0, 1.0} <= set(rows[:, layout.voice])
        assert (rows[:, layout.gains] > 0.9).any()
        assert (rows[:, layout.gains] == -1.0).any()


def test_more_processes_make_the_same_file(tmp_path: Path) -> None:
    config = settings(tmp_path, "classic")
    for name, processes in (("a.f32", 1), ("b.f32", 2)):
        more = RNNoiseConfig(config.work_dir, config.data, mix=MIX, features=FeatureConfig(processes=processes))
        extract_features(more, tmp_path / name, 4000)
    assert (tmp_path / "a.f32").read_bytes() == (tmp_path / "b.f32").read_bytes()


def test_a_file_of_less_than_two_sequences_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least 4000 rows"):
        extract_features(settings(tmp_path, "classic"), tmp_path / "a.f32", 3999)


@pytest.mark.parametrize("family", FAMILIES)
def test_one_form_becomes_the_other_and_back_bit_for_bit(tmp_path: Path, family: str) -> None:
    rows = made_rows(family, 4321)
    bare(tmp_path / "a.f32", rows)
    assert convert_features(tmp_path / "a.f32", tmp_path / "b.h5") == (4321, family)
    with h5py.File(tmp_path / "b.h5") as file:
        assert list(file) == ["data"]
        assert (file["data"].shape, file["data"].dtype) == ((4321, WIDTHS[family]), np.float32)
    assert main(["data", "features", str(tmp_path / "b.h5"), "-o", str(tmp_path / "c.f32")]) == 0
    assert (tmp_path / "c.f32").read_bytes() == (tmp_path / "a.f32").read_bytes()


def test_a_bare_file_that_fits_both_networks_needs_to_be_told(tmp_path: Path) -> None:
    bare(tmp_path / "a.f32", made_rows("v0.2", 87 * 50))
    with pytest.raises(DataError, match="say --family"):
        convert_features(tmp_path / "a.f32", tmp_path / "b.h5")
    assert convert_features(tmp_path / "a.f32", tmp_path / "b.h5", "v0.2") == (87 * 50, "v0.2")


def test_features_by_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_packs(tmp_path)
    monkeypatch.chdir(tmp_path)
    Path("a.toml").write_text(
        'work_dir = "work"\n[data]\nspeech = ["speech"]\nnoise = ["noise"]\nvalidation = 0.3\n[mix]\nspeech_peaks = 0\n'
    )
    assert main(["data", "features", "a.toml", "-o", "a.h5", "--rows", "4000"]) == 0
    assert capsys.readouterr().out == "a.h5: 4000 rows of the classic network, 0.011 h\n"
    assert main(["data", "features", "a.toml", "-o", "a.h5", "--rows", "4000"]) == 2
    assert "a.h5 exists" in capsys.readouterr().err
    assert main(["data", "features", "a.toml", "-o", "a.npy", "--rows", "4000"]) == 2
    assert "feature files are called NAME.f32, NAME.h5, NAME.hdf5, not NAME.npy" in capsys.readouterr().err
    assert main(["data", "features", "a.h5", "-o", "b.f32", "--rows", "4000"]) == 2
    assert main(["data", "features", "a.toml", "-o", "b.f32", "--family", "v0.2"]) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.h5", "a.toml", "noise", "speech", "work"]


@pytest.mark.parametrize("form", FORMS)
def test_a_disk_that_fills_leaves_nothing_half_written(
    tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        def __init__(self, real: Any) -> None:
            self.real = real

        def write(self, data: bytes) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        def __setitem__(self, key: Any, value: Any) -> None:
            raise OSError("[Errno 28] Can't write data (file write failed: No space left on device)")

        def __getattr__(self, name: str) -> Any:
            return getattr(self.real, name)

    def fill() -> None:
        with atomic_path(tmp_path / f"a{form}") as part, FeatureWriter(part, form, "classic", 10) as writer:
            if form == ".h5":
                writer._rows = Full(writer._rows)
            else:
                writer._stream = Full(writer._stream)
            writer.write(made_rows("classic", 10))

    with pytest.raises(FileError, match=rf"cannot write .*a\{form}: the disk is full"):
        fill()
    assert list(tmp_path.iterdir()) == []


def test_a_file_for_which_there_is_no_room_is_not_begun(tmp_path: Path) -> None:
    with (
        pytest.raises(FileError, match=r"rows take .* MB, and .* has .* MB left; make room, or ask for less"),
        atomic_path(tmp_path / "a.f32") as part,
    ):
        FeatureWriter(part, ".f32", "classic", 10**15)
    assert list(tmp_path.iterdir()) == []
