#!/usr/bin/env bash
# The whole way on an embedded synthetic set, in a virtual environment of its own. Options go to `unimedvlp quickstart`.
# shellcheck disable=SC2034  # read by the file below
extras=test,dicom
# shellcheck source-path=SCRIPTDIR source=environment.sh
source "$(dirname "$0")/environment.sh"
exec unimedvlp quickstart "$@"
