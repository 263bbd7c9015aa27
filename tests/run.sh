#!/usr/bin/env bash
# The tests, in a virtual environment of its own. Options go to pytest: `bash tests/run.sh -m slow` runs the long ones.
# shellcheck disable=SC2034  # read by the file below
extras=test,dicom,torch
# shellcheck source-path=SCRIPTDIR source=../launch/environment.sh
source "$(dirname "$0")/../launch/environment.sh"
export JAX_PLATFORMS="${JAX_PLATFORMS:-cpu}"
exec python -m pytest -n 2 --dist loadfile "$@"
