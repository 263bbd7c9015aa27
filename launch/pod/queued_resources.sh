#!/usr/bin/env bash
# Train on Cloud TPU VMs, asked for as a queued resource.
#
# usage: bash launch/pod/queued_resources.sh create|watch|status|logs|stop SETTINGS [--dry-run]
#   create  ask for the TPUs; when they come, startup.sh on each VM mounts the bucket and trains
#   watch   ask again whenever they were taken away; ends when the run has ended and given its TPUs back
#   status  the state of the request
#   logs    follow the first worker
#   stop    give the TPUs back; `create` goes on from the newest checkpoint
source "$(dirname "$0")/common.sh"
verbs="create watch status logs stop"
needs="RUN TRAIN BUCKET IMAGE ZONE TPU SLICES RUNTIME TIER"
requests=(gcloud compute tpus queued-resources)

create() {
    local nodes=(--node-id="$RUN")
    [ "$SLICES" -eq 1 ] || nodes=(--node-count="$SLICES" --node-prefix="$RUN")
    [ "$TIER" = on-demand ] || nodes+=("--$TIER")
    run "${requests[@]}" create "$RUN" --zone="$ZONE" --accelerator-type="$TPU" --runtime-version="$RUNTIME" \
        "${nodes[@]}" --scopes=https://www.googleapis.com/auth/cloud-platform \
        --metadata-from-file="startup-script=$here/startup.sh,unimedvlp-settings=$settings"
}

status() { run "${requests[@]}" list --zone="$ZONE" --filter="name~/$RUN$" --format='value(state.state)'; }

logs() {
    run "${requests[@]}" ssh "$RUN" --zone="$ZONE" --node=0 --worker=0 \
        --command='sudo journalctl --unit=google-startup-scripts --output=cat --lines=200 --follow'
}

stop() { run "${requests[@]}" delete "$RUN" --zone="$ZONE" --force --quiet; }

watch() {
    local state
    if [ -n "$dry_run" ]; then
        echo '# Every 60 s:'
        status
        echo '# At SUSPENDED or FAILED these two; at no answer the run has ended, and so does this command:'
        stop
        create
        return
    fi
    while :; do
        state=$(quiet=1 && status) || state=UNKNOWN
        echo "$(date '+%F %T') $RUN: ${state:-ended}"
        case $state in
            '') return ;;
            SUSPENDED | FAILED) stop && create ;;
        esac
        sleep 60
    done
}

main "$@"
