"""Help: each begins with what the command does and examples, and those run as they stand."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator

import pytest

from denoise_wrapper import __version__
from denoise_wrapper.cli import main as cli
from denoise_wrapper.cli.parser import Parser, as_typed


def parsers(parser: argparse.ArgumentParser, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Parser]]:
    assert isinstance(parser, Parser)
    yield words, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                yield from parsers(below, (*words, name))


ALL = dict(parsers(cli.make_parser()))
LEAVES = {words: parser for words, parser in ALL.items() if parser.get_default("run") is not None}


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_every_help_begins_with_examples(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main([*words, "--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert 0 < text.index("examples:\n") < text.index("usage: denoise-wrapper")
    assert ("exit codes" in text) is (words == ())
    assert 1 <= len(ALL[words].examples) <= 4


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_examples_are_commands_of_their_verb_that_can_be_parsed(words: tuple[str, ...]) -> None:
    for command, what in ALL[words].examples:
        argv = shlex.split(command.partition(" > ")[0])
        assert what
        assert words == () or tuple(argv[: len(words)]) == words
        if "--print-config" in argv:  # prints, and ends the program
            with pytest.raises(SystemExit) as caught:
                cli.make_parser().parse_args(argv)
            assert caught.value.code == 0
        else:
            cli.make_parser().parse_args(cli._pair_models(argv))


@pytest.mark.parametrize("argv", [[], ["help"], ["help", "filter"], ["help", "models", "info"]])
def test_help_is_what_the_option_says(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main([*argv[1:], "--help"])
    expected = capsys.readouterr().out
    try:
        code: object = cli.main(argv)
    except SystemExit as error:
        code = error.code
    assert code == 0
    assert capsys.readouterr().out == expected


@pytest.mark.parametrize("option", ["-V", "--version"])
def test_the_version_has_two_options(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main([option])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"denoise-wrapper {__version__}\n"


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("atten_lim_db is dB, 0 or more", "--atten-lim is dB, 0 or more"),
        ("a.wav exists; overwrite=True (--overwrite) replaces it", "a.wav exists; --overwrite replaces it"),
        ("there is no file ./vad_gate.wav", "there is no file ./vad_gate.wav"),
        ("there is no file my-vad_gate", "there is no file my-vad_gate"),
        ("the mix isobar.wav", "the mix isobar.wav"),
        ("mix is 0 (dry) to 1", "--mix is 0 (dry) to 1"),
    ],
)
def test_messages_have_the_names_of_options(message: str, words: str) -> None:
    assert as_typed(message) == words
