#!/usr/bin/env bash
# Preflab needs no Python. Some tests compare it with Python's own libraries; this finds or installs them for those tests.
#
#   scripts/install-python-checks.sh          Jupyter's client: nbclient, jupyter_client, nbformat
#   scripts/install-python-checks.sh --all    also torch, transformers, peft, safetensors, huggingface_hub (large) and, where they can be
#                                             installed, accelerate, datasets, trl (for compare-with-trl), tensorboard, openpyxl, optuna
#                                             and nbgrader
#   scripts/install-python-checks.sh --jupyterlab   JupyterLab with widgets, nbconvert and nbclient: the front ends of the notebook's tests
#
# Prints the path of a Python that has them; with --all, of one that has at least Jupyter's client if the others cannot be installed. Exits 1,
# with a reason on stderr, when there is none. Order: $PREFLAB_PYTHON, python3 on PATH, the system's python3, a virtual environment in
# .cache/, Debian packages (as root; Jupyter's client only).
set -euo pipefail
cd "$(dirname "$0")/.."

jupyter="nbclient, jupyter_client, nbformat"
all="$jupyter, torch, transformers, peft, safetensors, huggingface_hub"
optional="accelerate, datasets, trl, tensorboard"
lab="nbclient, jupyterlab, jupyterlab_widgets, nbconvert"
wanted=$jupyter
if [ "${1:-}" = --all ]; then wanted=$all; fi

# Not from this folder: its datasets/ would pass for the library of that name.
has_modules() {
  command -v "$1" >/dev/null 2>&1 && "$1" -c "import importlib.util as u, sys; sys.path = [p for p in sys.path if p]; sys.exit(any(u.find_spec(m) is None for m in '$2'.split(', ')))" >/dev/null 2>&1
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
pip=("$venv/bin/python3" -m pip install -q --disable-pip-version-check --retries 0)

# Tried once, and one by one: a package that cannot be had costs only the tests that need it. One that cannot be imported is taken out
# again: it would be found and then fail, and a broken datasets breaks transformers with it.
install_optional() {
  if [ -e "$venv/optional-tried" ]; then return; fi
  touch "$venv/optional-tried"
  while read -r package version import; do
    if has_modules "$venv/bin/python3" "$package"; then continue; fi
    echo "Installing $package ..." >&2
    timeout 150 "${pip[@]}" "$package==$version" >&2 || timeout 60 "${pip[@]}" --no-deps "$package==$version" >&2 || true
    if ! (cd "$venv" && timeout 90 bin/python3 -c "$import") >/dev/null 2>&1; then
      echo "$package cannot be used; the tests that need it will be skipped." >&2
      "$venv/bin/python3" -m pip uninstall -q -y "$package" >&2 || true
    fi
  done <<'PACKAGES'
accelerate 1.15.0 import accelerate
datasets 5.0.1 import datasets
trl 1.13.0 from trl import DPOTrainer, KTOTrainer, SFTTrainer
tensorboard 2.* from tensorboard.backend.event_processing import event_accumulator
openpyxl 3.* import openpyxl
optuna 5.0.0 import optuna
nbgrader 0.9.* import nbgrader.nbgraderformat, nbgrader.utils
PACKAGES
}

# May be another Python than that of the other checks: it needs none of theirs.
if [ "${1:-}" = --jupyterlab ]; then
  PREFLAB_PYTHON=${PREFLAB_JUPYTER:-${PREFLAB_PYTHON:-}}
  find_python "$lab"
  if [ -x "$venv/bin/python3" ] || { command -v python3 >/dev/null && python3 -m venv "$venv" >&2; }; then
    echo "Installing $lab into .cache/python-checks ..." >&2
    timeout 600 "${pip[@]}" nbclient 'jupyterlab==4.*' 'jupyterlab_widgets==3.*' 'nbconvert==7.*' >&2 || echo "pip could not install them." >&2
  fi
  find_python "$lab"
  echo "No Python with JupyterLab, its widgets and nbconvert, and none could be installed." >&2
  exit 1
fi

if [ "$wanted" = "$all" ]; then
  find_python "$all, $optional"
  if has_modules "$venv/bin/python3" "$all"; then
    install_optional
    find_python "$all, $optional"
  fi
fi
find_python "$wanted"

if command -v python3 >/dev/null && python3 -m venv "$venv" >&2; then
  echo "Installing $jupyter into .cache/python-checks ..." >&2
  timeout 300 "${pip[@]}" nbclient jupyter_client nbformat >&2 || echo "pip could not install Jupyter's client." >&2
  if [ "$wanted" = "$all" ]; then
    # The versions that made tests/golden.
    echo "Installing torch, transformers, peft, safetensors and huggingface_hub ..." >&2
    timeout 600 "${pip[@]}" torch==2.13.0 transformers==5.18.0 peft==0.21.0 safetensors==0.8.0 huggingface_hub >&2 ||
      echo "pip could not install them; the tests that need them will be skipped." >&2
    if has_modules "$venv/bin/python3" "$all"; then install_optional; fi
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
