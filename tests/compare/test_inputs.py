"""Inputs of a comparison: clips with their references, candidates in words, and other programs' results."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from fakes import FakeBackend
from sets import RATE, voice, write_set

from denoise_wrapper import Denoiser
from denoise_wrapper.backends.convert import read_model, write_model
from denoise_wrapper.compare.candidates import Candidate, make_candidates, model_name, parse_candidate
from denoise_wrapper.compare.clips.cleaned import CleanedFolder
from denoise_wrapper.compare.clips.clip import Clip
from denoise_wrapper.compare.clips.inputs import find_inputs
from denoise_wrapper.errors import ConfigError, DataError, DenoiseError, FileError, ModelError
from denoise_wrapper.models.shipped import MODELS
from denoise_wrapper.stream.settings import Settings


def write(path: Path, seconds: float = 0.5, rate: int = RATE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, voice(seconds, rate), rate)
    return path


# clips


def test_a_set_gives_its_clips_with_references_and_ratios(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set", {"b": 0.0, "a": 10.0})
    clips, skipped = find_inputs([folder])
    assert [(clip.id, clip.snr_db, clip.rate, clip.frames, clip.problem) for clip in clips] == [
        ("b", 0.0, RATE, 2 * RATE, None),
        ("a", 10.0, RATE, 2 * RATE, None),
    ]
    assert [clip.clean for clip in clips] == [folder / "clean" / f"{name}.wav" for name in "ba"]
    assert clips[0].seconds == 2.0
    assert not skipped


@pytest.mark.parametrize("manifest", [True, False])
def test_a_missing_reference_is_a_clips_problem_and_a_missing_clip_is_skipped(tmp_path: Path, manifest: bool) -> None:
    folder = write_set(tmp_path / "set", dict.fromkeys("abc", 5.0), manifest)
    (folder / "clean" / "a.wav").unlink()
    (folder / "noisy" / "b.wav").unlink()
    clips, skipped = find_inputs([folder])
    assert [(clip.id, clip.clean is None) for clip in clips] == [("a", True), ("c", False)]
    assert clips[0].problem == f"{folder / 'clean'} has no reference of that name"
    assert skipped == [f"{folder / 'noisy'} lacks b: there is nothing to clean"]


def test_a_set_without_any_reference_is_still_compared(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set", {"a": 5.0})
    shutil.rmtree(folder / "clean")
    clips, _ = find_inputs([folder])
    assert clips[0].clean is None
    assert clips[0].problem is not None


def test_a_folder_gives_all_audio_files_below_it_and_files_themselves(tmp_path: Path) -> None:
    for name in ("x/one.wav", "x/deep/two.flac", "three.ogg"):
        write(tmp_path / name)
    (tmp_path / "x" / "notes.txt").write_text("no audio")
    clips, _ = find_inputs([tmp_path / "x", tmp_path / "three.ogg"])
    assert [clip.id for clip in clips] == ["deep/two", "one", "three"]
    assert all(clip.clean is None and clip.problem is None for clip in clips)


def test_ids_that_are_alike_are_told_apart(tmp_path: Path) -> None:
    for name in ("x/a.wav", "y/a.wav", "y/a.flac"):
        write(tmp_path / name)
    clips, _ = find_inputs([tmp_path / "x" / "a.wav", tmp_path / "y" / "a.wav", tmp_path / "y" / "a.flac"])
    assert [clip.id for clip in clips] == ["x/a", "y/a", "y/a (2)"]
    first, second = (write_set(tmp_path / name, {"a": 5.0}) for name in ("first", "second"))
    assert [clip.id for clip in find_inputs([first, second])[0]] == ["first/a", "second/a"]


def test_what_filter_made_of_a_file_in_the_folder_is_no_clip_unless_it_is_named(tmp_path: Path) -> None:
    for name in ("a.wav", "a_denoised.wav", "gone_denoised.wav"):
        write(tmp_path / name)
    with pytest.warns(UserWarning, match="left out, as results of earlier runs"):
        assert [clip.id for clip in find_inputs([tmp_path])[0]] == ["a"]
    assert [clip.id for clip in find_inputs([tmp_path / "a_denoised.wav"])[0]] == ["a_denoised"]


def test_references_are_a_file_or_a_folder(tmp_path: Path) -> None:
    one, other = write(tmp_path / "noisy1" / "a.wav"), write(tmp_path / "noisy1" / "b.wav")
    clean = write(tmp_path / "refs" / "a.flac")
    assert find_inputs([one], clean)[0][0].clean == clean
    clips, _ = find_inputs([one, other], clean.parent)
    assert [clip.clean for clip in clips] == [clean, None]
    assert clips[1].problem == f"{clean.parent} has no reference called b"
    with pytest.raises(DataError, match="one file, and more than one clip"):
        find_inputs([one, other], clean)
    with pytest.raises(FileError, match="no reference"):
        find_inputs([one], tmp_path / "none.wav")
    with pytest.raises(DataError, match="sets have their references in clean/"):
        find_inputs([write_set(tmp_path / "set", {"a": 5.0})], clean.parent)


def test_what_cannot_be_read_is_skipped_with_the_reason(tmp_path: Path) -> None:
    good, bad = write(tmp_path / "good.wav"), tmp_path / "bad.wav"
    bad.write_bytes(b"RIFF, or so it says")
    clips, skipped = find_inputs([good, bad])
    assert [clip.id for clip in clips] == ["good"]
    assert len(skipped) == 1
    assert str(bad) in skipped[0]
    with pytest.raises(DataError, match=r"no clip to compare on: .*bad\.wav"):
        find_inputs([bad])
    with pytest.raises(FileError, match="there is no file or folder"):
        find_inputs([tmp_path / "nowhere"])
    with pytest.raises(DataError, match="nothing was named"):
        find_inputs([])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no audio file in"):
        find_inputs([tmp_path / "empty"])


# candidates


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model file, whose name has what divides a candidate's words."""
    path = tmp_path / "a, mix=1.dnnw"
    write_model(read_model(MODELS / "rnnoise-classic.dnnw"), path, False)
    return path


