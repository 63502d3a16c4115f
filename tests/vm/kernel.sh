#!/bin/sh
# A hook of mmdebstrap(1): puts two of Debian's cloud kernels and their modules into ROOT, without the packages that a
# bootloader and an initramfs would need: /boot/newest, that of the root's own release, and /boot/oldest, the oldest
# >= 5.10 that the machine's package sources still have (Debian 11's, else again its own). usage: kernel.sh ROOT
set -eu
root=$1
export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
own=$(sed -n 's/^VERSION_CODENAME=//p' "$root/etc/os-release")

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# Unpacks the kernel of a release and calls it /boot/NAME. usage: kernel RELEASE NAME
kernel() {
    package=$(apt-cache show "linux-image-cloud-amd64/$1" | sed -n 's/^Depends: \(linux-image-[^ ,]*\).*/\1/p' | tail -n 1)
    [ -n "$package" ] || return 1
    (cd "$folder" && rm -f ./*.deb && apt-get -o APT::Sandbox::User=root download "$package") || return 1
    # /lib is a link to usr/lib; an extraction that replaced it by a directory would leave a root without its libraries.
    dpkg-deb --fsys-tarfile "$folder"/*.deb | tar -x --keep-directory-symlink -C "$root"
    chroot "$root" depmod "${package#linux-image-}"
    ln -s "vmlinuz-${package#linux-image-}" "$root/boot/$2"
}

kernel "$own" newest
# Only main: an old release has lost its other suites first.
old="$root/etc/apt/sources.list.d/oldest.list"
find "$root/etc/apt" -name '*.list' -exec sed -n "s/^\(deb .*\) $own \(main.*\)\$/\1 bullseye \2/p" {} + | head -n 1 >"$old"
apt-get -q update || true
kernel bullseye oldest || ln -s "$(readlink "$root/boot/newest")" "$root/boot/oldest"
rm "$old"
