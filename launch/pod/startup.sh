#!/usr/bin/env bash
# Startup script of every TPU VM of queued_resources.sh, run as root at each boot: mounts the bucket, trains until the run has
# ended, and gives the TPUs back. Its output: sudo journalctl --unit=google-startup-scripts
set -euo pipefail
export HOME=/root

metadata() {
    curl --silent --fail --header 'Metadata-Flavor: Google' \
        "http://metadata.google.internal/computeMetadata/v1/instance/attributes/$1"
}
# shellcheck disable=SC1090  # the settings file that `create` was given
source <(metadata unimedvlp-settings)

if ! command -v gcsfuse > /dev/null; then
    key=/etc/apt/keyrings/cloud.google.asc
    mkdir -p /etc/apt/keyrings
    curl --silent --fail --output "$key" https://packages.cloud.google.com/apt/doc/apt-key.gpg
    echo "deb [signed-by=$key] https://packages.cloud.google.com/apt gcsfuse-$(lsb_release --codename --short) main" \
        > /etc/apt/sources.list.d/gcsfuse.list
    apt-get --option DPkg::Lock::Timeout=600 update
    apt-get --option DPkg::Lock::Timeout=600 install --yes gcsfuse
fi
mkdir -p /gcs/data /gcs/runs /var/cache/gcsfuse
# Data never change, so they are cached on the local disk; runs are written by all hosts, so nothing of them is cached.
mountpoint --quiet /gcs/data || gcsfuse --only-dir=data -o ro,allow_other --implicit-dirs --cache-dir=/var/cache/gcsfuse \
    --file-cache-max-size-mb=-1 --file-cache-cache-file-for-range-read --file-cache-enable-parallel-downloads \
    --metadata-cache-ttl-secs=-1 "$BUCKET" /gcs/data
mountpoint --quiet /gcs/runs || gcsfuse --only-dir=runs -o allow_other --implicit-dirs \
    --metadata-cache-ttl-secs=0 --metadata-cache-negative-ttl-secs=0 "$BUCKET" /gcs/runs

gcloud auth configure-docker --quiet "${IMAGE%%/*}"
crashes=0
while [ "$crashes" -lt 10 ]; do
    docker rm --force unimedvlp > /dev/null 2>&1 || true
    status=0
    docker run --name unimedvlp --privileged --network=host --stop-timeout=120 --volume=/gcs:/gcs \
        --env=UNIMEDVLP_COORDINATOR=auto --env=UNIMEDVLP_SLICES="$SLICES" "$IMAGE" \
        bash -c "exec python -m launch.pod.host --workdir /gcs/runs/$RUN --data /gcs/data $TRAIN" || status=$?
    echo "training ended with status $status"
    case $status in # see host.py
        0 | 2) break ;;
        75) ;;
        *) crashes=$((crashes + 1)) ;;
    esac
    sleep 10
done

if [ "$(metadata agent-worker-number)" = 0 ] && ! metadata tpu-env | grep --quiet "MEGASCALE_SLICE_ID: '[1-9]"; then
    journalctl --unit=google-startup-scripts --output=cat | gcloud storage cp - "gs://$BUCKET/runs/$RUN/log-$(date +%s).txt"
    gcloud compute tpus queued-resources delete "$RUN" --zone="$ZONE" --force --quiet --async
fi
