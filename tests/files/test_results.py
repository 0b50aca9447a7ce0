"""Results of earlier runs are known again, and no file is written over one that is to be read."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from denoise_wrapper import AudioError, DenoiseError, Denoiser, FileError
from denoise_wrapper.cli import main as cli
from denoise_wrapper.compare.clips.inputs import find_inputs
from denoise_wrapper.compare.clips.sets import read_set
from denoise_wrapper.files.results import DONE, LIST, note_result, part_results

RATE = 16000
pytestmark = pytest.mark.fault


def recording(path: Path, seed: int = 1, seconds: float = 0.3) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    name = os.fsencode(path) if os.name != "nt" else path  # which need not be UTF-8
    soundfile.write(name, 0.1 * np.random.default_rng(seed).standard_normal(round(seconds * RATE)), RATE)
    return path


def cleaned_from(folder: Path, out: Path | None) -> set[str]:
    """The files of a folder that a run on it cleans."""
    results = Denoiser().filter_files(folder, out, overwrite=True)
    assert all(result.error is None for result in results)
    return {str(result.source.relative_to(folder)) for result in results}


@pytest.mark.parametrize("again", [None, "elsewhere", "calls/again"])
@pytest.mark.parametrize("first", [None, "calls/clean", "calls"])
def test_a_folder_stands_for_its_recordings_whatever_was_cleaned_before(
    tmp_path: Path, first: str | None, again: str | None
) -> None:
    folder = tmp_path / "calls"
    for number, name in enumerate(("a.wav", "b.flac", "deep/c.wav")):
        recording(folder / name, number)
    if first == "calls":  # under names of their own, of another format
        for name in ("a.wav", "b.flac", "deep/c.wav"):
            Denoiser().filter_file(folder / name, (folder / name).with_name(f"clean-{Path(name).stem}.ogg"))
    else:
        Denoiser().filter_files(folder, None if first is None else tmp_path / first)
    for _ in range(2):
        made = cleaned_from(folder, None if again is None else tmp_path / again)
        assert made == {"a.wav", "b.flac", "deep/c.wav"}


def test_a_folder_of_results_alone_is_refused_in_a_line_that_says_so(tmp_path: Path) -> None:
    Denoiser().filter_file(recording(tmp_path / "a.wav"), tmp_path / "b.wav", overwrite=True)
    (tmp_path / "a.wav").unlink()
    (result,) = Denoiser().filter_files(tmp_path)
    assert "but 1 result of earlier runs" in str(result.error)


def test_a_result_is_known_after_it_was_renamed_and_its_folder_copied(tmp_path: Path) -> None:
    Denoiser().filter_file(recording(tmp_path / "in/a.wav"), tmp_path / "in/b.wav")
    (tmp_path / "in/b.wav").rename(tmp_path / "in/c.wav")
    shutil.copytree(tmp_path / "in", tmp_path / "copy", copy_function=shutil.copyfile)
    others, results = part_results(sorted((tmp_path / "copy").glob("*.wav")))
    assert [path.name for path in others] == ["a.wav"]
    assert [path.name for path in results] == ["c.wav"]


def test_a_new_recording_under_the_name_of_a_result_is_no_result(tmp_path: Path) -> None:
    source = recording(tmp_path / "a.wav")
    Denoiser().filter_file(source, source, overwrite=True)
    assert part_results([source]) == ([], [source])
    recording(source, seed=2)
    assert part_results([source]) == ([source], [])


def test_the_list_holds_each_result_once_and_names_of_any_bytes(tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"caf\xe9\n.wav") if os.name != "nt" else tmp_path / "cafe.wav"
    for path in (recording(tmp_path / "a.wav"), recording(odd, 2), recording(tmp_path / f"b{DONE}.wav", 3)):
        for _ in range(2):
            note_result(path)
    lines = (tmp_path / LIST).read_text(encoding="utf-8").splitlines()
    assert len(lines) == 2
    assert all(len(line.partition(" ")[0]) == 64 for line in lines)


def test_a_result_that_is_named_among_others_is_not_cleaned_again(tmp_path: Path) -> None:
    source, result = recording(tmp_path / "a.wav"), tmp_path / "b.wav"
    Denoiser().filter_file(source, result)
    first, second = Denoiser().filter_files([source, result], tmp_path / "out")
    assert "the result of an earlier run" in str(first.error)
    assert first.source == result
    assert second.target == tmp_path / "out/a.wav"
    (alone,) = Denoiser().filter_files([result], tmp_path / "out")
    assert alone.error is None


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("linked", [False, True])
def test_a_plan_that_writes_over_an_input_is_refused_before_anything_is_written(
    tmp_path: Path, jobs: int, linked: bool
) -> None:
    first, second = recording(tmp_path / "q.wav"), recording(tmp_path / "q_denoised.wav", 2)
    if linked:
        (tmp_path / "links").mkdir()
        second = tmp_path / "links" / "other.wav"
        second.symlink_to("../q_denoised.wav")
    before = {path: path.read_bytes() for path in (first, second)}
    for order in ([first, second], [second, first]):
        with pytest.raises(FileError, match="to be cleaned too"):
            Denoiser().filter_files(order, overwrite=True, jobs=jobs)
    with pytest.raises(FileError, match="both be written"):
        Denoiser()._filter_pairs([(first, tmp_path / "x.wav"), (second, tmp_path / "./x.wav")], overwrite=True)
    assert {path: path.read_bytes() for path in (first, second)} == before
    assert not (tmp_path / "x.wav").exists()


def test_a_file_may_be_written_over_itself(tmp_path: Path) -> None:
    sources = [recording(tmp_path / "a.wav"), recording(tmp_path / "b.wav", 2)]
    results = Denoiser()._filter_pairs([(source, source) for source in sources], overwrite=True)
    assert [result.error for result in results] == [None, None]


def test_a_comparison_takes_no_result_for_a_clip(tmp_path: Path) -> None:
    recording(tmp_path / "calls/a.wav")
    Denoiser().filter_files(tmp_path / "calls")
    Denoiser().filter_files(tmp_path / "calls", tmp_path / "calls/clean")
    with pytest.warns(UserWarning, match="left out, as results of earlier runs"):
        clips, skipped = find_inputs([tmp_path / "calls"])
    assert [clip.id for clip in clips] == ["a"]
    assert not skipped


def test_a_set_has_no_clip_that_is_a_result(tmp_path: Path) -> None:
    for part in ("clean", "noisy"):
        recording(tmp_path / part / "a.wav")
    Denoiser().filter_files(tmp_path / "noisy")
    assert [clip.id for clip in read_set(tmp_path)] == ["a"]
    assert [clip.id for clip in find_inputs([tmp_path])[0]] == ["a"]


def test_what_a_folder_left_out_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recording(tmp_path / "a.wav")
    for _ in range(2):
        assert cli.main(["filter", str(tmp_path), "--overwrite"]) == 0
    assert "left out: 1 result of earlier runs" in capsys.readouterr().err


# ---- what a callback raises ----


class Own(Exception):
    pass


RAISED = (
    OSError(28, "the caller's own disk is full"),
    FileExistsError("x"),
    StopIteration(3),
    ValueError("mine"),
    Own(),
    DenoiseError("mine"),
    FileError("mine"),
    AudioError("mine"),
    KeyboardInterrupt(),
)


@pytest.mark.parametrize("error", RAISED, ids=repr)
def test_what_a_callback_raises_comes_out_as_it_is(tmp_path: Path, error: BaseException) -> None:
    source = recording(tmp_path / "a.wav", seconds=2.5)

    def fail(*_: object) -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        Denoiser().filter_file(source, progress=fail)
    assert caught.value is error
    for name in ("progress", "done"):
        with pytest.raises(type(error)) as caught:
            Denoiser()._filter_pairs([(source, tmp_path / "b.wav")], **{name: fail})  # type: ignore[arg-type]
        assert caught.value is error
    assert {path.name for path in tmp_path.iterdir()} <= {"a.wav", "b.wav", LIST}
    assert not (tmp_path / f"a{DONE}.wav").exists()


def test_an_error_of_the_system_within_a_backend_is_not_taken_for_one_of_writing(tmp_path: Path) -> None:
    from fakes import FakeBackend, FakeState

    class Broken(FakeBackend):
        def new_state(self, channels: int) -> FakeState:
            return BrokenState(self, channels)

    class BrokenState(FakeState):
        def process(self, block: object, min_gain: float = 0.0) -> tuple[object, object]:  # type: ignore[override]
            raise ConnectionResetError(104, "the network is gone")

    with pytest.raises(ConnectionResetError, match="the network is gone"):
        Denoiser(Broken("broken")).filter_file(recording(tmp_path / "a.wav"))
