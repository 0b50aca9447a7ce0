"""What runs a corpus on clusters of others: it parses, names what there is, and calls the command as it is."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from require import require

from denoise_wrapper.cli.main import make_parser

ROOT = Path(__file__).resolve().parents[2]
SLURM = ROOT / "docker/slurm.sh"


def job() -> Any:
    yaml = require("yaml")
    return yaml.safe_load((ROOT / "docker/rayjob.yaml").read_text(encoding="utf-8"))


def test_the_job_runs_a_command_that_the_parser_takes() -> None:
    words = shlex.split(job()["spec"]["entrypoint"])
    assert words[0] == "denoise-wrapper"
    args = make_parser().parse_args(words[1:])
    assert (args.ray, args.resume) == ("auto", True)


def templates() -> list[Any]:
    """Those of all pods of the job."""
    cluster = job()["spec"]["rayClusterSpec"]
    return [cluster["headGroupSpec"]["template"], *(each["template"] for each in cluster["workerGroupSpecs"])]


def test_its_pods_are_pods_by_the_schema_of_kubernetes() -> None:
    schemas = require("kubernetes_validate")
    for template in templates():
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", **template.get("metadata", {})}}
        schemas.validate(pod | {"spec": template["spec"]}, schemas.latest_version(), strict=True)
        with pytest.raises(schemas.ValidationError):
            schemas.validate(
                pod | {"spec": template["spec"] | {"kontainers": []}}, schemas.latest_version(), strict=True
            )


def test_the_head_cleans_nothing_and_no_pod_is_root() -> None:
    cluster = job()["spec"]["rayClusterSpec"]
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    for template in templates():
        assert template["spec"]["securityContext"]["runAsNonRoot"] is True
        for container in template["spec"]["containers"]:
            assert container["image"] == "denoise-wrapper:ray"
            assert container["resources"]["requests"] == container["resources"]["limits"]
            assert {mount["name"] for mount in container["volumeMounts"]} <= {
                volume["name"] for volume in template["spec"]["volumes"]
            }


def test_the_image_has_all_that_the_run_needs() -> None:
    text = (ROOT / "docker/Dockerfile.ray").read_text(encoding="utf-8")
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert '".[ray,media,tags,${EXTRAS}]"' in text
    assert {"ray", "media", "tags", "s3", "gcs", "azure"} <= set(extras)


def test_the_image_copies_what_there_is() -> None:
    text = (ROOT / "docker/Dockerfile.ray").read_text(encoding="utf-8")
    sources = [name for line in text.splitlines() if line.startswith("COPY ") for name in line.split()[1:-1]]
    assert sources
    assert all((ROOT / name).exists() for name in sources)


def test_the_script_passes_shellcheck(needs: Any) -> None:
    answer = subprocess.run([needs("shellcheck"), str(SLURM)], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout


def test_the_script_says_how_it_is_used(needs: Any) -> None:
    answer = subprocess.run([needs("bash"), str(SLURM)], capture_output=True, text=True)
    assert answer.returncode == 2
    assert answer.stderr.startswith("usage: sbatch")


@pytest.mark.parametrize("code", [0, 2])
def test_the_script_leads_a_run_and_gives_its_exit_code(tmp_path: Path, needs: Any, code: int) -> None:
    """With programs of SLURM and Ray that write down how they are called: there is no cluster of either here."""
    log = tmp_path / "log"
    programs = {
        "scontrol": "echo one; echo two",
        "srun": 'while [[ $1 == -* ]]; do [[ $1 == -w ]] && shift; shift; done; exec "$@"',
        "hostname": "echo 10.0.0.1",
        "ray": (
            f'echo "ray $*" >> {log}; [[ $1 == start ]] && exec sleep 60; '
            f"[[ $1 != health-check ]] || exec grep -q -- --head {log}"  # a node answers once it has begun
        ),
        "denoise-wrapper": f'echo "denoise-wrapper $*" >> {log}; exit {code}',
    }
    for name, text in programs.items():
        (tmp_path / name).write_text(f"#!{shutil.which('bash')}\n{text}\n")
        (tmp_path / name).chmod(0o755)
    environment = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_NODELIST": "n[1-2]", "SLURM_JOB_ID": "77",
        "SLURM_CPUS_PER_TASK": "16",
    }  # fmt: skip
    words = [needs("bash"), str(SLURM), "/data/raw", "/data/clean", "-b", "dtln-16k"]
    answer = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60)
    assert answer.returncode == code, answer.stderr
    lines = log.read_text().splitlines()
    assert "denoise-wrapper batch /data/raw -o /data/clean --ray 10.0.0.1:20077 --resume -b dtln-16k" in lines
    starts = [line for line in lines if line.startswith("ray start")]
    assert any("--head --port=20077 --num-cpus=16" in line for line in starts)
    (words_of,) = [line for line in lines if line.startswith("denoise-wrapper")]
    make_parser().parse_args(shlex.split(words_of)[1:])
