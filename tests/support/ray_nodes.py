"""Nodes of Ray on this machine, and the processes on them that clean."""

from __future__ import annotations

import contextlib
import inspect
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock

from storms import free_port, wait_for

TRIES = 4  # to start a node: its raylet gives up where its agent takes more than 15 s to come, as on a busy machine
Started = TypeVar("Started")


def patiently(start: Callable[[], Started], error: type[Exception]) -> Started:
    """What start returns, called again where it raises error."""
    for _ in range(TRIES - 1):
        with contextlib.suppress(error):
            return start()
    return start()


@contextlib.contextmanager
def at_once(small: bool = True) -> Iterator[dict[str, int]]:
    """Start nodes of Ray in this block without waiting for their agents, whose ports are known; yields the ports.

    They are written down where a raylet looks for them. small: agents do without the dashboard's part and metrics.
    """
    from ray import _raylet
    from ray._private import services

    names = ("metrics_agent", "metrics_export", "runtime_env_agent", "dashboard_agent_listen")
    ports = {f"{name}_port": free_port() for name in names}
    start = services.start_raylet

    def start_raylet(*given: Any, **words: Any) -> Any:
        known = inspect.signature(start).bind(*given, **(words | ports))
        for name in names:
            key = getattr(_raylet, f"{name.upper()}_PORT_NAME")
            place = known.arguments["session_dir"], known.arguments["node_id"]
            _raylet.persist_port(*place, key, ports[f"{name}_port"])
        return start(*known.args, **known.kwargs)

    left_out = mock.patch("ray._private.utils.get_dashboard_dependency_error", return_value="left out")
    with left_out if small else contextlib.nullcontext(), mock.patch.object(services, "start_raylet", start_raylet):
        yield ports


def add_node(cluster: Any, cores: int = 2, *, small: bool = True, **more: Any) -> Any:
    """Add a node to a ray.cluster_utils.Cluster, the head if it has none; see `at_once`.

    A node's metrics_export_port says where its metrics are.
    """
    with at_once(small) as ports:
        words = {"num_cpus": cores, "object_store_memory": 200 << 20, **ports, **more}
        node = patiently(lambda: cluster.add_node(**words), Exception)
    wait_for(ports["runtime_env_agent_port"], node.node_ip_address)  # which every actor asks for its environment
    return node


@contextlib.contextmanager
def head(cores: int, *, small: bool = True) -> Iterator[Any]:
    """A cluster of one node, as `add_node` makes it, to which others can be added.

    Workers of all have this process's priority: by themselves they wait for all else on a busy machine.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_worker_niceness", "0")
    from ray.cluster_utils import Cluster

    cluster = Cluster()
    try:
        add_node(cluster, cores, small=small, include_dashboard=False)
        yield cluster
    finally:
        cluster.shutdown()


def cleaners(folder: Path | None = None) -> list[int]:
    """Processes of actors that clean, by the names that Ray gives them; those with an open file below folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # one that has ended meanwhile
            if b"ray::Cleaner" not in (path / "cmdline").read_bytes():
                continue
            names = [os.readlink(each) for each in (path / "fd").iterdir()] if folder else []
            if folder is None or any(name.startswith(f"{folder}/") for name in names):
                found.append(int(path.name))
    return found
