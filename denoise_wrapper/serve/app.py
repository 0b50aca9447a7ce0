"""The application: routes, doors in front of them, and refusals in words."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import math
from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute

from denoise_wrapper.backends import backend_names
from denoise_wrapper.backends.purposes import DEFAULT, purpose
from denoise_wrapper.denoiser import Denoiser
from denoise_wrapper.errors import DenoiseError
from denoise_wrapper.presets import PRESETS
from denoise_wrapper.serve import metrics
from denoise_wrapper.serve.doors import OPEN
from denoise_wrapper.serve.limits import RefusalError, client_of
from denoise_wrapper.serve.openapi import describe
from denoise_wrapper.serve.uploads import Uploads

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from denoise_wrapper.serve.desk import Desk
    from denoise_wrapper.serve.doors import Doors

PAGE = Path(__file__).parent / "page"
REPORT = Path(__file__).parents[1] / "compare" / "report"  # whose deck plays here too, and its button for the theme
FILES = {
    "/": (PAGE / "index.html", "text/html"),
    "/page.css": (PAGE / "page.css", "text/css"),
    "/page.js": (PAGE / "page.js", "text/javascript"),
    "/live.js": (PAGE / "live.js", "text/javascript"),
    "/file.js": (PAGE / "file.js", "text/javascript"),
    "/spectrogram.js": (PAGE / "spectrogram.js", "text/javascript"),
    "/worklet.js": (PAGE / "worklet.js", "text/javascript"),
    "/deck.js": (REPORT / "deck.js", "text/javascript"),
    "/theme.js": (REPORT / "theme.js", "text/javascript"),
}
# Nothing from elsewhere, no frame around the page, no script but its own. A WebSocket is named for older browsers.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self' blob:; "
    "connect-src 'self' {socket}; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self)",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def make_app(desk: Desk, doors: Doors) -> ASGIApp:
    """Make the application of ASGI. desk: what its parts share. doors: who may come in."""

    async def page(request: Request) -> Response:
        path, kind = FILES[request.url.path]
        scheme = "wss" if request.url.scheme == "https" else "ws"
        policy = POLICY.format(socket=f"{scheme}://{request.headers['host']}")
        return Response(path.read_bytes(), media_type=kind, headers={"Content-Security-Policy": policy})

    async def backends(_: Request) -> Response:
        return JSONResponse(await asyncio.to_thread(list_backends))

    async def plain(_: Request) -> Response:
        raise RefusalError(
            HTTPStatus.UPGRADE_REQUIRED, "this is a WebSocket: connect to it as ws:// or wss://", "stream"
        )

    async def health(_: Request) -> Response:
        status = HTTPStatus.SERVICE_UNAVAILABLE if desk.stopping else HTTPStatus.OK
        return JSONResponse({"status": "stopping" if desk.stopping else "ok"}, status)

    async def numbers(_: Request) -> Response:
        return Response(desk.metrics.text(), media_type=metrics.KIND)

    async def api(_: Request) -> Response:
        return JSONResponse(describe())

    async def refused(_: Any, error: Exception) -> Response:
        assert isinstance(error, RefusalError)
        desk.metrics.rejections.labels(error.reason).inc()
        return refusal(error)

    @contextlib.asynccontextmanager
    async def living(_: Starlette) -> AsyncIterator[None]:
        sweeping = asyncio.create_task(desk.sweep())
        try:
            yield
        finally:
            sweeping.cancel()

    routes = [
        *(Route(path, page) for path in FILES),
        Route("/v1/denoise", Uploads(desk), methods=["POST"]),
        WebSocketRoute("/v1/stream", desk.stream),
        Route("/v1/stream", plain),
        Route("/v1/backends", backends),
        Route("/healthz", health),
        Route("/metrics", numbers),
        Route("/openapi.json", api),
    ]
    inner = Starlette(routes=routes, lifespan=living, exception_handlers={RefusalError: refused})
    return Entrance(inner, desk, doors)


class Entrance:
    """What every request goes through: the doors, the rate, the key; and what a refusal becomes."""

    def __init__(self, app: ASGIApp, desk: Desk, doors: Doors) -> None:
        self._app, self._desk, self._doors = app, desk, doors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers: dict[str, list[str]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *((n.encode(), v.encode()) for n, v in HEADERS.items() if n.lower().encode() not in own),
                ]
            await send(message)

        try:
            path = scope["path"]
            self._doors.check(scope["scheme"], scope.get("method", "GET"), path, headers)
            if path.startswith("/v1/") or (self._doors.key is not None and path.startswith(OPEN)):
                self._desk.rates.take(client_of(scope.get("client")))
            self._doors.check_key(path, headers)
        except RefusalError as error:
            self._desk.metrics.rejections.labels(error.reason).inc()
            await refusal(error)(scope, receive, answer)
            return
        await self._app(scope, receive, answer)


def refusal(error: RefusalError) -> Response:
    """Make the answer to a request that is refused, after which the connection ends, with its body unread."""
    headers = {"Connection": "close"}
    if error.retry_s is not None:
        headers["Retry-After"] = str(error.retry_s)
    if error.status is HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    body = {"error": {"status": int(error.status), "reason": error.reason, "message": error.message}}
    return JSONResponse(body, error.status, headers)


@functools.cache
def list_backends() -> dict[str, Any]:
    """List the backends and presets, with what a client needs to choose. Loads all of them, once."""
    listed = []
    for name in backend_names():
        try:
            denoiser = Denoiser(name)
        except DenoiseError:
            continue  # one that cannot be loaded is none here
        backend = denoiser.backend
        delay_ms, latency_ms = 1e3 * backend.delay / backend.sample_rate, 1e3 * denoiser.latency(48000) / 48000
        listed.append(
            {
                "name": name,
                "purpose": purpose(name),
                "sample_rate": backend.sample_rate,
                "hop": backend.hop,
                "delay_ms": round(delay_ms, 3),
                "latency_ms": math.ceil(1e3 * latency_ms) / 1e3,
                "has_vad": backend.has_vad,
            }
        )
    presets = [
        {"name": name, "atten_lim_db": each.atten_lim_db, "purpose": each.purpose} for name, each in PRESETS.items()
    ]
    return {"default": DEFAULT, "backends": listed, "presets": presets}
