"""`batch`: nothing lost, nothing twice, nothing where it must not be; the same bits as `filter`."""

from __future__ import annotations

import errno
import gc
import gzip
import json
import os
import signal
import subprocess
import sys
import time
import tracemalloc
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from batch_runs import batch, contents, make_files, records

from denoise_wrapper import Denoiser
from denoise_wrapper.cli import main as cli
from denoise_wrapper.cli.batch import _Progress
from denoise_wrapper.cluster.manifest import NAME, Manifest
from denoise_wrapper.cluster.metrics import served
from denoise_wrapper.cluster.plan import Task, make_tasks
from denoise_wrapper.cluster.ray_engine import start
from denoise_wrapper.cluster.run import Counts, Ledger, local_engine, run_tasks
from denoise_wrapper.cluster.work import How, Outcome
from denoise_wrapper.errors import DataError, FileError
from denoise_wrapper.files.batch import run_batch
from denoise_wrapper.files.levels import Meter
from denoise_wrapper.integrations.ray import _Rows


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    make_files(tmp_path / "in", {"a.wav": 0.2, "sub/b.flac": 0.5, "sub/deep/c.wav": 0.3})
    return tmp_path / "in"


def test_results_are_those_of_filter_and_the_tree_is_kept(corpus: Path, tmp_path: Path) -> None:
    assert batch(corpus, "-o", tmp_path / "out", "--jobs", 2, "--preset", "voice") == 0
    assert cli.main(["filter", str(corpus), "-o", str(tmp_path / "plain"), "--preset", "voice", "-q"]) == 0
    assert len(contents(tmp_path / "out")) == 3
    assert contents(tmp_path / "out") == contents(tmp_path / "plain")


def test_the_manifest_tells_of_each_file_and_the_longest_is_first(corpus: Path, tmp_path: Path) -> None:
    assert batch(corpus, "-o", tmp_path / "out", "--jobs", 1) == 0
    done = records(tmp_path / "out")
    assert [Path(line["source"]).name for line in done] == ["b.flac", "c.wav", "a.wav"]
    for line in done:
        for name, place in (("input_sha256", "source"), ("output_sha256", "target")):
            digest = subprocess.run(["sha256sum", line[place]], check=True, capture_output=True, text=True).stdout
            assert digest.split()[0] == line[name]
        assert line["attempt"] == 1
        assert line["worker"].endswith(f":{os.getpid()}")
    assert [line["seconds"] for line in done] == [0.5, 0.3, 0.2]


