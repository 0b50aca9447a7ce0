"""Who may come in: hosts, pages, keys, rates; as a table, and at a real server."""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from require import require
from serving import serving, start

for package in ("starlette", "uvicorn", "python_multipart", "websockets"):
    require(package, reason="the server needs its packages: pip install 'denoise-wrapper[serve]'")

from websockets.exceptions import InvalidStatus  # noqa: E402

from denoise_wrapper.serve.doors import Doors  # noqa: E402
from denoise_wrapper.serve.limits import Rates, RefusalError, client_of  # noqa: E402

KEY = "a-key-of-the-tests"
DOORS = Doors(frozenset({"voice.example"}), frozenset({"https://app.example"}), KEY)


@pytest.mark.parametrize(
    ("scheme", "path", "headers", "status"),
    [
        ("http", "/", {"host": "127.0.0.1:8000"}, None),
        ("http", "/", {"host": "[::1]:8000"}, None),
        ("http", "/", {"host": "LOCALHOST."}, None),
        ("http", "/", {"host": "voice.example:8000"}, None),
        ("http", "/", {"host": "evil.example"}, 421),  # a name that was made to point here
        ("http", "/", {"host": "voice.example.evil.example"}, 421),
        ("http", "/", {"host": "user@127.0.0.1"}, 400),
        ("http", "/", {"host": "127.0.0.1:port"}, 400),
        ("http", "/", {}, 400),
        ("http", "/v1/denoise", {"host": "127.0.0.1:1", "origin": "http://127.0.0.1:1"}, None),
        ("http", "/v1/denoise", {"host": "127.0.0.1:1", "origin": "http://127.0.0.1:2"}, 403),
        ("http", "/v1/denoise", {"host": "127.0.0.1:1", "origin": "https://127.0.0.1:1"}, 403),
        ("http", "/v1/denoise", {"host": "127.0.0.1:1", "origin": "null"}, 403),
        ("http", "/v1/denoise", {"host": "127.0.0.1:1", "origin": "http://evil.example"}, 403),
        ("https", "/v1/denoise", {"host": "voice.example", "origin": "https://voice.example:443"}, None),
        ("ws", "/v1/stream", {"host": "127.0.0.1:1", "origin": "http://127.0.0.1:1"}, None),
        ("wss", "/v1/stream", {"host": "voice.example", "origin": "https://app.example"}, None),
        ("ws", "/v1/stream", {"host": "127.0.0.1:1", "origin": "http://localhost:1"}, 403),
        ("http", "/metrics", {"host": "localhost", "sec-fetch-site": "cross-site"}, 403),
        ("http", "/", {"host": "localhost", "sec-fetch-site": "cross-site", "sec-fetch-dest": "iframe"}, 403),
        ("http", "/", {"host": "localhost", "sec-fetch-site": "cross-site", "sec-fetch-dest": "document"}, None),
        ("http", "/metrics", {"host": "localhost", "sec-fetch-site": "same-origin"}, None),
    ],
)
def test_who_may_come_in(scheme: str, path: str, headers: dict[str, str], status: int | None) -> None:
    came = {name: [value] for name, value in headers.items()}
    if status is None:
        DOORS.check(scheme, "GET", path, came)
    else:
        with pytest.raises(RefusalError) as refused:
            DOORS.check(scheme, "GET", path, came)
        assert refused.value.status == status


def test_two_hosts_are_none() -> None:
    with pytest.raises(RefusalError):
        DOORS.check("http", "GET", "/", {"host": ["localhost", "evil.example"]})


def coded(key: str) -> str:
    return "key." + base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("headers", "opens"),
    [
        ({"authorization": f"Bearer {KEY}"}, True),
        ({"authorization": f"bearer {KEY}"}, True),
        ({"x-api-key": KEY}, True),
        ({"sec-websocket-protocol": f"denoise.v1, {coded(KEY)}"}, True),
        ({"authorization": f"Basic {KEY}"}, False),
        ({"authorization": "Bearer "}, False),
        ({"x-api-key": KEY[:-1]}, False),
        ({"x-api-key": "ключ"}, False),
        ({"sec-websocket-protocol": "denoise.v1, key.%%%"}, False),
        ({"cookie": f"key={KEY}"}, False),
        ({}, False),
    ],
)
def test_the_key_opens_what_it_opens(headers: dict[str, str], opens: bool) -> None:
    came = {name: [value] for name, value in headers.items()}
    for path in ("/", "/page.js", "/healthz", "/openapi.json"):
        DOORS.check_key(path, came)
    for path in ("/v1/denoise", "/v1/stream", "/v1/backends", "/metrics"):
        if opens:
            DOORS.check_key(path, came)
        else:
            with pytest.raises(RefusalError) as refused:
                DOORS.check_key(path, came)
            assert refused.value.status == 401


