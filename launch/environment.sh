# Sourced by the two README commands: makes the virtual environment .venv beside this checkout once, and puts it first on PATH.
# PYTHON names another interpreter (3.11 or newer).
# shellcheck shell=bash disable=SC2154
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    { echo "unimedvlp needs Python 3.11 or newer; $python is $("$python" --version). Set PYTHON=/path/to/python3" >&2; exit 2; }
want="$("$python" -c 'import sys; print(sys.version)') extras=$extras $(cat setup.cfg)"
if [ "$(cat .venv/installed 2>/dev/null)" != "$want" ]; then
    echo "Installing into $PWD/.venv (once, a few minutes) ..."
    [ -x .venv/bin/python ] && [ "$(.venv/bin/python -c 'import sys; print(sys.version)')" = "$("$python" -c 'import sys; print(sys.version)')" ] ||
        { rm -rf .venv; "$python" -m venv .venv; }
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[$extras]"
    printf '%s' "$want" > .venv/installed
fi
export PATH="$PWD/.venv/bin:$PATH"
