#!/usr/bin/env bash
# Train with SkyPilot (pip install 'skypilot[gcp]'): GPU nodes, or one TPU slice, as a managed job. Start it from the checkout.
#
# usage: bash launch/pod/skypilot.sh create|status|logs|stop SETTINGS [--dry-run]
#   create  submit skypilot.yaml; the job is started again elsewhere after a preemption
#   status  all managed jobs
#   logs    follow it
#   stop    cancel it; `create` goes on from the newest checkpoint
source "$(dirname "$0")/common.sh"
verbs="create status logs stop"
needs="RUN TRAIN BUCKET DEVICE ACCELERATOR INFRA NODES"

create() {
    run sky jobs launch --yes --detach-run --name="$RUN" --infra="$INFRA" --gpus="$ACCELERATOR" --num-nodes="$NODES" \
        --env=RUN="$RUN" --env=TRAIN="$TRAIN" --env=BUCKET="$BUCKET" --env=DEVICE="$DEVICE" \
        --workdir="$(dirname "$(dirname "$here")")" "$here/skypilot.yaml"
}

status() { run sky jobs queue; }

logs() { run sky jobs logs --follow --name="$RUN"; }

stop() { run sky jobs cancel --yes --name="$RUN"; }

main "$@"
