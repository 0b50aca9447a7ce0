"""Compares models on your own recordings, picks the best that is cheap enough, and writes a page to listen to.

    python examples/compare_models.py CLIP_OR_FOLDER... [-o REPORT.html]

Needs pip install 'denoise-wrapper[compare]'. `denoise-wrapper compare` does the same and more without a line of code;
this is how a program does it, here with one strength of a backend beside the backends themselves.
"""

from __future__ import annotations

import argparse
import sys

from denoise_wrapper import DenoiseError, Denoiser, backend_names
from denoise_wrapper.compare import Comparison, Result, compare
from denoise_wrapper.compare.report import check_report, write_report
from denoise_wrapper.progress import stages

MOST_MS = 1.0  # of computing for 20 ms of live audio


def best(comparison: Comparison, measure: str) -> Result:
    """The candidate with the highest mean of those that are quick enough live."""
    quick = [
        result
        for result in comparison.results[1:]  # the first are the clips as they came
        if result.cost is not None and 20.0 * result.cost.buffer_p99_factor <= MOST_MS
    ]
    if not quick:
        raise SystemExit(f"no candidate does 20 ms within {MOST_MS} ms here")
    return max(quick, key=lambda result: comparison.mean(result, measure))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("inputs", nargs="+", metavar="CLIP_OR_FOLDER")
    parser.add_argument("-o", "--output", default="compare.html")
    args = parser.parse_args()

    candidates: list[str | Denoiser] = [*backend_names(), Denoiser("rnnoise", atten_lim_db=12)]
    try:
        check_report(args.output, overwrite=True)  # before all the work
        with stages(quiet=False) as progress:
            comparison = compare(args.inputs, candidates, jobs=2, progress=progress)
            page, *_ = write_report(comparison, args.output, overwrite=True, jobs=2, progress=progress)
    except DenoiseError as error:  # a package that is absent, too
        sys.exit(str(error))

    referenced = any(clip.clean is not None for clip in comparison.clips)
    measure = "PESQ" if referenced else "OVRL"  # PESQ needs the clean clips
    for result in comparison.results:
        print(f"{result.name:<24} {measure} {comparison.mean(result, measure):.3f}")
    print(f"best within {MOST_MS} ms a buffer: {best(comparison, measure).name}; listen: {page}")


if __name__ == "__main__":
    main()
