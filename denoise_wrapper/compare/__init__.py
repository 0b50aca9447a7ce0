"""Backends, models and settings beside each other, by measure and by ear.

from denoise_wrapper.compare import compare
from denoise_wrapper.compare.report import write_report

if __name__ == "__main__":
    write_report(compare(["clips"], ["rnnoise", "dtln-16k"], jobs=2), "compare.html")
"""

from denoise_wrapper.compare.candidates import Candidate, parse_candidate
from denoise_wrapper.compare.clips.clip import Clip
from denoise_wrapper.compare.comparison import Comparison, Cost, Result, Track
from denoise_wrapper.compare.run import compare, evaluate
from denoise_wrapper.stream.settings import Settings

__all__ = [
    "Candidate",
    "Clip",
    "Comparison",
    "Cost",
    "Result",
    "Settings",
    "Track",
    "compare",
    "evaluate",
    "parse_candidate",
]