def test_rates_are_kept_and_recover() -> None:
    now = [0.0]
    rates = Rates(60, lambda: now[0])
    for _ in range(60):
        rates.take("a")
    with pytest.raises(RefusalError) as refused:
        rates.take("a")
    assert refused.value.retry_s is not None
    rates.take("b")  # another one is not asked to wait
    now[0] += refused.value.retry_s
    rates.take("a")
    for number in range(3 * Rates.MOST):
        rates.take(str(number))
    assert len(rates._left) <= Rates.MOST


def test_a_machine_is_one_client_whatever_address_it_takes() -> None:
    assert client_of(("2001:db8:1:2:3::4", 1)) == client_of(("2001:db8:1:2:5::6", 1))
    assert client_of(("2001:db8:1:3::4", 1)) != client_of(("2001:db8:1:2::4", 1))
    assert client_of(("10.0.0.1", 1)) != client_of(("10.0.0.2", 1))


def test_a_server_asks_for_its_key_and_knows_foreign_pages() -> None:
    with serving(key=KEY) as server:
        assert server.ask("GET", "/v1/backends").status == 401
        assert server.ask("POST", "/v1/denoise", b"RIFF").status == 401
        assert server.ask("GET", "/metrics").status == 401
        assert server.ask("GET", "/v1/backends", Authorization=f"Bearer {KEY}").status == 200
        page = server.ask("GET", "/")
        assert page.status == 200
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert not [name for name in page.headers if name.startswith("access-control")]
        assert server.ask("OPTIONS", "/v1/denoise", Origin=server.url.rstrip("/")).status in (401, 405)
        assert server.ask("GET", "/", Host="evil.example").status == 421
        for options in ({}, {"subprotocols": ["denoise.v1", coded("another key")]}):
            with pytest.raises(InvalidStatus) as refused, server.connect(**options):
                pass
            assert refused.value.response.status_code == 401
        with server.connect(subprotocols=["denoise.v1", coded(KEY)], origin=server.url.rstrip("/")) as ws:
            assert ws.subprotocol == "denoise.v1"
            assert start(ws)["type"] == "started"
        foreign = {"subprotocols": ["denoise.v1", coded(KEY)], "origin": "http://evil.example"}
        with pytest.raises(InvalidStatus) as refused, server.connect(**foreign):
            pass
        assert refused.value.response.status_code == 403
        server.stop()
        assert server.said == []  # who is refused writes no log


def refusal(*words: str) -> str:
    """What serve says instead of serving."""
    done = subprocess.run(
        [sys.executable, "-m", "denoise_wrapper", "serve", "--port", "0", *words],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_settings_that_do_not_go_together_are_said(tmp_path: Path) -> None:
    assert "--api-key" in refusal("--host", "0.0.0.0")
    assert "--tls-key" in refusal("--tls-cert", "cert.pem")
    assert "8 letters" in refusal("--api-key", "short")
    assert "--spool" in refusal("--spool", str(tmp_path / "absent"))
    assert "--port is 0 to 65535" in refusal("--port", "65536")


def test_tls_carries_all(needs: Callable[[str], str], tmp_path: Path) -> None:
    import json
    import ssl
    import urllib.request

    from websockets.sync.client import connect

    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        [needs("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", str(key),
         "-out", str(cert), "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    with serving("--tls-cert", str(cert), "--tls-key", str(key)) as server:
        assert server.url.startswith("https://")
        context = ssl.create_default_context(cafile=str(cert))
        with urllib.request.urlopen(f"{server.url}healthz", context=context) as answer:
            assert json.load(answer)["status"] == "ok"
        url = server.url.replace("https", "wss") + "v1/stream"
        with connect(url, ssl=context, origin=server.url.rstrip("/"), compression=None, proxy=None) as ws:  # type: ignore[call-overload]
            assert start(ws)["type"] == "started"
            ws.send(bytes(960))
            assert ws.recv(timeout=20) == bytes(960)
