#!/usr/bin/env bash
# Train on TPU node pools of GKE with a plain JobSet manifest, on the cluster that kubectl talks to.
#
# usage: bash launch/pod/jobset.sh create|status|logs|stop SETTINGS [--dry-run]
#   create  apply jobset.yaml; the run is restarted after a preemption or a crash
#   status  the set and its pods
#   logs    follow the first worker
#   stop    delete it; `create` goes on from the newest checkpoint
source "$(dirname "$0")/common.sh"
verbs="create status logs stop"
needs="RUN TRAIN BUCKET IMAGE SLICES TPU_NODES TOPOLOGY HOSTS CHIPS SERVICE_ACCOUNT"

create() { run_with "$(fill "$here/jobset.yaml")" kubectl apply --filename=-; }

status() {
    run kubectl get jobset "$RUN"
    run kubectl get pods --selector="jobset.sigs.k8s.io/jobset-name=$RUN"
}

logs() {
    local first=jobset.sigs.k8s.io/job-index=0,batch.kubernetes.io/job-completion-index=0
    run kubectl logs --follow --tail=200 --container=train --selector="jobset.sigs.k8s.io/jobset-name=$RUN,$first"
}

stop() { run kubectl delete jobset "$RUN"; }

main "$@"
