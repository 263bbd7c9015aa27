#!/usr/bin/env bash
# The whole way on an embedded synthetic set, in a virtual environment of its own. Options go to `unimedvlp quickstart`.
extras=test,dicom
source "$(dirname "$0")/environment.sh"
exec unimedvlp quickstart "$@"