def test_words_are_backends_models_pairs_and_folders(tmp_path: Path, model: Path) -> None:
    assert parse_candidate("dtln-16k") == Candidate("dtln-16k", "dtln-16k")
    assert parse_candidate(str(model)) == Candidate("a, mix=1", model=model)
    assert parse_candidate(f"{model},mix=0.5,name=half") == Candidate("half", model=model, settings=Settings(mix=0.5))
    soft = parse_candidate("rnnoise,atten-lim=12,mix=0.8")
    assert soft == Candidate("rnnoise, at most 12 dB, mix 0.8", "rnnoise", settings=Settings(12.0, 0.8))
    assert soft.description == "backend rnnoise, at most 12 dB, mix 0.8"
    first, second = (shutil.copy(MODELS / f"dtln-32k_{stage}.onnx", tmp_path / f"{stage}.onnx") for stage in (1, 2))
    pair = parse_candidate(f"{first}+{second}")
    assert (pair.name, pair.model) == ("1+2", (first, second))
    write(tmp_path / "cleaned" / "a.wav")
    others = parse_candidate(f"{tmp_path / 'cleaned'},name=theirs")
    assert others == Candidate("theirs", folder=tmp_path / "cleaned")
    assert "cleaned by another program" in others.description


@pytest.mark.parametrize(
    ("files", "name"),
    [
        (["a/mine.dnnw"], "mine"),
        (["libs/librnnoise_x.so.0.4.1"], "librnnoise_x"),
        (["room_1.onnx", "room_2.onnx"], "room"),
        (["room_1.onnx", "hall_2.onnx"], "room_1+hall_2"),
        (["runs/room"], "room"),
    ],
)
def test_a_model_is_called_as_its_files_are(files: list[str], name: str) -> None:
    assert model_name([Path(file) for file in files]) == name


@pytest.mark.parametrize("as_folder", [True, False])
def test_a_pair_is_opened_at_its_rate_and_a_model_by_its_backend(tmp_path: Path, model: Path, as_folder: bool) -> None:
    pair = tmp_path / "pair"
    pair.mkdir()
    files = [shutil.copy(MODELS / f"dtln-32k_{stage}.onnx", pair) for stage in (1, 2)]
    words = str(pair) if as_folder else "+".join(map(str, files))
    assert parse_candidate(words).open().backend.sample_rate == 32000
    assert parse_candidate(str(model)).open().backend_name == "rnnoise"
    with pytest.raises(ModelError, match="cannot be used as dtln-16k"):
        parse_candidate(f"{words},backend=dtln-16k").open()


