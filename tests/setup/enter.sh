#!/bin/sh
# Makes ROOT the root of a machine of its own and runs a command there as its first process.
# usage: unshare --mount --pid --fork --propagation private [--net] enter.sh ROOT COMMAND…
#
# What a real machine has and a directory has not is given here: devices, proc, sys, the cgroup hierarchies. The
# network is the host's unless unshare(1) made another. pivot_root(8) needs ROOT to be a mount point.
set -eu
root=$1
shift

mount --bind "$root" "$root"
mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
mount -t sysfs -o nosuid,nodev,noexec sys "$root/sys"
mount --rbind /sys/fs/cgroup "$root/sys/fs/cgroup"
mount -t devtmpfs dev "$root/dev"
mkdir -p "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620 devpts "$root/dev/pts"
mount --bind "$root/dev/pts/ptmx" "$root/dev/ptmx"
mount -t tmpfs -o nosuid,nodev shm "$root/dev/shm"
mount -t tmpfs -o nosuid,nodev,mode=0755 run "$root/run"

cd "$root"
pivot_root . .
umount -l .
cd /
# Where a network of its own was made, only this brings up its loopback link; without iproute2 there is no such boot.
if [ ! -e /sys/class/net/eth0 ] && command -v ip >/dev/null; then ip link set lo up; fi

# This shell stays as the first process: it reaps what its command leaves behind, and passes the signal to end on. A
# shell's background command would ignore that signal (POSIX 2.11), a command in a terminal does not: hence env(1).
env --default-signal=INT,QUIT "$@" &
child=$!
trap 'kill -INT $child 2>/dev/null' INT TERM
status=0
while kill -0 "$child" 2>/dev/null; do
    wait "$child" && status=0 || status=$?
done
exit "$status"
