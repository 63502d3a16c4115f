#!/bin/sh
# Runs pytest in the guest with the arguments that the host wrote down. What it prints goes to the console; the second
# serial port takes one line a test (in_guest.py).
cd /srv/hako || exit
echo "guest: $(uname -r), $(nproc) processors, up since $(cut -d ' ' -f 1 /proc/uptime) s"
status=0
xargs --delimiter='\n' --arg-file=/srv/arguments .venv/bin/python -m pytest -p tests.vm.in_guest || status=$?
echo "guest: done, $(cut -d ' ' -f 1 /proc/uptime) s after the start"
exit "$status"
