#!/usr/bin/env bash
# Preflab needs no browser and no sandbox. Some tests drive its pages in Chromium, and grade in bubblewrap; this finds or installs both.
#
#   scripts/install-system-checks.sh
#
# Installs what is missing with apt-get, as root. Exits 1, naming on stderr what is missing and why, when something cannot be had; the
# tests that need it are then skipped.
set -euo pipefail

missing=()
command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null ||
  [ -x "${PREFLAB_CHROMIUM:-}" ] || missing+=(chromium)
command -v bwrap >/dev/null || missing+=(bubblewrap)
if [ "${#missing[@]}" = 0 ]; then exit 0; fi

if [ "$(id -u)" != 0 ]; then
  echo "Missing: ${missing[*]}. Not root, so nothing was installed; run: sudo apt-get install ${missing[*]}" >&2
  exit 1
fi
if ! command -v apt-get >/dev/null; then
  echo "Missing: ${missing[*]}. There is no apt-get; install them with this system's own means." >&2
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive
echo "Installing ${missing[*]} ..." >&2
timeout 120 apt-get update -q >&2 || echo "apt-get update failed; trying with the lists that are here." >&2
failed=()
for package in "${missing[@]}"; do
  timeout 600 apt-get install -q -y --no-install-recommends "$package" >&2 || failed+=("$package")
done
if [ "${#failed[@]}" != 0 ]; then
  echo "apt-get could not install: ${failed[*]}." >&2
  exit 1
fi
