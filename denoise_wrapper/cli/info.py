"""`denoise-wrapper info`: what a report of an error should begin with."""

from __future__ import annotations

import argparse
import json
from typing import Any


def add_info(verbs: Any, epilog: str) -> None:
    verb = verbs.add_parser(
        "info",
        help="tell versions, processor, instruction sets and backends",
        description="Tells what is installed here: versions, the processor, the instruction sets that the engine "
        "knows, those that this processor runs and the one in use (DENOISE_WRAPPER_ISA in the environment forces one), "
        "the backends with their models, and the optional packages and programs.",
        epilog=epilog,
    )
    verb.add_argument("--json", action="store_true", help="as JSON")
    verb.set_defaults(run=run_info)


def run_info(args: argparse.Namespace) -> int:
    from denoise_wrapper.info import describe, format_description

    found = describe()
    print(json.dumps(found, indent=1) if args.json else format_description(found))
    return 0
