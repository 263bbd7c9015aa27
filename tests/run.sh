#!/usr/bin/env bash
# The tests, in a virtual environment of its own. Options go to pytest: `bash tests/run.sh -m slow` runs the long ones.
extras=test,dicom,torch
source "$(dirname "$0")/../launch/environment.sh"
export JAX_PLATFORMS="${JAX_PLATFORMS:-cpu}"
exec python -m pytest -n 2 --dist loadfile "$@"
