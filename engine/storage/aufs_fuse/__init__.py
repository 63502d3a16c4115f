"""AUFS on every kernel: a small union file system in user space, in the words of the talk.

    mount -t aufs -o br=/rw=rw:/ro=ro none /mnt

AUFS was never part of Linux; few kernels have it today. This package does what it did, over FUSE: the same option
syntax, the same marks on disk (`.wh.name`, `.wh..wh..opq`), branches that come and go while it is mounted. It is for
learning, not for a container's root. See aufs(5) of aufs-util and the kernel's Documentation/filesystems/fuse.

    options.py    what stands after -o, and what a remount says      pure
    branches.py   the ordered list of branches and its changes       pure
    marks.py      the names AUFS writes on disk                      pure
    policies.py   which branch a new file goes to: tdp, rr, mfs
    union.py      look a name up, list a directory, across branches
    copyup.py     bring a file from a lower branch to a writable one
    changes.py    create, delete, rename: what each writes where
    service.py    the FUSE side; helper.py is mount.aufs
"""