def test_a_second_run_is_refused_unless_it_goes_on(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert batch(corpus, "-o", tmp_path / "out") == 0
    assert batch(corpus, "-o", tmp_path / "out") == 2
    assert "tells of an earlier run, with 3 files done; --resume goes on" in capsys.readouterr().err
    assert batch(corpus, "-o", tmp_path / "out", "--resume") == 0
    assert "0 done, 3 were done before" in capsys.readouterr().err
    assert len(records(tmp_path / "out")) == 3


def test_ray_is_not_asked_for_where_nothing_is_left_to_do(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (corpus, "-o", tmp_path / "out", "--resume", "--ray", "127.0.0.1:9")  # nobody listens there
    assert batch(corpus, "-o", tmp_path / "out") == 0
    assert batch(*words) == 0
    assert "0 done, 3 were done before" in capsys.readouterr().err
    make_files(corpus, {"new.wav": 0.2})
    assert batch(*words) == 2
    assert len(records(tmp_path / "out")) == 3


def test_what_has_changed_is_done_again_and_nothing_else(corpus: Path, tmp_path: Path) -> None:
    """An input of another content, one that was only touched, a result that was cut, and other settings."""
    out = tmp_path / "out"
    assert batch(corpus, "-o", out) == 0
    make_files(corpus, {"new.wav": 0.2, "a.wav": 0.25})
    os.utime(corpus / "sub/b.flac")
    whole = (out / "sub/deep/c.wav").read_bytes()
    (out / "sub/deep/c.wav").write_bytes(whole[:-100])
    assert batch(corpus, "-o", out, "--resume", "-q") == 0
    assert sorted(Path(line["source"]).name for line in records(out)[3:]) == ["a.wav", "c.wav", "new.wav"]
    assert (out / "sub/deep/c.wav").read_bytes() == whole
    assert batch(corpus, "-o", out, "--resume", "-q", "--preset", "asr") == 0
    assert len(records(out)) == 3 + 3 + 4


def test_damage_that_keeps_size_and_time_is_found_by_verify(corpus: Path, tmp_path: Path) -> None:
    target = tmp_path / "out/a.wav"
    assert batch(corpus, "-o", tmp_path / "out") == 0
    facts, whole = target.stat(), target.read_bytes()
    target.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    os.utime(target, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert batch(corpus, "-o", tmp_path / "out", "--resume") == 0
    assert target.read_bytes() != whole
    assert batch(corpus, "-o", tmp_path / "out", "--resume", "--verify") == 0
    assert target.read_bytes() == whole


def test_a_file_that_fails_is_set_aside_with_its_reason(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (corpus / "bad.wav").write_text("this is text")
    assert batch(corpus, "-o", tmp_path / "out") == 2
    (failed,) = records(tmp_path / "out", "failed")
    assert (failed["aside"], failed["attempt"]) == (True, 1)
    assert "bad.wav" in failed["error"]
    capsys.readouterr()
    assert batch(corpus, "-o", tmp_path / "out", "--resume") == 2
    assert "set aside by an earlier run; --retry-failed tries it again" in capsys.readouterr().err
    assert len(records(tmp_path / "out", "failed")) == 1
    assert batch(corpus, "-o", tmp_path / "out", "--resume", "--retry-failed") == 2
    assert len(records(tmp_path / "out", "failed")) == 2
    make_files(corpus, {"bad.wav": 0.2})
    assert batch(corpus, "-o", tmp_path / "out", "--resume") == 0


def test_a_line_that_was_half_written_is_left_out(corpus: Path, tmp_path: Path) -> None:
    assert batch(corpus, "-o", tmp_path / "out") == 0
    path = tmp_path / "out" / NAME
    end = path.read_bytes().rindex(b'{"event": "done"')
    path.write_bytes(path.read_bytes()[: end + 30])
    assert batch(corpus, "-o", tmp_path / "out", "--resume", "-q") == 0
    assert len(records(tmp_path / "out")) == 3


def test_files_that_no_run_made_are_not_replaced_unasked(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a.wav").write_bytes(b"mine")
    assert batch(corpus, "-o", tmp_path / "out") == 2
    assert batch(corpus, "-o", tmp_path / "out", "--resume") == 2
    assert (tmp_path / "out/a.wav").read_bytes() == b"mine"
    assert len(contents(tmp_path / "out")) == 3
    assert batch(corpus, "-o", tmp_path / "out", "--overwrite") == 0
    assert (tmp_path / "out/a.wav").read_bytes() != b"mine"


@pytest.mark.parametrize(
    ("output", "words"), [("in", "is the input"), ("in/cleaned", "lies inside"), ("in/sub/../x", "lies inside")]
)
def test_an_output_in_the_input_is_refused_before_anything_is_made(
    corpus: Path, tmp_path: Path, output: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(tmp_path)
    for given in (corpus, corpus / "*.wav"):
        assert batch(given, "-o", tmp_path / output) == 2
        assert words in capsys.readouterr().err
    assert contents(tmp_path) == before


LISTS = {
    "nemo.jsonl": '{"audio_filepath": "sub/b.flac", "duration": 0.5, "text": "x"}\n{"audio_filepath": "a.wav"}\n',
    "recordings.jsonl": '{"id": "1", "sources": [{"type": "file", "channels": [0], "source": "a.wav"}]}\n'
    '{"id": "2", "recording": {"sources": [{"type": "file", "source": "sub/b.flac"}]}}\n',
    "table.csv": "id,path\n1,a.wav\n2,sub/b.flac\n",
    "table.tsv": "id\tfile_name\n1\ta.wav\n2\t./sub/b.flac\n",
    "wav.scp": "one a.wav\ntwo\tsub/b.flac\n",
}


@pytest.mark.parametrize("name", LISTS)
def test_manifests_name_files(corpus: Path, tmp_path: Path, name: str) -> None:
    (corpus / name).write_text(LISTS[name])
    assert batch(corpus / name, "-o", tmp_path / "out") == 0
    assert set(contents(tmp_path / "out")) == {"a.wav", "sub/b.flac"}


def test_a_manifest_may_be_packed_and_have_absolute_names_below_a_root(corpus: Path, tmp_path: Path) -> None:
    lines = "".join(json.dumps({"audio_filepath": str(corpus / name)}) + "\n" for name in ("a.wav", "sub/b.flac"))
    (tmp_path / "list.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    assert batch(tmp_path / "list.jsonl.gz", "-o", tmp_path / "out") == 2
    assert not (tmp_path / "out").exists()
    assert batch(tmp_path / "list.jsonl.gz", "-o", tmp_path / "out", "--root", corpus) == 0
    assert set(contents(tmp_path / "out")) == {"a.wav", "sub/b.flac"}


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("m.jsonl", '{"audio_filepath": "../a.wav"}', "has '..' in it"),
        ("m.jsonl", '{"audio_filepath": "/etc/a.wav"}', "is an absolute name; --root"),
        ("m.jsonl", '{"wav_file": "a.wav"}', "no column of files such as audio_filepath; it has wav_file"),
        ("m.jsonl", '{"audio_filepath": 3}', "names no file, but 3"),
        ("m.jsonl", "{", "is not JSON"),
        ("m.jsonl", "[]", "is no JSON object"),
        ("m.jsonl", "\n", "names no file"),
        ("m.jsonl", '{"sources": [{"type": "command", "source": "rm a"}]}', "a source of type 'command'"),
        ("m.csv", "id,where\n1,a.wav\n", "it has id and where; name it: --column NAME"),
        ("m.csv", "id,path\n1,s3://bucket/../a.wav\n", "has '..' in it"),
        ("m.csv", "id,path\n1,a\\..\\b.wav\n", "has '..' in it"),
        ("wav.scp", "one sox a.wav -t wav - |\n", "is a command, and none is run"),
        ("m.jsonl", '{"audio_filepath": "s3://key:secret@host/a.wav"}', "an address holds no key"),
    ],
)
def test_bad_manifests_are_refused_before_anything_is_made(
    corpus: Path, tmp_path: Path, name: str, text: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (corpus / name).write_text(text)
    assert batch(corpus / name, "-o", tmp_path / "out") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line
    assert "secret" not in line
    assert not (tmp_path / "out").exists()


def test_two_inputs_of_one_output_name_are_refused(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_files(tmp_path / "other", {"a.wav": 0.2})
    assert batch(corpus, tmp_path / "other", "-o", tmp_path / "out") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "would both be written to" in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--verify",), "--verify: only with --resume"),
        (("--resume", "--overwrite"), "leave out one of them"),
        (("--cpus-per-worker", 2), "only with --ray"),
        (("--attempts", 0), "--attempts is 1 or more"),
        (("--jobs", 0), "jobs is a number"),
        (("--metrics-port", 70000), "--metrics-port is a port"),
        (("--manifest", "s3://bucket/manifest"), "name a file of this machine"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    corpus: Path, tmp_path: Path, words: tuple[object, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert batch(corpus, "-o", tmp_path / "out", *words) == 2
    assert said in capsys.readouterr().err
    assert not contents(tmp_path / "out")


def test_a_disk_that_is_full_ends_the_run_in_a_line(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object, **__: object) -> None:
        try:
            raise OSError(errno.ENOSPC, "no space left on device")
        except OSError as error:
            raise FileError("cannot write: the disk is full") from error

    monkeypatch.setattr(Denoiser, "_transform", full)
    assert batch(corpus, "-o", tmp_path / "out", "--jobs", 1) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "the disk is full" in line
    assert "--resume goes on" in line
    monkeypatch.undo()
    assert batch(corpus, "-o", tmp_path / "out", "--resume", "-q") == 0
    assert len(contents(tmp_path / "out")) == 3


@pytest.mark.parametrize("book", ["there", "elsewhere"])
def test_a_small_disk_has_whole_files_alone(
    small_disk: Path, tmp_path: Path, book: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A disk of 256 KB, with the manifest on it or elsewhere, for 640 KB of results."""
    make_files(tmp_path / "in", {f"{number}.wav": 2.0 for number in range(10)})
    words = ("--manifest", tmp_path / "book") if book == "elsewhere" else ()
    assert batch(tmp_path / "in", "-o", small_disk / "out", *words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "full" in line or "no space left" in line
    assert batch(tmp_path / "in", "-o", tmp_path / "whole") == 0
    made, whole = contents(small_disk / "out"), contents(tmp_path / "whole")
    assert 0 < len(made) < len(whole)
    assert made.items() <= whole.items()


def test_what_may_end_otherwise_is_tried_again_and_then_set_aside(tmp_path: Path) -> None:
    """By the ledger: so many tries, of which only a worker that died is held against the file."""
    task = Task("a.wav", "b.wav")
    for killed in (False, True):
        book = Manifest(tmp_path / f"{killed}", go_on=False, anew=False)
        ledger = Ledger(book, "key", 3, lambda outcome, last: None, Counts())
        again = []
        for _ in range(3):
            ledger.begin(task)
            again.append(ledger.answer(Outcome(task, "again", "why", fields={"killed": killed})))
        assert again == [True, True, False]
        book.close()
        book = Manifest(tmp_path / f"{killed}", go_on=True, anew=False)
        assert book.last["b.wav"]["aside"] is killed
        book.close()


def test_memory_does_not_grow_with_the_files_that_are_done(tmp_path: Path) -> None:
    """Neither by what is written down nor by results that nobody asks for."""
    book = Manifest(tmp_path / "book", go_on=False, anew=False)
    ledger = Ledger(book, "key", 3, lambda outcome, last: None, Counts())
    tasks = [Task(f"/in/{number:06}.wav", f"/out/{number:06}.wav") for number in range(4000)]
    pairs = [(Path(task.source), Path(task.target)) for task in tasks]
    tracemalloc.start()
    try:
        for at, task in enumerate(tasks):
            if at == 1000:
                before = tracemalloc.get_traced_memory()[0]
            ledger.begin(task)
            ledger.answer(Outcome(task, "done", None, 1.0, {"input_sha256": f"{at:064}"}))
        assert tracemalloc.get_traced_memory()[0] - before < 3000 * 20
        kept: list[object] = []
        for keep in (True, False):
            begin = tracemalloc.get_traced_memory()[0]
            kept.append(run_batch(lambda *_: None, pairs, 1, keep=keep))
            took = tracemalloc.get_traced_memory()[0] - begin
            assert (took > 4000 * 200) is keep
    finally:
        tracemalloc.stop()
        book.close()


def test_two_runs_do_not_write_one_manifest(corpus: Path, tmp_path: Path) -> None:
    book = Manifest(tmp_path / "manifest", go_on=False, anew=False)
    with pytest.raises(FileError, match="another run is writing"):
        Manifest(tmp_path / "manifest", go_on=True, anew=False)
    book.close()


def test_counters_are_served_while_a_run_goes_on() -> None:
    pytest.importorskip("prometheus_client")
    counts = Counts(total=5, done=2, failed=1, seconds=7.0, weight=10.0, weight_done=4.0, weight_open=1.0)
    counts.began -= 1000.0
    with served(counts, 18431):
        text = urllib.request.urlopen("http://127.0.0.1:18431/metrics").read().decode()
        with pytest.raises(FileError, match="--metrics-port 18431"), served(counts, 18431):
            pass
    assert 'denoise_batch_files_total{outcome="done"} 2.0' in text
    assert "denoise_batch_files_left 2.0" in text
    assert "denoise_batch_audio_seconds_left 5.0" in text
    assert "denoise_batch_seconds_left 100" in text


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_the_bar_moves_within_a_file_and_never_back(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is told of weights, which the sizes of files let guess, half or double of what there is."""
    monkeypatch.setattr("denoise_wrapper.files.batch.TELL_S", 0.001)
    make_files(tmp_path / "in", {f"a.{suffix}": 60.0} | {f"{number}.{suffix}": 0.1 for number in range(20)})
    made, counts = make_tasks([str(tmp_path / "in")], str(tmp_path / "out")), Counts()
    progress, seen, far = _Progress(counts, quiet=True), [0.0], set[int]()

    def look() -> None:
        progress.report()
        (task,) = progress._bars.tasks
        seen.append(round(task.completed, 6))
        if not counts.done:
            far.add(int(counts.seconds_open))

    run_tasks(made, str(tmp_path / "out"), How(Denoiser()), local_engine(1, look), counts=counts)
    assert len(far) > 5
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(counts.weight)
    assert (counts.seconds_open, counts.weight_open) == (0.0, 0.0)
    assert counts.seconds == pytest.approx(62.0)
    counts.open(7200.0, 0.0)
    progress.report()
    assert ", 2.0 h, " in progress._bars.tasks[0].fields["told"]


@pytest.mark.parametrize("there", [False, True])
def test_a_cluster_that_wants_a_token_is_told_how(tmp_path: Path, there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a Ray that answers as it does to who sends none."""

    def init(**_: object) -> None:
        raise ConnectionError("Failed to connect to Ray cluster")

    for name in ("RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(is_initialized=lambda: False, init=init))
    if there:
        (tmp_path / "token").write_text("0" * 32)
    with pytest.raises(FileError, match="no cluster answers there") as caught:
        start("auto")
    assert ("RAY_AUTH_MODE=token" in str(caught.value)) is there


@pytest.mark.parametrize("asked", [None, "7"])
def test_workers_of_a_cluster_that_is_started_here_give_way_to_none_unless_asked(
    asked: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str | None] = []

    def init(**_: object) -> None:
        seen.append(os.environ.get("RAY_worker_niceness"))  # noqa: SIM112 - as Ray spells it

    monkeypatch.setenv("RAY_worker_niceness", asked or "")
    if asked is None:
        monkeypatch.delenv("RAY_worker_niceness")
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(is_initialized=lambda: False, init=init))
    start("local", 1)
    assert seen == [asked or "0"]


def test_rows_of_a_dataset_are_cleaned_and_those_without_audio_stay() -> None:
    """By the class whose copies Ray has in its actors."""
    clips = [0.1 * np.random.default_rng(seed).standard_normal(1600).astype(np.float32) for seed in range(2)]
    cells = np.empty(4, dtype=object)
    cells[:] = [
        {"array": clips[0], "sampling_rate": 16000},
        None,
        {"neither": 1},
        {"array": clips[1], "sampling_rate": 16000},
    ]
    denoiser, words = Denoiser(), {"audio": cells, "number": np.arange(4)}
    made = _Rows(denoiser, None, None, True, "drop")(words)
    assert made["number"].tolist() == [0, 1, 3]
    assert made["audio"][1] is None
    for at, clip in ((0, clips[0]), (2, clips[1])):
        np.testing.assert_array_equal(made["audio"][at]["array"], denoiser.filter(clip, 16000))
    with pytest.raises(DataError, match="has bytes, or array"):
        _Rows(denoiser, "audio", None, True, "raise")(words)


def test_what_is_kept_of_a_file_is_small(tmp_path: Path) -> None:
    """Levels, which take kilobytes, live only while their file is cleaned."""
    make_files(tmp_path / "in", {f"{number:03}.wav": 0.02 for number in range(60)})
    made = make_tasks([str(tmp_path / "in")], str(tmp_path / "out"))
    alive: list[int] = []
    ended: list[Outcome] = []

    def meters() -> list[object]:
        return [each for each in gc.get_objects() if issubclass(type(each), Meter)]  # no proxy is asked

    before = {id(each): each for each in meters()}  # of other tests; held, so that no new one gets their number

    def told(outcome: Outcome, last: bool) -> None:
        ended.append(outcome)
        if len(ended) % 20 == 0:
            alive.append(sum(id(each) not in before for each in meters()))

    run_tasks(made, str(tmp_path / "out"), How(Denoiser()), local_engine(2), told=told)
    assert len(ended) == 60
    assert max(alive) <= 2 * 2 + 2


@pytest.mark.skipif(os.name == "nt", reason="signals mean something else there")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_a_run_that_is_stopped_leaves_whole_files_and_goes_on(tmp_path: Path, number: int, code: int) -> None:
    make_files(tmp_path / "in", {f"{name}.wav": 60.0 for name in "ab"} | {"c.wav": 1.0})
    command = [sys.executable, "-m", "denoise_wrapper", "batch", str(tmp_path / "in"), "-o", str(tmp_path / "out")]

    def heed() -> None:  # a shell makes what it starts in the background ignore Ctrl-C
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    with subprocess.Popen([*command, "--jobs", "2"], stderr=subprocess.PIPE, preexec_fn=heed) as process:
        deadline = time.monotonic() + 60
        while len(list(tmp_path.glob("out/.*.wav"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.005)
        begin = time.monotonic()
        process.send_signal(number)
        assert process.wait(60) == code
        assert time.monotonic() - begin < 10
    left = contents(tmp_path / "out")
    assert all(name.startswith(".") for name in left) if number == signal.SIGKILL else left == {}
    assert batch(tmp_path / "in", "-o", tmp_path / "out", "--resume", "-q") == 0
    assert set(contents(tmp_path / "out")) == {"a.wav", "b.wav", "c.wav"}
