#!/usr/bin/env bash
# Preflab needs no Python. Some tests compare it with Python's own Jupyter client; this finds or installs one for them.
# Prints the path of a Python that has nbclient, jupyter_client and nbformat. Exits 1, with a reason on stderr, when there is none.
# Order: $PREFLAB_PYTHON, python3 on PATH, the system's python3, Debian packages (as root), a virtual environment in .cache/.
set -euo pipefail
cd "$(dirname "$0")/.."

has_modules() {
  command -v "$1" >/dev/null 2>&1 && "$1" -c "import nbclient, jupyter_client, nbformat" >/dev/null 2>&1
}
found() {
  command -v "$1"
  exit 0
}

venv=.cache/python-checks
for python in "${PREFLAB_PYTHON:-}" python3 /usr/bin/python3 "$PWD/$venv/bin/python3"; do
  if [ -n "$python" ] && has_modules "$python"; then found "$python"; fi
done

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "Installing Debian's python3-nbclient ..." >&2
  export DEBIAN_FRONTEND=noninteractive
  { apt-get update -q && apt-get install -q -y --no-install-recommends python3-nbclient python3-jupyter-client python3-nbformat; } >&2 ||
    echo "apt-get failed." >&2
  if has_modules /usr/bin/python3; then found /usr/bin/python3; fi
fi

if command -v python3 >/dev/null; then
  echo "Making a virtual environment in $venv ..." >&2
  { python3 -m venv "$venv" && "$venv/bin/python3" -m pip install -q nbclient jupyter_client nbformat; } >&2 || true
  if has_modules "$PWD/$venv/bin/python3"; then found "$PWD/$venv/bin/python3"; fi
fi

echo "No Python with nbclient, and none could be installed." >&2
exit 1
