"""Speed of the engine, the library and programs like it, side by side in one run: `python -m benchmarks`."""

import os

# One thread each, before numpy and the others are loaded.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
