#!/usr/bin/env bash
# Train on GPU nodes of a Slurm cluster, one process a GPU. Start it from the checkout, on a file system that all nodes see.
#
# usage: bash launch/pod/slurm.sh create|status|logs|stop SETTINGS [--dry-run]
#   create  submit slurm.sbatch; the job queues again at its time limit and after a preemption
#   status  its place in the queue
#   logs    follow it
#   stop    cancel it; `create` goes on from the newest checkpoint
source "$(dirname "$0")/common.sh"
verbs="create status logs stop"
needs="RUN TRAIN ROOT VENV NODES GPUS CPUS LIMIT PARTITION"

create() {
    run mkdir -p "$ROOT/runs/$RUN"
    run sbatch --job-name="$RUN" --partition="$PARTITION" --time="$LIMIT" --nodes="$NODES" --ntasks-per-node="$GPUS" \
        --gpus-per-node="$GPUS" --cpus-per-task="$CPUS" --output="$ROOT/runs/$RUN/slurm.log" \
        --chdir="$(dirname "$(dirname "$here")")" "$here/slurm.sbatch" "$settings"
}

status() { run squeue --user="$(id -un)" --name="$RUN"; }

logs() { run tail --lines=200 --follow=name --retry "$ROOT/runs/$RUN/slurm.log"; }

stop() { run scancel --user="$(id -un)" --name="$RUN"; }

main "$@"
