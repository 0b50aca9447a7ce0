"""The clients in examples/, run as they stand against a real server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import soundfile
from require import require
from serving import NOISY, serving

for package in ("starlette", "uvicorn", "python_multipart", "websockets"):
    require(package, reason="the server needs its packages: pip install 'denoise-wrapper[serve]'")

from denoise_wrapper import Denoiser  # noqa: E402

EXAMPLES = NOISY.parent
KEY = "a-key-of-the-tests"


def node() -> Path:
    """Node.js that comes with playwright: that of the system may be too old for a WebSocket of its own."""
    playwright = require("playwright", reason="has Node.js in it: pip install 'denoise-wrapper[test]'")
    return Path(playwright.__file__).parent / "driver" / "node"


def test_both_clients_give_what_filter_gives(tmp_path: Path) -> None:
    noisy, rate = soundfile.read(NOISY, dtype="int16", frames=48000)
    wanted = Denoiser().filter(noisy, rate)
    source, target = tmp_path / "noisy.wav", tmp_path / "clean.wav"
    soundfile.write(source, noisy, rate)
    (tmp_path / "noisy.raw").write_bytes(noisy.tobytes())
    with serving(key=KEY) as server:
        url = server.url.replace("http", "ws") + "v1/stream"
        words = [sys.executable, str(EXAMPLES / "stream_client.py"), str(source), str(target), url, KEY]
        subprocess.run(words, check=True, capture_output=True, timeout=60)
        np.testing.assert_array_equal(soundfile.read(target, dtype="int16")[0], wanted)
        files = [str(tmp_path / "noisy.raw"), str(tmp_path / "clean.raw")]
        words = [str(node()), str(EXAMPLES / "stream_client.js"), *files, str(rate), url, KEY]
        subprocess.run(words, check=True, capture_output=True, timeout=60)
        np.testing.assert_array_equal(np.fromfile(tmp_path / "clean.raw", "<i2"), wanted)
