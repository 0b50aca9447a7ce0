"""Who may come in: the Host that was asked for, the page that asks, and the key.

A page of another site may open a WebSocket to this machine, and a name of its own may be made to point here: so every
request has to name a host that is known, and come from no other page.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import urlsplit

from denoise_wrapper.serve.limits import RefusalError

PROTOCOL = "denoise.v1"  # of the WebSocket
KEY_PREFIX = "key."  # of a second one, which carries the key: a page can send no header with a WebSocket
OPEN = ("/v1/", "/metrics")  # what the key opens; the page itself and /healthz hold no secret
_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_ENCRYPTED = {"ws": "http", "wss": "https"}


@dataclass(frozen=True)
class Doors:
    """Who may come in.

    hosts: names that this server has, beside numeric addresses and localhost. origins: pages elsewhere that may use
    it, as in https://voice.example. key: that has to be shown; None for none.
    """

    hosts: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()
    key: str | None = field(default=None, repr=False)

    def check(self, scheme: str, method: str, path: str, headers: Mapping[str, list[str]]) -> None:
        """Raise RefusalError if a request may not come in, but for its key.

        scheme: http, https, ws or wss. headers: by lower-case name, all that came of each.
        """
        host = self._host(headers.get("host", []))
        for origin in headers.get("origin", []):
            if origin not in self.origins and _place(origin) != _place(f"{_ENCRYPTED.get(scheme, scheme)}://{host}"):
                raise RefusalError(
                    HTTPStatus.FORBIDDEN,
                    f"a page of {origin[:100]} may not use this server; --allow-origin lets one in",
                    "origin",
                )
        site = headers.get("sec-fetch-site", ["none"])[-1]
        walks = method == "GET" and path == "/" and headers.get("sec-fetch-dest") == ["document"]
        if site not in ("none", "same-origin") and not walks and not headers.get("origin"):
            raise RefusalError(HTTPStatus.FORBIDDEN, "a page of another site may not use this server", "origin")

    def check_key(self, path: str, headers: Mapping[str, list[str]]) -> None:
        """Raise RefusalError if the path wants a key, and another one or none came."""
        if self.key is None or not path.startswith(OPEN):
            return
        keys = [value[7:].strip() for value in headers.get("authorization", []) if value[:7].lower() == "bearer "]
        keys += headers.get("x-api-key", [])
        keys += [_decoded(name[len(KEY_PREFIX) :]) for name in offered(headers) if name.startswith(KEY_PREFIX)]
        if not any(hmac.compare_digest(key.encode(), self.key.encode()) for key in keys):
            raise RefusalError(
                HTTPStatus.UNAUTHORIZED,
                f"the key is {'another one' if keys else 'wanted'}: send 'Authorization: Bearer KEY', or for a "
                f"WebSocket from a page the protocols '{PROTOCOL}' and '{KEY_PREFIX}', the key in base64url behind it",
                "key",
            )

    def _host(self, values: list[str]) -> str:
        place = _place(f"http://{values[0]}") if len(values) == 1 else None
        if place is None:
            raise RefusalError(HTTPStatus.BAD_REQUEST, "a request names its host once, in the header Host", "host")
        name = place[1]
        if not (is_address(name) or name == "localhost" or name.endswith(".localhost") or name in self.hosts):
            raise RefusalError(
                HTTPStatus.MISDIRECTED_REQUEST,
                f"this server is not {name[:100]}; --allow-host NAME gives it that name",
                "host",
            )
        return values[0]


def offered(headers: Mapping[str, list[str]]) -> list[str]:
    """List the protocols that a WebSocket's client offers."""
    return [name.strip() for value in headers.get("sec-websocket-protocol", []) for name in value.split(",")]


def is_address(name: str) -> bool:
    """True for a numeric address, which no name server can point elsewhere."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_local(host: str) -> bool:
    """True for an address, or a name of it, that only this machine reaches."""
    return host == "localhost" or (is_address(host) and ipaddress.ip_address(host).is_loopback)


def _place(url: str) -> tuple[str, str, int] | None:
    """Scheme, host and port of a URL; None if it has none."""
    try:
        parts = urlsplit(url)
        name, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not name or parts.scheme not in _PORTS or "@" in parts.netloc:
        return None
    return parts.scheme, name.lower().rstrip("."), _PORTS[parts.scheme] if port is None else port


def _decoded(text: str) -> str:
    """A key out of base64url, without its padding; "" for something else."""
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except (binascii.Error, ValueError):
        return ""
