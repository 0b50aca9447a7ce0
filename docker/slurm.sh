#!/bin/bash
# A run on a cluster that SLURM gives out: a node leads, all clean, on a disk that all of them see.
#   sbatch --nodes=4 docker/slurm.sh /data/raw /data/clean [more options of batch]
# The same line again goes on where the time ran out. denoise-wrapper[ray] is installed where all nodes see it; name
# its environment by VENV=/path/to/venv.
#SBATCH --job-name=denoise
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --mem-per-cpu=1G
#SBATCH --time=24:00:00
#SBATCH --signal=B:TERM@60
#SBATCH --output=denoise-%j.log
set -euo pipefail

if (($# < 2)); then
    echo "usage: sbatch [--nodes=N] $0 INPUT OUTPUT [options of denoise-wrapper batch]" >&2
    exit 2
fi
input=$1 output=$2
shift 2
if [[ -n ${VENV:-} ]]; then
    # shellcheck disable=SC1091
    source "$VENV/bin/activate"
fi
export OMP_NUM_THREADS=1 RAY_USAGE_STATS_ENABLED=0
# Others on the network run nothing here: one token for all nodes, in the home that they share.
ray get-auth-token --generate >/dev/null && export RAY_AUTH_MODE=token

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${nodes[0]}
# Two jobs may share a machine, so that the port depends on the job.
port=$((20000 + SLURM_JOB_ID % 10000))
address=$(srun --nodes=1 --ntasks=1 -w "$head" hostname --ip-address | awk '{print $1}'):$port

# shellcheck disable=SC2317,SC2329
stop() {
    # The run gives up what it is at, within ten seconds; then the nodes.
    [[ -n ${run:-} ]] && kill -TERM "$run" 2>/dev/null && wait "$run"
    # shellcheck disable=SC2046
    kill $(jobs -p) 2>/dev/null || true
}
trap stop TERM INT EXIT

srun --nodes=1 --ntasks=1 -w "$head" \
    ray start --head --port="$port" --num-cpus="$SLURM_CPUS_PER_TASK" --include-dashboard=false --block &
for _ in {1..60}; do
    ray health-check --address "$address" >/dev/null 2>&1 && break
    sleep 2
done
if ((${#nodes[@]} > 1)); then
    others=$(IFS=,; echo "${nodes[*]:1}")
    srun --nodes=$((${#nodes[@]} - 1)) --ntasks=$((${#nodes[@]} - 1)) -w "$others" \
        ray start --address="$address" --num-cpus="$SLURM_CPUS_PER_TASK" --block &
fi

denoise-wrapper batch "$input" -o "$output" --ray "$address" --resume "$@" &
run=$!
code=0
wait "$run" || code=$?
run=
exit "$code"
