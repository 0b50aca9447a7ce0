"""The command line: what it writes, what it says, and with which code it ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from denoise_wrapper import Denoiser, backend_names
from denoise_wrapper.backends.convert import read_model, write_model
from denoise_wrapper.cli import main as cli
from denoise_wrapper.cli.training import CONFIGS, RECIPES
from denoise_wrapper.files.results import LIST
from denoise_wrapper.models.shipped import MODELS

COMMAND = [sys.executable, "-m", "denoise_wrapper"]
RATE = 48000
RAW = ["--rate", "48000", "--channels", "1", "--dtype", "int16"]


def noise(frames: int, channels: int = 1, seed: int = 3) -> NDArray[np.int16]:
    rng = np.random.default_rng(seed)
    samples = (3000 * rng.standard_normal((frames, channels))).astype(np.int16)
    return samples[:, 0] if channels == 1 else samples


def make_file(path: Path, frames: int = RATE // 2, channels: int = 1, rate: int = RATE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, noise(frames, channels), rate)
    return path


def call(*arguments: str | os.PathLike[str], data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*COMMAND, *(os.fspath(word) for word in arguments)], input=data, capture_output=True, check=False
    )


def names(folder: Path) -> list[str]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != LIST)
    return sorted(str(path.relative_to(folder)) for path in files)


@pytest.fixture
def refuses(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command that must fail with code 2 and one line on stderr; gives that line."""

    def run(*arguments: str | os.PathLike[str]) -> str:
        try:
            code = cli.main([os.fspath(argument) for argument in arguments])
        except SystemExit as error:
            code = int(error.code or 0)
        out, err = capsys.readouterr()
        assert code == 2, err
        assert out == ""
        assert err.startswith("denoise-wrapper: ")
        assert err.count("\n") == 1
        return err

    return run