@pytest.mark.parametrize(
    ("words", "error", "said"),
    [
        ("rnnoize", FileError, "there is no backend, file or folder rnnoize; did you mean rnnoise"),
        ("nowhere/model.rnnn", FileError, "there is no backend, file or folder nowhere/model.rnnn; backends are"),
        ("rnnoise,atten_lim=3", ConfigError, "no option 'atten_lim'; known are .*; did you mean atten-lim"),
        ("rnnoise,mix=much", ConfigError, "mix is a number, not 'much'"),
        ("rnnoise,mix=2", ConfigError, "mix is 0 .* to 1"),
        ("rnnoise,mix=0,mix=1", ConfigError, "mix stands there twice"),
        ("rnnoise,backend=dtln-16k", ConfigError, "rnnoise is a backend itself"),
        (",mix=1", ConfigError, "names no candidate"),
        ("rnnoise,name=noisy", ConfigError, "what the noisy clips are called"),
        ("rnnoise,name=a/b", ConfigError, "without slashes"),
        ("rnnoise,name= ", ConfigError, "a few words"),
    ],
)
def test_words_that_mean_nothing_are_refused(words: str, error: type[DenoiseError], said: str) -> None:
    with pytest.raises(error, match=said):
        parse_candidate(words)


def test_a_folder_takes_no_strength_and_a_model_only_a_backend_that_exists(tmp_path: Path, model: Path) -> None:
    with pytest.raises(ConfigError, match="cleaned already"):
        parse_candidate(f"{tmp_path},mix=0.5")
    with pytest.raises(ConfigError, match="there is no backend 'other'"):
        parse_candidate(f"{model},backend=other")
    with pytest.raises(ConfigError, match="is nothing; wanted is"):
        Candidate("empty")


def test_names_are_made_unlike_but_chosen_ones_are_kept() -> None:
    fake = Denoiser(FakeBackend("fake"), mix=0.5)
    made = make_candidates(["rnnoise", Path("dtln-16k"), "rnnoise", fake, Candidate("mine", "rnnoise")])
    assert [one.name for one in made] == ["rnnoise", "dtln-16k", "rnnoise (2)", "fake, mix 0.5", "mine"]
    assert made[3].open().settings == fake.settings
    with pytest.raises(ConfigError, match="two candidates are called 'x'"):
        make_candidates([Candidate("x", "rnnoise"), Candidate("x", "dtln-16k")])


def test_a_shared_library_is_opened_as_one(tmp_path: Path) -> None:
    library = tmp_path / "librnnoise.so"
    library.write_bytes(b"\x7fELF and no more")
    with pytest.raises(ModelError, match="no shared library that can be loaded here"):
        parse_candidate(str(library)).open()


# other programs


def clip_of(noisy: Path, name: str | None = None) -> Clip:
    return Clip(name or noisy.stem, noisy, None, None, RATE, 8000)


def test_results_of_other_programs_are_found_by_name(tmp_path: Path) -> None:
    for name in ("a.wav", "b_DeepFilterNet3.wav", "c-1.wav", "c-2.wav", "deep/d.flac", "x_fileid_7.wav"):
        write(tmp_path / name)
    others = CleanedFolder(tmp_path)
    assert others.find(clip_of(Path("in/a.flac"), "set/a")).name == "a.wav"
    assert others.find(clip_of(Path("in/b.wav"))).name == "b_DeepFilterNet3.wav"
    assert others.find(clip_of(Path("in/d.wav"), "deep/d")).name == "d.flac"
    assert others.find(clip_of(Path("in/noisy_fileid_7.wav"), "fileid_7")).name == "x_fileid_7.wav"
    with pytest.raises(FileError, match=r"no clip called c; of names that begin so there is c-1\.wav and c-2\.wav"):
        others.find(clip_of(Path("in/c.wav")))
    with pytest.raises(FileError, match=r"no clip called e; .* none"):
        others.find(clip_of(Path("in/e.wav")))


def test_silence_of_no_frames_is_a_clip_too(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "none.wav", np.zeros(0), RATE)
    assert [(clip.frames, clip.seconds) for clip in find_inputs([tmp_path / "none.wav"])[0]] == [(0, 0.0)]
