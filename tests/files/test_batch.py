"""Many files at once: the same results as one by one, each failure for itself, and nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from denoise_wrapper import ConfigError, Denoiser, FileError
from denoise_wrapper.cli import main as cli
from denoise_wrapper.files import batch
from denoise_wrapper.files.batch import run_batch
from denoise_wrapper.files.results import LIST
from denoise_wrapper.files.watch import Watch

RATE = 16000


def make_files(folder: Path, count: int, seconds: float = 1.5, suffix: str = "wav") -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for seed in range(count):
        made.append(folder / f"{seed:02}.{suffix}")
        samples = 0.1 * np.random.default_rng(seed).standard_normal((round(seconds * RATE), 1 + seed % 2))
        soundfile.write(made[-1], samples, RATE)
    return made


def names(folder: Path) -> list[str]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != LIST)
    return sorted(str(path.relative_to(folder)) for path in files)


@pytest.mark.parametrize("jobs", [1, 3, None])
def test_files_at_once_are_what_each_is_alone_and_in_order(tmp_path: Path, jobs: int | None) -> None:
    sources, denoiser = make_files(tmp_path / "in", 5), Denoiser()
    results = denoiser.filter_files(map(str, sources), tmp_path / "out", jobs=jobs)
    assert [result.source for result in results] == sources
    for result in results:
        alone = denoiser.filter_file(result.source, tmp_path / "alone.wav", overwrite=True)
        assert result.error is None
        assert result.target == tmp_path / "out" / result.source.name
        assert result.target.read_bytes() == alone.read_bytes()
        assert result.seconds == 1.5
        assert sum(result.stages.values()) == pytest.approx(result.took)
        assert set(result.stages) == {"decoding", "resampling", "denoising", "encoding", "other"}
        assert min(result.stages.values()) > 0


def test_without_a_folder_results_are_beside_the_files_and_are_not_cleaned_again(tmp_path: Path) -> None:
    make_files(tmp_path / "a" / "b", 2)
    for _ in range(2):
        assert len(Denoiser().filter_files(str(tmp_path), overwrite=True)) == 2
        assert names(tmp_path) == ["a/b/00.wav", "a/b/00_denoised.wav", "a/b/01.wav", "a/b/01_denoised.wav"]


def test_a_file_that_fails_is_told_with_its_reason_and_the_others_are_done(tmp_path: Path) -> None:
    good = make_files(tmp_path / "in", 3)
    (tmp_path / "in" / "01.wav").write_text("this is text")
    (tmp_path / "empty").mkdir()
    inputs = [*good, tmp_path / "absent.wav", tmp_path / "empty", Path("no\0name.wav")]
    results = Denoiser().filter_files(inputs, tmp_path / "out", jobs=2)
    failed = {result.source.name: str(result.error) for result in results if result.error is not None}
    assert set(failed) == {"01.wav", "absent.wav", "empty", "no\0name.wav"}
    assert "no audio file" in failed["empty"]
    assert all(isinstance(result.error, FileError) != (result.target is not None) for result in results)
    assert names(tmp_path / "out") == ["00.wav", "02.wav"]


def test_nothing_is_replaced_unasked(tmp_path: Path) -> None:
    sources = make_files(tmp_path, 2)
    (tmp_path / "00_denoised.wav").write_bytes(b"mine")
    first, second = Denoiser().filter_files(sources, jobs=2)
    assert "exists" in str(first.error)
    assert (tmp_path / "00_denoised.wav").read_bytes() == b"mine"
    assert second.error is None


@pytest.mark.parametrize("jobs", [0, -1, 1.5, True, "2"])
def test_an_absurd_number_of_threads_is_refused(tmp_path: Path, jobs: Any) -> None:
    with pytest.raises(ConfigError, match="jobs is a number of threads"):
        Denoiser().filter_files([], jobs=jobs)


def test_two_files_are_not_written_to_one_place(tmp_path: Path) -> None:
    one, two = make_files(tmp_path / "1", 1), make_files(tmp_path / "2", 1)
    with pytest.raises(FileError, match="both"):
        Denoiser().filter_files([*one, *two], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_no_files_are_no_results() -> None:
    assert Denoiser().filter_files([]) == []


def test_as_many_files_as_jobs_are_worked_on_at_once() -> None:
    meeting = threading.Barrier(3, timeout=30)  # broken if fewer ever come

    def clean(source: Path, target: Path, watch: Watch) -> None:
        meeting.wait()

    results = run_batch(clean, [(Path(str(number)), None) for number in range(6)], 3)
    assert [str(result.source) for result in results] == list("012345")


def test_progress_goes_up_in_the_thread_of_the_caller_and_ends_whole(tmp_path: Path) -> None:
    calls: list[tuple[float, float, threading.Thread]] = []
    Denoiser().filter_files(
        make_files(tmp_path, 4),
        jobs=2,
        progress=lambda done, total: calls.append((done, total, threading.current_thread())),
    )
    assert all(thread is threading.main_thread() for _, _, thread in calls)
    assert [done for done, _, _ in calls] == sorted(done for done, _, _ in calls)
    assert calls[-1][:2] == (6.0, 6.0)


def test_telling_how_far_all_is_looks_at_open_files_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a corpus of a million files is told of and not cleaned."""
    looks, told = [0], [0]

    class Job(batch._Job):
        @property
        def watch(self) -> Watch | None:
            looks[0] += 1
            return self._watch

        @watch.setter
        def watch(self, watch: Watch | None) -> None:
            self._watch = watch

    def tell(done: float, total: float) -> None:
        told[0] += 1

    monkeypatch.setattr(batch, "_Job", Job)
    monkeypatch.setattr(batch, "TELL_S", 1e-9)
    run_batch(lambda *_: None, [(Path(str(number)), None) for number in range(300)], 2, progress=tell)
    assert told[0] >= 300
    assert looks[0] <= 2 * told[0]


