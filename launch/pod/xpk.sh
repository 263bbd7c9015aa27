#!/usr/bin/env bash
# Train on TPU node pools of GKE with XPK (pip install xpk), on a cluster that `xpk cluster create` made.
#
# usage: bash launch/pod/xpk.sh storage|create|status|logs|stop SETTINGS [--dry-run]
#   storage  make the bucket known to the cluster, once
#   create   submit the run; it is restarted after a preemption or a crash
#   status   its state
#   logs     follow the first worker
#   stop     delete it; `create` goes on from the newest checkpoint
source "$(dirname "$0")/common.sh"
verbs="storage create status logs stop"
needs="RUN TRAIN BUCKET IMAGE ZONE TPU SLICES CLUSTER"

storage() {
    local where=(--cluster="$CLUSTER" --zone="$ZONE" --type=gcsfuse --bucket="$BUCKET" --auto-mount=false --size=1024)
    run xpk storage attach unimedvlp-data "${where[@]}" --mount-point=/gcs/data --readonly=true \
        --mount-options=implicit-dirs,only-dir=data,file-cache:max-size-mb:-1,file-cache:cache-file-for-range-read:true
    run xpk storage attach unimedvlp-runs "${where[@]}" --mount-point=/gcs/runs --readonly=false \
        --mount-options=implicit-dirs,only-dir=runs,metadata-cache:ttl-secs:0,metadata-cache:negative-ttl-secs:0
}

create() {
    run xpk workload create --cluster="$CLUSTER" --zone="$ZONE" --workload="$RUN" --tpu-type="$TPU" \
        --num-slices="$SLICES" --docker-image="$IMAGE" --storage=unimedvlp-data --storage=unimedvlp-runs \
        --env=UNIMEDVLP_COORDINATOR=auto --env=UNIMEDVLP_SLICES="$SLICES" \
        --max-restarts=100 --restart-on-exit-codes=1,75 --termination-grace-period-seconds=120 \
        --command="exec python -m launch.pod.host --workdir /gcs/runs/$RUN --data /gcs/data $TRAIN"
}

status() { run xpk workload list --cluster="$CLUSTER" --zone="$ZONE" --filter-by-job="$RUN"; }

logs() {
    local first=jobset.sigs.k8s.io/job-index=0,batch.kubernetes.io/job-completion-index=0
    run kubectl logs --follow --tail=200 --container=jax-tpu --selector="jobset.sigs.k8s.io/jobset-name=$RUN,$first"
}

stop() { run xpk workload delete --cluster="$CLUSTER" --zone="$ZONE" --workload="$RUN" --force; }

main "$@"
