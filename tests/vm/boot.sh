#!/bin/sh
# The guest's first process: what systemd would do for the tests, and no more; then the tests, then the end.
#
# The console is the kernel's and what the tests print; the second serial port takes one line a test (in_guest.py).
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 TERM=dumb
export HAKO_TEST_IMAGES=/srv/images

mount -t proc -o nosuid,nodev,noexec proc /proc
mount -t sysfs -o nosuid,nodev,noexec sys /sys
mount -t devtmpfs -o nosuid dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts -o nosuid,noexec,gid=5,mode=620,ptmxmode=000 devpts /dev/pts
mount -t tmpfs -o nosuid,nodev shm /dev/shm
mount -t tmpfs -o nosuid,nodev,mode=755 run /run
mount -t cgroup2 -o nosuid,nodev,noexec,nsdelegate cgroup2 /sys/fs/cgroup
mount --make-rshared /
ln -s /proc/self/fd /dev/fd
for fd in 0:stdin 1:stdout 2:stderr; do ln -s "fd/${fd%:*}" "/dev/${fd#*:}"; done
ip link set lo up
hostname guest
# Nodes that load their module when they are opened; systemd-tmpfiles makes them from the same list.
kmod static-nodes --format=tmpfiles | while read -r kind path mode _ _ _ device; do
    case $kind in
    d*) mkdir -p "$path" ;;
    c*) [ -e "$path" ] || mknod -m "$mode" "$path" c "${device%:*}" "${device#*:}" ;;
    esac
done

cd /srv/hako || exit
echo "guest: $(uname -r), $(nproc) processors, up since $(cut -d ' ' -f 1 /proc/uptime) s"
xargs --delimiter='\n' --arg-file=/srv/arguments .venv/bin/python -m pytest -p tests.vm.in_guest
echo "guest: done, $(cut -d ' ' -f 1 /proc/uptime) s after the start"
# PID 1 must not end: the kernel would call it a panic.
sync
echo o >/proc/sysrq-trigger
sleep 60
