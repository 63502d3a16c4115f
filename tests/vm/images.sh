#!/bin/sh
# Makes the base images on a guest's disks, in a mount namespace that ends with this process, and its mounts with it.
# usage: unshare --mount images.sh ROOTDISK PROJECTDISK DIRECTORY
set -eu
mount -o loop,ro,noload "$1" "$3"
mount -o loop,noatime "$2" "$3/srv"
mount -t proc proc "$3/proc"
mount --bind /dev "$3/dev"
chroot "$3" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin PYTHONPATH=/srv/hako TMPDIR=/srv \
    /srv/hako/.venv/bin/python -c '
from pathlib import Path
from engine.images import base
from engine.images.store import ImageStore
base.ensure(ImageStore(Path("/srv/images")))'
umount "$3/srv"
