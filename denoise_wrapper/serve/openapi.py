"""The description of the server's calls, as OpenAPI 3.1 has it."""

from __future__ import annotations

from typing import Any

from denoise_wrapper import __version__
from denoise_wrapper.backends import known_names
from denoise_wrapper.presets import PRESET_NAMES

_ERRORS = {
    "400": "a query, a form or a header that is wrong",
    "401": "the key is wanted, or another one",
    "403": "a page of another site asks",
    "408": "the body came too slowly",
    "413": "the file is too large",
    "421": "the header Host names another server",
    "426": "a request that is no WebSocket's",
    "422": "what came is no audio that can be cleaned",
    "429": "too many requests, or too much at a time, from one address",
    "503": "the server is busy",
    "507": "the server's disk, or its share of it, is full",
}
_AUDIO = {"audio/*": {"schema": {"type": "string", "format": "binary"}}}
STREAM = """\
A WebSocket (subprotocol denoise.v1; from a page the key comes as a second one, 'key.' and the key in base64url). The
first message is text: {"type": "start", "sample_rate": 48000, "channels": 1, "dtype": "int16" or "float32", "backend",
"preset", "atten_lim_db", "mix", "latency" (frames, more than the least to switch to slower backends), "speech": true};
the answer {"type": "started", "latency": frames, ...}. Then each binary message, PCM of whole frames, little-endian, is
answered by one as long: what came `latency` frames before, cleaned. {"type": "switch", "backend": "dtln-16k"} and
{"type": "limit", "atten_lim_db": 12} change the stream without a click and are answered by "switched" and "limited";
{"type": "flush"} by the last `latency` frames and then {"type": "flushed"}, and the stream is as fresh. With "speech"
there come {"type": "speech", "probability": 0.9} a few times a second. Every message is answered before the next is
read; {"type": "error", "message": ...} stands in the place of an answer."""


def describe() -> dict[str, Any]:
    """Return the description, as plain data."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "denoise-wrapper",
            "version": __version__,
            "description": "Takes the noise out of speech: files by HTTP, live streams by WebSocket.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "security": [{}, {"bearer": []}, {"header": []}],
        "paths": {
            "/v1/denoise": {"post": _denoise()},
            "/v1/stream": {
                "get": {
                    "operationId": "stream",
                    "summary": "Clean a live signal",
                    "description": STREAM,
                    "responses": {"101": {"description": "the WebSocket is open"}}
                    | _errors("401", "403", "426", "429", "503"),
                }
            },
            "/v1/backends": {"get": _get("backends", "List the backends and presets", "application/json")},
            "/healthz": {
                "get": _get("health", "Tell if the server takes work", "application/json", open_to_all=True)
                | {"responses": {"200": _json("it does"), "503": _json("it is being stopped")}}
            },
            "/metrics": {"get": _get("metrics", "Counters, as Prometheus reads them", "text/plain")},
            "/openapi.json": {"get": _get("api", "This description", "application/json", open_to_all=True)},
        },
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
            "schemas": {"Error": _error_schema()},
        },
    }


def _denoise() -> dict[str, Any]:
    return {
        "operationId": "denoise",
        "summary": "Clean a file",
        "description": "The body is the file, or a form whose part 'file' it is. The same kind comes back: format, "
        "rate, channels, sample type, length and tags stay.",
        "parameters": [
            _query("backend", {"type": "string", "default": "rnnoise", "examples": list(known_names())}, "the backend"),
            _query("preset", {"type": "string", "enum": list(PRESET_NAMES)}, "strength by what it is for"),
            _query("atten_lim_db", {"type": "number", "minimum": 0}, "dB that noise is turned down by at most"),
            _query("mix", {"type": "number", "minimum": 0, "maximum": 1}, "share of the cleaned signal"),
            _query("format", {"type": "string", "examples": ["flac"]}, "suffix of another format for the result"),
            _query("name", {"type": "string"}, "name of the file, which that of the result is made of"),
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
                "multipart/form-data": {
                    "schema": {
                        "type": "object",
                        "required": ["file"],
                        "properties": {"file": {"type": "string", "format": "binary"}},
                    }
                },
            }
            | _AUDIO,
        },
        "responses": {"200": {"description": "the cleaned file", "content": _AUDIO}}
        | _errors(*(status for status in _ERRORS if status != "426")),
    }


def _query(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": description}


def _get(name: str, summary: str, kind: str, open_to_all: bool = False) -> dict[str, Any]:
    schema = {"type": "object"} if kind == "application/json" else {"type": "string"}
    made: dict[str, Any] = {
        "operationId": name,
        "summary": summary,
        "responses": {"200": {"description": summary, "content": {kind: {"schema": schema}}}},
    }
    return made | ({"security": []} if open_to_all else {"responses": made["responses"] | _errors("401", "403", "421")})


def _json(description: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": {"type": "object"}}}}


def _errors(*statuses: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {status: {"description": _ERRORS[status], "content": content} for status in statuses}


def _error_schema() -> dict[str, Any]:
    properties = {"status": {"type": "integer"}, "reason": {"type": "string"}, "message": {"type": "string"}}
    return {
        "type": "object",
        "required": ["error"],
        "properties": {"error": {"type": "object", "required": list(properties), "properties": properties}},
    }
