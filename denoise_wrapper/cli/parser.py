"""The parser of the command line: help that begins with examples, and errors that say what was probably meant."""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TextIO

from denoise_wrapper.cli.screen import say
from denoise_wrapper.presets import PRESET_NAMES

PROGRAM = "denoise-wrapper"
PRESET_HELP = f"strength by what it is for: {', '.join(PRESET_NAMES)}"
LINK_HELP = "one gain for all channels, so that the stereo image does not move"
# Names of Python's arguments -> options, where a message has them outside of a path.
_TYPED = {
    "atten_lim_db": "--atten-lim",
    "vad_threshold": "--vad-threshold",
    "min_speech_s": "--min-speech",
    "min_pause_s": "--min-pause",
    "pad_s": "--pad",
    "threshold is": "--threshold is",
    "hysteresis is": "--hysteresis is",
    "vad_gate": "--vad-gate",
    "vad_hold": "--vad-hold",
    "non_finite": "--non-finite",
    "sample_rate": "--rate",
    "mix is": "--mix is",
    "channels is": "--channels is",
    "dtype is": "--dtype is",
    "jobs is": "--jobs is",
    "preset is": "--preset is",
}
_OWN_WORDS = re.compile(rf"(?<![\w./\\-])({'|'.join(_TYPED)})(?![\w./\\])")
_NO_VALUE = re.compile(r",? or None(?: for no \w+)?(?=,)")  # on the command line an option is left out for that
_BOTH = re.compile(r"\w+=\S+ \((?:\w+ )?(--[a-z-]+(?: \w+)?)\)")  # overwrite=True (--overwrite)
_QUOTED = re.compile(r"(--[a-z-]+)=\"(\w+)\"")  # a value as Python has it


def as_typed(message: str) -> str:
    """Put the names of options in the place of Python's arguments."""
    typed = _OWN_WORDS.sub(lambda match: _TYPED[match[1]], _BOTH.sub(r"\1", _NO_VALUE.sub("", message)))
    return _QUOTED.sub(r"\1 \2", typed)


def complain(message: object) -> None:
    """One line on stderr, whatever the message."""
    say(f"{PROGRAM}: {as_typed(' '.join(str(message).split()))}")


def show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print a warning for the user in a line; others are for who develops this program, and none of its users."""
    if category is UserWarning:
        complain(message)


class Parser(argparse.ArgumentParser):
    """Parser whose help begins with what it does and examples, and which says in one line what is wrong.

    examples: (arguments after the program's name, what that does) each, as in ("filter talk.flac", "writes ...").
    """

    def __init__(self, *args: Any, examples: Sequence[tuple[str, str]] = (), **options: Any) -> None:
        super().__init__(*args, **options)
        self.examples = tuple(examples)

    def format_help(self) -> str:
        """Put what the command does and its examples before the usage and the options."""
        head, body = self._get_formatter(), self._get_formatter()
        head.add_text(self.description)
        body.add_usage(self.usage, self._actions, self._mutually_exclusive_groups)
        for group in self._action_groups:
            body.start_section(group.title)
            body.add_text(group.description)
            body.add_arguments(group._group_actions)
            body.end_section()
        body.add_text(self.epilog)
        examples = [f"examples:\n{format_examples(self.examples)}\n"] if self.examples else []
        return "\n".join([*filter(None, [head.format_help()]), *examples, body.format_help()])

    def error(self, message: str) -> NoReturn:
        complain(f"{message}{' See' if message.endswith('?') else '; see'} '{self.prog} --help'")
        sys.exit(2)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """Parse as argparse does, but refuse what is unknown here, where the options that were meant are known."""
        parsed, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(self._unknown(unknown))
        return parsed, unknown

    def _unknown(self, words: Sequence[str]) -> str:
        named = " ".join(words)
        if words[0].startswith("-"):
            if len(words[0]) == 2 and words[0].swapcase() in self._option_string_actions:
                return f"there is no option {named}{_meant(words[0].swapcase())}"
            options = [name for name in self._option_string_actions if name.startswith("--")]
            return f"there is no option {named}{_meant(closest(words[0].partition('=')[0], options))}"
        return f"{named}: one word too many" if len(words) == 1 else f"{named}: {len(words)} words too many"

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if not isinstance(action, argparse._SubParsersAction) or value in action.choices:
            super()._check_value(action, value)
            return
        shown = [choice.dest for choice in action._choices_actions]
        kind = str(action.metavar or "verb").lower()
        if looks_like_audio(value) and "filter" in action.choices:
            hint = _meant(f"{self.prog} filter {shlex.quote(value)}")
        else:
            hint = _meant(closest(value, [*action.choices])) or f"; there are {', '.join(shown)}"
        self.error(f"there is no {kind} {value!r}{hint}")


def add_model(options: Any) -> None:
    """Add --model to the options of a verb that cleans."""
    options.add_argument(
        "--model",
        action="append",
        metavar="FILE [FILE.onnx]",
        help="a model of your own for the backend: one file, or the two of a DTLN, or their folder",
    )


def model_of(args: argparse.Namespace) -> Any:
    """The model of --model as Denoiser takes it: a path, several, or None."""
    return args.model[0] if args.model and len(args.model) == 1 else args.model


def format_examples(examples: Iterable[tuple[str, str]]) -> str:
    """Lines of commands, each with what it does behind it, or below it where the line would be long."""
    lines = [(f"  {PROGRAM} {command}", what) for command, what in examples]
    width = max(len(line) for line, _ in lines)
    if width > 58:
        return "\n".join(f"{line}\n      {what}" for line, what in lines)
    return "\n".join(f"{line:<{width}}   {what}" for line, what in lines)


def looks_like_audio(word: str) -> bool:
    """True for a folder, and for a name that ends as audio files do."""
    from denoise_wrapper.files.formats import SUFFIXES

    path = Path(word)
    return path.suffix.lower() in SUFFIXES or path.is_dir()


def closest(word: str, known: Sequence[str]) -> str | None:
    """Find the known word that is most like the one typed; None if none is."""
    import difflib

    return next(iter(difflib.get_close_matches(word, known, n=1, cutoff=0.6)), None)


def _meant(word: str | None) -> str:
    return f"; did you mean: {word}?" if word else ""
