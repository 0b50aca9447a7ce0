"""Processor of this machine, and the cores that this process may use."""

from __future__ import annotations

import os
import platform
import sys

from denoise_wrapper.arguments import shown, whole
from denoise_wrapper.errors import ConfigError


def cores() -> int:
    """Cores that this process may use: those that it is bound to, where the system tells."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def idle_cores() -> int:
    """Cores that this process may use and that nothing else used in the last minute, where the system tells; or 1."""
    if not hasattr(os, "getloadavg"):
        return 1
    return max(0, int(cores() - os.getloadavg()[0] + 0.5))


def check_jobs(jobs: int | None) -> int:
    """The number of threads or processes to use: jobs, or one per core for None. Raises ConfigError below 1."""
    if jobs is None:
        return cores()
    number = whole(jobs)
    if number is None or number < 1:
        raise ConfigError(
            f"jobs is a number of threads or processes, 1 or more, or None for one per core, not {shown(jobs)}"
        )
    return number


def processor_name() -> str:
    """Name of the processor as the system reports it; "unknown" if it reports none."""
    import subprocess  # which takes milliseconds to import

    try:
        if sys.platform == "darwin":
            command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
            name = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        else:
            with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
                pairs = (line.partition(":") for line in file)
                notes = {key.strip(): value.strip() for key, _, value in pairs}
            name = notes.get("model name") or notes.get("Model") or notes.get("Hardware") or ""
    except (OSError, subprocess.SubprocessError):
        name = ""  # Windows, or a system that does not tell
    return name or platform.processor() or platform.machine() or "unknown"
