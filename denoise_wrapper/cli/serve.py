"""`denoise-wrapper serve`: files and live streams over HTTP and WebSocket, and a page."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from denoise_wrapper.cli.screen import say
from denoise_wrapper.errors import ConfigError, file_error, needs_package

KEY = "DENOISE_WRAPPER_API_KEY"
MIB = 1 << 20


def add_serve(verbs: Any) -> None:
    verb = verbs.add_parser(
        "serve",
        help="clean files and live streams over HTTP and WebSocket, with a page",
        description="Serves POST /v1/denoise, WS /v1/stream, /v1/backends, /healthz, /metrics, /openapi.json, and at / "
        "a page: microphone, noisy and clean in turn, files. Needs pip install 'denoise-wrapper[serve]'.",
        examples=(
            ("serve", "for this machine, at http://127.0.0.1:8000/"),
            ("serve --host 0.0.0.0 --api-key-file key.txt --tls-cert cert.pem --tls-key key.pem", "for others too"),
        ),
    )
    verb.add_argument("--host", default="127.0.0.1", help="address to listen at (default: %(default)s)")
    verb.add_argument("--port", type=int, default=8000, help="0 for any that is free (default: %(default)s)")
    verb.add_argument("--threads", type=int, default=0, metavar="N", help="that clean (default: one per core)")
    who = verb.add_argument_group("who may come in")
    who.add_argument("--api-key", metavar="KEY", help=f"that clients show; better by {KEY} or a file")
    who.add_argument("--api-key-file", type=Path, metavar="FILE", help="whose first line is the key")
    who.add_argument("--insecure", action="store_true", help="let others than this machine in without a key")
    who.add_argument("--allow-host", action="append", default=[], metavar="NAME", help="a name this server has")
    who.add_argument("--allow-origin", action="append", default=[], metavar="URL", help="a page that may use it")
    who.add_argument("--tls-cert", type=Path, metavar="FILE", help="certificate, PEM")
    who.add_argument("--tls-key", type=Path, metavar="FILE", help="its key, PEM")
    most = verb.add_argument_group("how much at most")
    most.add_argument("--max-upload", type=int, default=4096, metavar="MIB", help="of a file (default: %(default)s)")
    most.add_argument(
        "--spool-limit",
        type=int,
        default=16384,
        metavar="MIB",
        help="of all that is on the disk (default: %(default)s)",
    )
    most.add_argument("--spool", type=Path, metavar="DIR", help="for uploads (default: the system's temporary folder)")
    most.add_argument("--max-uploads", type=int, default=16, metavar="N", help="at a time (default: %(default)s)")
    most.add_argument("--max-streams", type=int, default=256, metavar="N", help="at a time (default: %(default)s)")
    most.add_argument(
        "--per-client", type=int, default=64, metavar="N", help="both, of one address; 0: all (default: %(default)s)"
    )
    most.add_argument(
        "--per-minute", type=int, default=600, metavar="N", help="requests of one; 0: all (default: %(default)s)"
    )
    most.add_argument(
        "--idle", type=float, default=30.0, metavar="S", help="silence of a client (default: %(default)g)"
    )
    most.add_argument(
        "--stream-time", type=float, default=86400.0, metavar="S", help="of a stream (default: %(default)g)"
    )
    most.add_argument("--grace", type=float, default=10.0, metavar="S", help="to end all well (default: %(default)g)")
    verb.set_defaults(run=run_serve)


def run_serve(args: argparse.Namespace) -> int:
    try:
        from denoise_wrapper.serve.doors import Doors
        from denoise_wrapper.serve.limits import Limits
        from denoise_wrapper.serve.server import run_server
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("denoise_wrapper"):
            raise
        raise ConfigError(needs_package("serve needs", error, "serve")) from error

    for name in ("max_upload", "spool_limit", "max_uploads", "max_streams", "idle", "stream_time", "grace"):
        if not getattr(args, name) > 0:
            raise ConfigError(f"--{name.replace('_', '-')} is more than 0, not {getattr(args, name)}")
    for name in ("threads", "per_client", "per_minute"):
        if getattr(args, name) < 0:
            raise ConfigError(f"--{name.replace('_', '-')} is 0 or more, not {getattr(args, name)}")
    if not 0 <= args.port <= 65535:
        raise ConfigError(f"--port is 0 to 65535, not {args.port}")
    limits = Limits(
        args.max_upload * MIB, args.spool_limit * MIB, args.max_uploads, args.max_streams, args.per_client,
        args.per_minute, args.idle, args.stream_time, args.grace,
    )  # fmt: skip
    names = frozenset(name.lower() for name in [*args.allow_host, *([] if args.host == "::" else [args.host])])
    doors = Doors(names, frozenset(origin.rstrip("/") for origin in args.allow_origin), _key(args))
    run_server(
        args.host,
        args.port,
        doors=doors,
        limits=limits,
        insecure=args.insecure,
        certificate=args.tls_cert,
        key_file=args.tls_key,
        spool=args.spool,
        threads=args.threads,
        ready=lambda url: say(f"serving at {url} until Ctrl-C"),
    )
    return 0


def _key(args: argparse.Namespace) -> str | None:
    """Return the key that clients have to show, None for none. Raises ConfigError or FileError."""
    key = os.environ.get(KEY) if args.api_key is None else args.api_key
    if args.api_key_file is not None:
        if args.api_key is not None:
            raise ConfigError("--api-key and --api-key-file: give one of them")
        try:
            key = args.api_key_file.read_text(encoding="utf-8").partition("\n")[0].strip()
        except (OSError, UnicodeError) as error:
            raise file_error(f"--api-key-file {args.api_key_file} cannot be read: {error}", error) from error
    if key is not None and (len(key) < 8 or not key.isascii() or not key.isprintable() or " " in key):
        raise ConfigError("--api-key is 8 letters or digits at least, without spaces")
    return key
