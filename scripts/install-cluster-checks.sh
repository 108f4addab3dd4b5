#!/usr/bin/env bash
# Sweeps on several machines are tested with a real Redis and a real Slurm; those tests are skipped where the programs are absent. This installs
# what is missing from Debian's or Ubuntu's packages, as root: redis-server; slurm-wlm (slurmctld, slurmd, sbatch) with munge.
# The tests start servers of their own, in folders of their own; the packages' services are not needed and may be off.
set -euo pipefail
PATH="$PATH:/usr/sbin:/sbin"

missing=()
command -v redis-server >/dev/null || missing+=(redis-server)
for program in slurmctld slurmd sbatch squeue; do command -v "$program" >/dev/null || missing+=(slurm-wlm); done
command -v munged >/dev/null || missing+=(munge)
if [ ${#missing[@]} -eq 0 ]; then
  echo "Redis, Slurm and munge are installed." >&2
  exit 0
fi
packages=$(printf '%s\n' "${missing[@]}" | sort -u | tr '\n' ' ')
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "Not installed: $packages(needs root and apt-get); the tests of sweeps on several machines will be skipped." >&2
  exit 1
fi
echo "Installing $packages" >&2
# shellcheck disable=SC2086
(apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages) >/dev/null
echo "Installed." >&2
