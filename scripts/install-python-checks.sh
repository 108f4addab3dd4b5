#!/usr/bin/env bash
# Preflab needs no Python. Some tests compare it with Python's own libraries; this finds or installs them for those tests.
#
#   scripts/install-python-checks.sh          Jupyter's client: nbclient, jupyter_client, nbformat
#   scripts/install-python-checks.sh --all    also torch, transformers, peft, safetensors, huggingface_hub (large)
#
# Prints the path of a Python that has them; with --all, of one that has at least Jupyter's client if the others cannot be installed. Exits 1,
# with a reason on stderr, when there is none. Order: $PREFLAB_PYTHON, python3 on PATH, the system's python3, a virtual environment in
# .cache/, Debian packages (as root; Jupyter's client only).
set -euo pipefail
cd "$(dirname "$0")/.."

jupyter="nbclient, jupyter_client, nbformat"
all="$jupyter, torch, transformers, peft, safetensors, huggingface_hub"
wanted=$jupyter
if [ "${1:-}" = --all ]; then wanted=$all; fi

has_modules() {
  command -v "$1" >/dev/null 2>&1 && "$1" -c "import importlib.util as u, sys; sys.exit(any(u.find_spec(m) is None for m in '$2'.split(', ')))" >/dev/null 2>&1
}
find_python() {
  for python in "${PREFLAB_PYTHON:-}" python3 /usr/bin/python3 "$venv/bin/python3"; do
    if [ -n "$python" ] && has_modules "$python" "$1"; then
      command -v "$python"
      exit 0
    fi
  done
}

venv=$PWD/.cache/python-checks
find_python "$wanted"

if command -v python3 >/dev/null && python3 -m venv "$venv" >&2; then
  pip=("$venv/bin/python3" -m pip install -q --disable-pip-version-check --retries 0)
  echo "Installing $jupyter into .cache/python-checks ..." >&2
  timeout 300 "${pip[@]}" nbclient jupyter_client nbformat >&2 || echo "pip could not install Jupyter's client." >&2
  if [ "$wanted" = "$all" ]; then
    # The versions that made tests/golden.
    echo "Installing torch, transformers, peft, safetensors and huggingface_hub ..." >&2
    timeout 600 "${pip[@]}" torch==2.13.0 transformers==5.18.0 peft==0.21.0 safetensors==0.8.0 huggingface_hub >&2 ||
      echo "pip could not install them; the tests that need them will be skipped." >&2
  fi
fi
find_python "$wanted"

if ! has_modules "$venv/bin/python3" "$jupyter" && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "Installing Debian's python3-nbclient ..." >&2
  export DEBIAN_FRONTEND=noninteractive
  { apt-get update -q && apt-get install -q -y --no-install-recommends python3-nbclient python3-jupyter-client python3-nbformat; } >&2 ||
    echo "apt-get failed." >&2
fi
find_python "$jupyter"

echo "No Python with nbclient, and none could be installed." >&2
exit 1
