"""The few files of `hako/lab` and `hako/mini` that are written, not copied. Data only.

No file of the machine's /etc that says anything about the machine or its people is copied: users, hosts, resolvers and
the machine's id are all our own. There is no /etc/shadow, so no password ever works.
"""

from __future__ import annotations

VERSION = "0.1"

DIRECTORIES: dict[str, int] = {
    "/dev": 0o755,
    "/etc": 0o755,
    "/home": 0o755,
    "/mnt": 0o755,
    "/opt": 0o755,
    "/proc": 0o555,
    "/root": 0o700,
    "/run": 0o755,
    "/srv": 0o755,
    "/sys": 0o555,
    "/tmp": 0o1777,
    "/usr/local/bin": 0o755,
    "/usr/local/sbin": 0o755,
    "/var/lib/lab": 0o755,
    "/var/log": 0o755,
    "/var/tmp": 0o1777,
}

LEARNER = 1000
# `learner` is there for the lessons in which somebody who is not root becomes root of a user namespace.
_PASSWD = """\
root:x:0:0:root:/root:/bin/bash
daemon:x:1:1:daemon:/:/usr/sbin/nologin
learner:x:1000:1000:learner:/home/learner:/bin/bash
nobody:x:65534:65534:nobody:/:/usr/sbin/nologin
"""
_GROUP = """\
root:x:0:
daemon:x:1:
tty:x:5:
disk:x:6:
users:x:100:
learner:x:1000:
nogroup:x:65534:
"""
_HOSTS = """\
127.0.0.1 localhost
127.0.1.1 lab
::1 localhost ip6-localhost ip6-loopback
"""
_NSSWITCH = """\
passwd: files
group: files
shadow: files
hosts: files dns
services: files
protocols: files
"""
_OS_RELEASE = f"""\
NAME="Hako lab"
PRETTY_NAME="Hako lab {VERSION}"
ID=hako
VERSION_ID="{VERSION}"
"""
_PROFILE = """\
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export LANG="${LANG:-C.UTF-8}" EDITOR="${EDITOR:-nano}" PAGER="${PAGER:-less}"
[ -n "$BASH_VERSION" ] && [ -r ~/.bashrc ] && . ~/.bashrc
"""
# The prompt says who, where and in which folder: that the hostname in it changes is part of the lessons.
_BASHRC = r"""# for interactive shells only
case $- in *i*) ;; *) return ;; esac
PS1='\u@\h:\w\$ '
HISTSIZE=2000 HISTFILESIZE=2000 HISTCONTROL=ignoreboth
shopt -s checkwinsize histappend
export LESS=-R LANG="${LANG:-C.UTF-8}" EDITOR="${EDITOR:-nano}"
alias ls='ls --color=auto' ll='ls -l' grep='grep --color=auto'
"""
_INPUTRC = """\
set bell-style none
set completion-ignore-case on
"\\e[A": history-search-backward
"\\e[B": history-search-forward
"""
_NANORC = """\
set constantshow
set tabsize 4
"""

FILES: dict[str, str] = {
    "/etc/bash.bashrc": _BASHRC,
    "/etc/group": _GROUP,
    "/etc/hostname": "lab\n",
    "/etc/hosts": _HOSTS,
    "/etc/inputrc": _INPUTRC,
    "/etc/machine-id": "",
    "/etc/nanorc": _NANORC,
    "/etc/nsswitch.conf": _NSSWITCH,
    "/etc/os-release": _OS_RELEASE,
    "/etc/passwd": _PASSWD,
    "/etc/profile": _PROFILE,
    "/etc/resolv.conf": "",
    "/etc/shells": "/bin/sh\n/bin/bash\n",
    "/home/learner/.bashrc": _BASHRC,
    "/root/.bashrc": _BASHRC,
    "/root/.profile": ". /etc/profile\n",
}

# Never below /bin or /lib: a directory of that name in an upper layer would hide the lower layer's link into /usr.
LINKS: dict[str, str] = {
    "/etc/mtab": "../proc/self/mounts",
    "/usr/bin/sh": "bash",
    "/usr/bin/editor": "nano",
    "/var/run": "../run",
}

MINI_FILES: dict[str, str] = {
    "/etc/group": _GROUP,
    "/etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "/etc/nsswitch.conf": _NSSWITCH,
    "/etc/os-release": _OS_RELEASE.replace("lab", "mini"),
    "/etc/passwd": _PASSWD.replace("/bin/bash", "/bin/sh"),
    "/etc/resolv.conf": "",
}

ENVIRONMENT = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
LAB_ENVIRONMENT = [*ENVIRONMENT, "LANG=C.UTF-8", "EDITOR=nano", "PAGER=less"]

#: -P: a folder called `engine` where the learner stands is not ours.
MOUNT_AUFS = """\
#!/bin/sh
exec /usr/bin/python3 -P -m engine.storage.aufs_fuse.helper "$@"
"""

#: The command of a lab's own engine. -I: neither a folder nor a variable of the learner's changes what is imported.
HAKO = """\
#!/usr/bin/python3 -I
import sys

from engine.cli import main

sys.exit(main())
"""
