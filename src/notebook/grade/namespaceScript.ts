/**
 * The inside of `unshare`: builds a file tree of what is named, moves into it, drops every capability and runs the command.
 * Arguments: the scratch folder, a count and that many places to read, a count and that many files to cover, the command.
 * The mounts of a place that was bound are made read-only one by one: a bind takes those below along as they were. `nosuid,nodev` are
 * repeated because the owner of a user namespace may not take them off.
 */
export const NAMESPACE_SCRIPT = `
set -eu
scratch=$1; shift
root=$scratch.root
mkdir -p "$root"
mount -t tmpfs -o mode=755 tmpfs "$root"
count=$1; shift
while [ "$count" -gt 0 ]; do
  place=$1; shift; count=$((count - 1))
  if [ -L "$place" ] && [ "\${place#/*/}" = "$place" ]; then ln -s "$(readlink "$place")" "$root$place"; continue; fi
  if [ -d "$place" ]; then mkdir -p "$root$place"; else mkdir -p "$(dirname "$root$place")"; : > "$root$place"; fi
  mount --rbind "$place" "$root$place"
done
awk '{ print $5 }' /proc/self/mountinfo | while read -r escaped; do
  target=$(printf '%b' "$escaped")
  case $target in "$root"/*)
    mount -o remount,bind,ro "$target" 2>/dev/null || mount -o remount,bind,ro,nosuid,nodev "$target" 2>/dev/null ||
      mount -o remount,bind,ro,nosuid,nodev,noexec "$target" ;;
  esac
done
count=$1; shift
while [ "$count" -gt 0 ]; do
  mount --bind /dev/null "$root$1"; shift; count=$((count - 1))
done
mkdir -p "$root$scratch" "$root/proc" "$root/dev/shm" "$root/.before"
mount --bind "$scratch" "$root$scratch"
mount -t proc proc "$root/proc"
for device in null zero full random urandom; do : > "$root/dev/$device"; mount --bind "/dev/$device" "$root/dev/$device"; done
mount -t tmpfs -o nosuid,nodev tmpfs "$root/dev/shm"
here=$PWD
cd "$root"
pivot_root . .before
umount -l /.before
rmdir /.before
mount -o remount,ro,mode=755 /
cd "$here"
setpriv --no-new-privs --bounding-set=-all --inh-caps=-all --ambient-caps=-all "$@"
exit $?
`;
