#!/bin/sh
# A hook of mmdebstrap(1): puts Debian's cloud kernel and its modules into ROOT without the packages that a bootloader
# and an initramfs would need. usage: kernel.sh ROOT
set -eu
root=$1
export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
package=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
(cd "$folder" && apt-get -o APT::Sandbox::User=root download "$package")
# /lib is a link to usr/lib; an extraction that replaced it by a directory would leave a root without its libraries.
dpkg-deb --fsys-tarfile "$folder"/*.deb | tar -x --keep-directory-symlink -C "$root"
chroot "$root" depmod "${package#linux-image-}"