def test_a_file_is_cleaned_into_one_beside_it(tmp_path: Path) -> None:
    source = make_file(tmp_path / "a.wav", channels=2, rate=44100)
    done = call("filter", source)
    assert done.returncode == 0
    assert done.stdout == b""
    assert b"x real time" in done.stderr
    assert names(tmp_path) == ["a.wav", "a_denoised.wav"]
    cleaned, rate = soundfile.read(tmp_path / "a_denoised.wav", dtype="int16")
    assert rate == 44100
    np.testing.assert_array_equal(cleaned, Denoiser().filter(noise(RATE // 2, 2), 44100))


def test_quiet_says_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["filter", "-q", str(make_file(tmp_path / "a.wav"))]) == 0
    assert capsys.readouterr() == ("", "")


def test_the_options_reach_the_denoiser(tmp_path: Path) -> None:
    source = make_file(tmp_path / "a.wav")
    write_model(read_model(MODELS / "rnnoise-classic.dnnw"), tmp_path / "m.rnnn")
    options = ["--model", str(tmp_path / "m.rnnn"), "--atten-lim", "9", "--mix", "0.7", "--vad-threshold", "0.5"]
    options += ["--vad-hold", "0.1", "--vad-gate", "mute", "--backend", "rnnoise", "--non-finite", "zero"]
    assert cli.main(["filter", str(source), "-o", str(tmp_path / "b.wav"), *options]) == 0
    denoiser = Denoiser(
        "rnnoise",
        model=tmp_path / "m.rnnn",
        atten_lim_db=9,
        mix=0.7,
        vad_threshold=0.5,
        vad_hold=0.1,
        non_finite="zero",
    )
    cleaned, _ = soundfile.read(tmp_path / "b.wav", dtype="int16")
    np.testing.assert_array_equal(cleaned, denoiser.filter(noise(RATE // 2), RATE))


@pytest.mark.fault
def test_a_bad_sample_is_named_with_the_option_that_replaces_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    samples = noise(RATE // 2) / np.float32(32768)
    samples[1000] = np.nan
    soundfile.write(tmp_path / "a.wav", samples, RATE, subtype="FLOAT")
    assert cli.main(["filter", str(tmp_path / "a.wav")]) == 2
    error = capsys.readouterr().err
    assert "; --non-finite zero replaces such samples" in error
    assert "non_finite" not in error
    assert cli.main(["filter", "-q", str(tmp_path / "a.wav"), "--non-finite", "zero"]) == 0


@pytest.mark.fault
def test_a_damaged_file_is_named_with_the_option_that_passes_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    soundfile.write(tmp_path / "a.wav", noise(RATE // 2), RATE)
    (tmp_path / "a.wav").write_bytes((tmp_path / "a.wav").read_bytes()[:9000])
    assert cli.main(["filter", str(tmp_path / "a.wav")]) == 2
    error = capsys.readouterr().err
    assert "or let --damaged skip leave out what is gone" in error
    assert "damaged=" not in error
    assert cli.main(["filter", "-q", str(tmp_path / "a.wav"), "--damaged", "skip"]) == 0


def test_frames_can_be_dropped(tmp_path: Path) -> None:
    source = make_file(tmp_path / "a.wav", RATE)
    assert cli.main(["filter", str(source), "--vad-threshold", "1", "--vad-gate", "drop"]) == 0
    assert soundfile.info(tmp_path / "a_denoised.wav").frames < RATE


def test_a_folder_is_cleaned_with_its_tree(tmp_path: Path) -> None:
    for name in ("a.wav", "deep/er/b.FLAC", "c.ogg"):
        make_file(tmp_path / "in" / name)
    (tmp_path / "in/notes.txt").write_text("not audio")
    assert cli.main(["filter", str(tmp_path / "in"), "-o", str(tmp_path / "out")]) == 0
    assert names(tmp_path / "out") == ["a.wav", "c.ogg", "deep/er/b.FLAC"]


def test_results_of_earlier_runs_are_not_cleaned_again(tmp_path: Path) -> None:
    make_file(tmp_path / "a.wav")
    for _ in range(2):
        assert cli.main(["filter", str(tmp_path), "--overwrite"]) == 0
        assert (
            cli.main(["filter", str(tmp_path / "a.wav"), str(tmp_path), "-o", str(tmp_path / "o"), "--overwrite"]) == 0
        )
        assert names(tmp_path) == ["a.wav", "a_denoised.wav", "o/a.wav"]


@pytest.mark.parametrize("ending", ["", os.sep])
def test_one_file_goes_into_a_folder_under_its_name(tmp_path: Path, ending: str) -> None:
    source = make_file(tmp_path / "a.wav")
    if not ending:
        (tmp_path / "out").mkdir()
    assert cli.main(["filter", str(source), "-o", str(tmp_path / "out") + ending]) == 0
    assert names(tmp_path / "out") == ["a.wav"]


def test_a_file_that_fails_does_not_keep_the_others_from_being_done(tmp_path: Path) -> None:
    good = [make_file(tmp_path / name) for name in ("a.wav", "z.wav")]
    (tmp_path / "bad.wav").write_text("this is text")
    (tmp_path / "empty").mkdir()
    inputs = [good[0], tmp_path / "bad.wav", tmp_path / "absent.wav", tmp_path / "empty", good[1]]
    done = call("filter", "-q", *inputs, "-o", tmp_path / "out")
    assert done.returncode == 2
    assert names(tmp_path / "out") == ["a.wav", "z.wav"]
    lines = done.stderr.decode().splitlines()
    assert len(lines) == 3
    assert all(line.startswith("denoise-wrapper: ") for line in lines)
    for name in ("empty", "bad.wav", "absent.wav"):  # in the order in which they were found out
        assert sum(name in line for line in lines) == 1, name


def test_two_files_of_one_name_are_not_written_over_each_other(tmp_path: Path, refuses: Callable[..., str]) -> None:
    one, two = make_file(tmp_path / "1/a.wav"), make_file(tmp_path / "2/a.wav")
    assert "both" in refuses("filter", one, two, "-o", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_nothing_is_overwritten_unasked(tmp_path: Path, refuses: Callable[..., str]) -> None:
    source = make_file(tmp_path / "a.wav")
    target = tmp_path / "a_denoised.wav"
    target.write_bytes(b"mine")
    assert "--overwrite" in refuses("filter", source)
    assert "--overwrite" in refuses("filter", source, "-o", target)
    assert "--overwrite" in refuses("filter", source, "-o", source)
    assert target.read_bytes() == b"mine"
    assert cli.main(["filter", str(source), "--overwrite"]) == 0
    assert soundfile.info(target).frames == RATE // 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["filter"], "required"),
        (["clean", "a.wav"], "there is no verb 'clean'; there are filter"),
        (["fitler", "a.wav"], "did you mean: filter?"),
        (["talk.flac"], "did you mean: denoise-wrapper filter talk.flac?"),
        (["my talk.flac"], "did you mean: denoise-wrapper filter 'my talk.flac'?"),
        (["models", "inof"], "did you mean: info?"),
        (["data", "chek"], "did you mean: check?"),
        (["filter", "a.wav", "--overwite"], "did you mean: --overwrite?"),
        (["info", "a.wav"], "a.wav: one word too many"),
        (["filter", "a.wav", "--loud"], "--loud"),
        (["filter", "a.wav", "--mix", "much"], "much"),
        (["filter", "a.wav", "--mix", "2"], "--mix is 0 (dry)"),
        (["filter", "a.wav", "--atten-lim", "-3"], "--atten-lim is dB"),
        (["filter", "a.wav", "--vad-threshold", "nan"], "--vad-threshold is 0 to 1"),
        (["filter", "a.wav", "--vad-threshold", "0.5", "--vad-gate", "shut"], "--vad-gate is"),
        (["filter", "a.wav", "--backend", "rnnoize"], "did you mean 'rnnoise'"),
        (["filter", "a.wav", "--model", "absent.rnnn"], "absent.rnnn"),
        (["filter", "a.wav", "--model", "."], "'.'|model"),
        (["filter", "absent.wav"], "absent.wav"),
        (["filter", "-", "a.wav"], "alone"),
        (["filter", "a.wav", "-o", "-"], "standard output goes with standard input"),
        (["filter", ".", "-o", "-"], "standard output goes with standard input"),
        (["filter", "a.wav", "--rate", "8000", "--dtype", "int16"], "--rate --dtype: only for '-'"),
        (["filter", 300 * "a"], "aaa"),
        (["filter", "a.wav", "b.wav", "-o", 300 * "a"], "aaa"),
        (["filter", "no\udcffname.wav"], "no\\udcffname.wav"),
        (["filter", "-", *RAW, "-o", "a.wav"], "> a.wav"),
        (["models", "info", "absent.rnnn"], "absent.rnnn"),
        (["models", "info", "dtln_1.onnx"], "one of the two models of a DTLN"),
        (["convert", "rnnoise-classic", "-o", "model.txt"], ".txt"),
        (["convert", "rnnoise-classic", "-o", "absent/model.rnnn"], "absent"),
        (["convert", "absent.rnnn", "-o", "m.rnn"], "no model file absent.rnnn"),
        (["convert", "rnnoise-classic", "-o", "."], "say the form by --to"),
        (["convert", "rnnoise-classic", "-o", "m.rnnn", "--to", "int8"], "--to"),
        (["convert", "rnnoise-classic", "-o", "m.rnnn", "--rate", "8000"], "only for a DTLN"),
        (["convert", "rnnoise-classic", "-o", "m.rnnn", "--name", "mine"], "holds no name"),
        (["convert", "dtln-16k", "-o", "pairs"], "give --name"),
        (["convert", "dtln-16k", "-o", "pairs", "--name", "n", "--to", "rnnn"], "a DTLN is written as"),
        (["train", "rnnoise"], "--config"),
        (["train", "rnnoise", "-C", "none.toml"], "none.toml cannot be read (No such file"),
        (["train", "dtln", "--print-config", "dtln"], "there is no recipe 'dtln'; did you mean"),
        (["train", "rnnoise", "-C", "run.toml", "-R", "--export", "."], "--export trains no more"),
        (["train", "dtln", "-C", "run.toml", "--profile", "--export", "."], "--export trains no more"),
    ],
)
def test_wrong_usage_is_one_line_and_code_2(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    refuses: Callable[..., str],
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.toml").write_text("[data]")
    line = refuses(*arguments)
    assert any(word in line for word in words.split("|"))
    assert names(tmp_path) == ["run.toml"]


@pytest.mark.parametrize("change", ["empty", "text", "truncated", "header", "folder"])
def test_a_damaged_file_is_one_line_and_code_2(tmp_path: Path, refuses: Callable[..., str], change: str) -> None:
    source = make_file(tmp_path / "a.wav")
    data = source.read_bytes()
    if change == "folder":
        source.unlink()
        source.mkdir()
    else:
        source.write_bytes({"empty": b"", "text": b"hello", "truncated": data[:-999], "header": data[:30]}[change])
    assert "a.wav" in refuses("filter", source)
    assert names(tmp_path) == ([] if change == "folder" else ["a.wav"])


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="no folder is closed to this user")
def test_a_folder_that_may_not_be_written_is_one_line_and_code_2(tmp_path: Path, refuses: Callable[..., str]) -> None:
    source = make_file(tmp_path / "a.wav")
    tmp_path.chmod(0o500)
    try:
        assert "permission" in refuses("filter", source)
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="no folder is closed to this user")
@pytest.mark.parametrize("name", ["", "a.wav"])
def test_a_folder_that_may_not_be_looked_into_is_one_line_and_code_2(
    tmp_path: Path, refuses: Callable[..., str], name: str
) -> None:
    closed = tmp_path / "closed"
    make_file(closed / "a.wav")
    closed.chmod(0)
    try:
        assert "ermission" in refuses("filter", closed / name)
    finally:
        closed.chmod(0o700)


def test_results_below_the_folder_are_known_however_it_is_spelt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_file(tmp_path / "in" / "a.wav", 999)
    monkeypatch.chdir(tmp_path)
    for source, target in (("in", tmp_path / "in" / "out"), (tmp_path / "in", "in/out"), ("in/../in", "in/out")):
        assert cli.main(["filter", os.fspath(source), "-o", os.fspath(target), "--overwrite", "-q"]) == 0
        assert names(tmp_path) == ["in/a.wav", "in/out/a.wav"]


@pytest.mark.skipif(os.name == "nt", reason="names are always text there")
def test_a_name_that_is_no_text_is_shown_and_kept(tmp_path: Path) -> None:
    try:
        model = make_model(tmp_path / "m\udcff.rnnn")
    except OSError:
        pytest.skip("the file system takes no such name")
    done = call("models", "info", model)
    assert done.returncode == 0, done.stderr
    assert b"m\\udcff.rnnn" in done.stdout


def make_model(path: Path) -> Path:
    write_model(read_model(MODELS / "rnnoise-classic.dnnw"), path)
    return path


@pytest.mark.parametrize(
    ("dtype", "channels", "rate"), [("int16", 1, 48000), ("float32", 2, 44100), ("int32", 3, 8000)]
)
def test_a_pipe_gives_what_a_clip_gives(dtype: str, channels: int, rate: int) -> None:
    clip: NDArray[Any] = noise(30011, channels)
    clip = clip.astype(np.int32) * 65536 if dtype == "int32" else clip
    clip = (clip / 32768).astype(np.float32) if dtype == "float32" else clip
    raw = ["--rate", str(rate), "--channels", str(channels), "--dtype", dtype]
    done = call("filter", "-", *raw, data=clip.tobytes())
    assert done.returncode == 0, done.stderr
    assert done.stdout == Denoiser().filter(clip, rate).tobytes()


@pytest.mark.parametrize("frames", [0, 1, 479, 481])
def test_a_pipe_gives_as_many_samples_as_it_takes(frames: int) -> None:
    done = call("filter", "-", *RAW, data=noise(frames).tobytes() if frames else b"")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout) == 2 * frames


def test_a_pipe_that_ends_within_a_sample_is_an_error_after_all_that_was_whole() -> None:
    done = call("filter", "-", *RAW, data=noise(1000).tobytes() + b"\1")
    assert done.returncode == 2
    assert len(done.stdout) == 2000
    assert done.stderr.count(b"\n") == 1
    assert b"1 bytes" in done.stderr


@pytest.mark.parametrize(
    ("option", "value"),
    [("--rate", "0"), ("--rate", "-48000"), ("--channels", "0"), ("--dtype", "int24"), ("--dtype", "f2")],
)
def test_a_pipe_of_an_impossible_kind_is_one_line_and_code_2(option: str, value: str) -> None:
    done = call("filter", "-", *RAW, option, value, data=bytes(960))
    assert done.returncode == 2
    assert done.stdout == b""
    assert done.stderr.count(b"\n") == 1


@pytest.mark.skipif(os.name == "nt", reason="signals mean something else there")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_command_that_is_stopped_leaves_nothing_half_written(tmp_path: Path, number: int, code: int) -> None:
    source = tmp_path / "long.wav"
    with soundfile.SoundFile(source, "w", RATE, 1, "PCM_16") as file:
        for _ in range(600):
            file.write(np.zeros(RATE, np.int16))

    def heed() -> None:  # a shell makes what it starts in the background ignore Ctrl-C
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    with subprocess.Popen([*COMMAND, "filter", source], stderr=subprocess.PIPE, preexec_fn=heed) as process:
        deadline = time.monotonic() + 60
        while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < deadline:
            time.sleep(0.005)
        process.send_signal(number)
        assert process.wait(60) == code
        assert process.stderr is not None
        assert process.stderr.read().count(b"\n") <= 1
    assert names(tmp_path) == ["long.wav"]


@pytest.mark.skipif(os.name == "nt", reason="files cannot be limited there")
@pytest.mark.parametrize("suffix", [".wav", ".flac", ".rnnn"])
def test_a_disk_that_fills_is_one_line_and_code_2(tmp_path: Path, suffix: str) -> None:
    source = make_file(tmp_path / "a.wav", 5 * RATE)
    target = tmp_path / f"out{suffix}"
    command: list[str | Path] = (
        ["filter", source, "-o", target] if suffix != ".rnnn" else ["convert", "rnnoise-classic", "-o", target]
    )
    code = "import resource, runpy; resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000));"
    code += "runpy.run_module('denoise_wrapper', run_name='__main__')"
    words = [sys.executable, "-c", code, *(os.fspath(word) for word in command)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert "cannot write" in done.stderr
    assert names(tmp_path) == ["a.wav"]


def test_a_missing_extra_for_training_is_named(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text("[data]")
    code = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
sys.meta_path.insert(0, Absent())
from denoise_wrapper.cli import main as cli
sys.exit(cli.main(["train", "rnnoise", "-C", "run.toml"]))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "training needs torch: pip install 'denoise-wrapper[training]'" in done.stderr
    assert done.stderr.count("\n") == 1


LIGHT = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "soxr", "scipy", "h5py", "onnx", "tensorboard", "matplotlib"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
from denoise_wrapper.cli import main as cli
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["data", "check", "speech"], 2, "a.wav"),
        (["train", "rnnoise", "-C", "none.toml"], 2, "none.toml cannot be read"),
        (["train", "rnnoise", "-C", "bad.toml"], 2, "bad.toml is not TOML"),
        (["train", "--print-config", "rnnoise"], 0, "[network]"),
        (["models"], 0, "dtln-16k"),
    ],
)
def test_what_needs_no_further_package_asks_for_none(words: list[str], code: int, text: str, tmp_path: Path) -> None:
    (tmp_path / "speech").mkdir()
    (tmp_path / "speech/a.wav").write_text("no audio")
    (tmp_path / "bad.toml").write_text("[data")
    done = subprocess.run(
        [sys.executable, "-c", LIGHT, *words], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    assert text in done.stdout + done.stderr
    assert "pip install" not in done.stderr


def test_recipes_are_listed_and_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    shipped = {path.stem: path for path in CONFIGS.glob("*.toml")}
    for words in (["train", "--print-config"], ["train", "dtln", "--print-config"]):
        with pytest.raises(SystemExit) as caught:
            cli.main(words)
        assert caught.value.code == 0
        assert capsys.readouterr().out.split() == sorted(shipped)
    for name in RECIPES.values():
        with pytest.raises(SystemExit):
            cli.main(["train", "--print-config", name])
        assert capsys.readouterr().out == shipped[name].read_text()


@pytest.mark.parametrize("name", RECIPES.values())
def test_a_recipe_to_begin_with_wants_no_run_before_it(name: str) -> None:
    start = tomllib.loads((CONFIGS / f"{name}.toml").read_text())["train"].get("start_from")
    assert start is None or start in backend_names()


@pytest.mark.fault
def test_a_gate_that_drops_says_what_is_left(tmp_path: Path) -> None:
    silent = np.concatenate([noise(RATE), np.zeros(8 * RATE, np.int16)])
    soundfile.write(tmp_path / "a.wav", silent, RATE)
    done = call("filter", tmp_path / "a.wav", "--vad-threshold", "0.9", "--vad-gate", "drop", "--vad-hold", "0.1")
    assert done.returncode == 0
    left = soundfile.info(tmp_path / "a_denoised.wav").duration
    assert left < 2.0
    assert "9.0 s in " in done.stderr.decode()
    assert f"{left:.1f} s are left, {9.0 - left:.1f} s were dropped" in done.stderr.decode()


@pytest.mark.fault
@pytest.mark.parametrize("options", [["--vad-gate", "drop"], ["--vad-gate", "mute"], ["--vad-hold", "0.5"]])
def test_options_of_a_gate_without_a_threshold_are_refused(
    tmp_path: Path, options: list[str], refuses: Callable[..., str]
) -> None:
    make_file(tmp_path / "a.wav")
    line = refuses("filter", tmp_path / "a.wav", *options)
    assert f"{options[0]}: without --vad-threshold there is no gate" in line
    assert names(tmp_path) == ["a.wav"]


@pytest.mark.fault
@pytest.mark.skipif(os.name == "nt", reason="names are bytes elsewhere")
def test_names_do_nothing_to_the_terminal(tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"a\x1b[31m\n\xe2\x80\xaeb\xe9.wav")
    make_file(tmp_path / "plain.wav").rename(odd)
    shown = b"a\\x1b[31m\\x0a\\u202eb\\udce9"
    for path, code in ((odd, 0), (odd, 2), (odd.parent / f"{odd.name}x", 2)):
        done = call("filter", path)
        assert done.returncode == code
        assert shown in done.stderr.replace(b"a\\x1b[31m \\u202e", b"a\\x1b[31m\\x0a\\u202e")
        assert not {b"\x1b", b"\xe2\x80\xae"} & {done.stderr[at : at + size] for at in range(999) for size in (1, 3)}


@pytest.mark.fault
def test_a_read_only_file_is_replaced_by_force_alone(tmp_path: Path, refuses: Callable[..., str]) -> None:
    source, target = make_file(tmp_path / "a.wav"), make_file(tmp_path / "b.wav", RATE)
    target.chmod(0o444)
    before = target.read_bytes()
    assert "read-only" in refuses("filter", source, "-o", target, "--overwrite")
    assert target.read_bytes() == before
    assert cli.main(["filter", str(source), "-o", str(target), "--force"]) == 0
    assert soundfile.info(target).frames == RATE // 2


@pytest.mark.fault
def test_a_warning_is_one_line(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", noise(RATE).astype(np.float32), RATE, "FLOAT")
    done = call("filter", tmp_path / "a.wav", "-q")
    assert done.returncode == 0
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("denoise-wrapper: ")
    assert "int16 numbers in a float array" in line


def test_what_is_printed_goes_through_one_place() -> None:
    for path in Path(cli.__file__).parent.glob("*.py"):
        # listen paints a line of its own, without names; segments writes a file's content as it is.
        if path.name not in ("screen.py", "listen.py", "segments.py"):
            assert not re.search(r"(?<![\w.])print\(", path.read_text(encoding="utf-8")), path
