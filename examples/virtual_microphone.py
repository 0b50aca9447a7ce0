"""A microphone called Clean that meetings can choose, from any source of the sound server; until Enter is pressed.

python examples/virtual_microphone.py [SOURCE]     Linux, with PulseAudio or pipewire-pulse; `denoise-wrapper live
                                                   --virtual-mic Clean` is the same with keys, levels and more care
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading

from denoise_wrapper import Denoiser
from denoise_wrapper.live.pulse import virtual_microphone

RATE, BLOCK = 48000, 480
FORM = ["--raw", "--format=float32le", f"--rate={RATE}", "--channels=1", "--latency-msec=20"]


def main() -> None:
    for program in ("pactl", "parec", "pacat"):
        if shutil.which(program) is None:
            sys.exit(f"virtual_microphone.py needs {program} (on Debian: apt install pulseaudio-utils)")
    source = [f"--device={sys.argv[1]}"] if len(sys.argv) > 1 else []
    with (
        virtual_microphone("Clean", RATE, 1) as microphone,
        subprocess.Popen(["parec", *source, *FORM], stdout=subprocess.PIPE) as hears,
        subprocess.Popen(["pacat", f"--device={microphone.sink}", *FORM], stdin=subprocess.PIPE) as plays,
        Denoiser().stream(RATE, dtype="float32") as stream,
    ):

        def clean() -> None:
            assert hears.stdout is not None
            assert plays.stdin is not None
            while noisy := hears.stdout.read(4 * BLOCK):
                plays.stdin.write(stream.process(noisy))
                plays.stdin.flush()

        cleaning = threading.Thread(target=clean, daemon=True)
        cleaning.start()
        input(f"choose {microphone.name} as the microphone; Enter ends it")
        hears.terminate()  # what it has said is still cleaned and played
        cleaning.join()


if __name__ == "__main__":
    main()