def test_what_is_raised_stops_all_threads_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    """Raised by a callback, or by the work itself where it is no error of a file."""
    sources = make_files(tmp_path / "in", 4, 5)

    class Enough(Exception):
        pass

    def enough(*_: object) -> None:
        raise Enough

    with pytest.raises(Enough):
        Denoiser().filter_files(sources, tmp_path / "out", jobs=2, progress=enough)
    assert set(names(tmp_path / "out")) <= {source.name for source in sources}
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("denoise-")]

    seen = []

    def clean(source: Path, target: Path, watch: Watch) -> None:
        seen.append(source)
        if len(seen) == 2:
            raise MemoryError
        while True:  # until it is told to stop, at the next block
            watch.advance(1)
            watch.report()
            time.sleep(0.001)

    with pytest.raises(MemoryError):
        run_batch(clean, [(source, None) for source in sources], 2)
    assert len(seen) == 2


def test_the_command_tells_what_took_how_long(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_files(tmp_path, 3, suffix="flac")
    assert cli.main(["filter", str(tmp_path), "--jobs", "2", "--profile", "-q"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    head, *lines = out.splitlines()
    assert head.startswith("3 files, 4.5 s of audio: ")
    assert out.count("x real time") == head.count("x real time") == 1
    assert [line.split()[0] for line in lines] == ["decoding", "resampling", "denoising", "encoding", "other"]
    shares = [float(line.split()[3]) for line in lines]
    assert sum(shares) == pytest.approx(100, abs=0.3)
    assert shares[2] > 0


def test_the_command_tells_each_file_and_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_files(tmp_path, 3)
    assert cli.main(["filter", str(tmp_path), "--jobs", "3"]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert sorted(line.split()[0] for line in lines[:3]) == [str(tmp_path / f"0{number}.wav") for number in range(3)]
    assert lines[3].startswith("3 files: 4.5 s in ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a.wav", "--jobs", "0"], "jobs is a number of threads"),
        (["a.wav", "--jobs", "many"], "many"),
        (["-", "--profile"], "--profile: only for files"),
        (["-", "--jobs", "2"], "--jobs: only for files"),
    ],
)
def test_wrong_usage_of_jobs_is_refused(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = cli.main(["filter", *arguments])
    except SystemExit as error:
        code = int(error.code or 0)
    assert code == 2
    assert words in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="signals mean something else there")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_command_that_is_stopped_stops_all_its_threads(tmp_path: Path, number: int, code: int) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a", "b", "c"):
        with soundfile.SoundFile(tmp_path / "in" / f"{name}.wav", "w", 48000, 1, "PCM_16") as file:
            for _ in range(400):
                file.write(np.zeros(48000, np.int16))

    def heed() -> None:  # a shell makes what it starts in the background ignore Ctrl-C
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    command = [sys.executable, "-m", "denoise_wrapper", "filter", str(tmp_path / "in"), "-o", str(tmp_path / "out")]
    with subprocess.Popen([*command, "--jobs", "2"], stderr=subprocess.PIPE, preexec_fn=heed) as process:
        deadline = time.monotonic() + 60
        while len(list(tmp_path.glob("out/.*.wav"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(number)
        assert process.wait(60) == code
        assert process.stderr is not None
        said = process.stderr.read().decode().splitlines()
    whole = [line.split(" -> ")[1].split(": ")[0] for line in said if " -> " in line]
    assert [str(tmp_path / "out" / name) for name in names(tmp_path / "out")] == sorted(whole)
    assert len(said) - len(whole) <= 1
