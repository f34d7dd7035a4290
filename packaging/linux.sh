#!/usr/bin/env bash
# Build the Linux archive and the Debian package, with checksums and an SBOM:
#
#     packaging/linux.sh [OUT]          # default: target/packages
#
# Needs cargo, dpkg-dev, xz-utils, rsvg-convert (librsvg2-bin), and `cargo install --locked` of
# `cargo-about --features cli` and of cargo-cyclonedx. What is built runs where glibc is no older than
# here: releases are built on Ubuntu 22.04 (glibc 2.35); a build on Debian 12 needs 2.36 where it uses what
# is new in it.
set -euo pipefail
cd "$(dirname "$0")/.."
. packaging/common.sh

out=$(realpath -m "${1:-$TARGET_DIR/packages}")
arch=$(dpkg --print-architecture)
name=confide-$VERSION-linux-$(uname -m)
# 0 is quick, for a try.
level=${XZ_LEVEL:-6}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"

build
tree=$work/$name
mkdir -p "$tree"
strip --strip-unneeded -o "$tree/confide" "$BINARY"
check_paths "$tree/confide"
papers "$tree"
sbom "$out/$name.cdx.json"
install -m 644 packaging/confide.desktop packaging/confide.svg "$tree"
sed "s/@VERSION@/$VERSION/; s/@DATE@/$COMMIT_DATE/" packaging/confide.metainfo.xml > "$tree/confide.metainfo.xml"
cat > "$tree/INSTALL.txt" <<'TEXT'
Run ./confide here, or install it for all users:

    sudo install -Dm755 confide /usr/local/bin/confide
    sudo install -Dm644 confide.desktop -t /usr/local/share/applications
    sudo install -Dm644 confide.svg -t /usr/local/share/icons/hicolor/scalable/apps

A window wants a Vulkan or OpenGL driver (Debian and Ubuntu: mesa-vulkan-drivers) and libxkbcommon,
which every desktop has. Without a display the demonstration runs in the terminal.
TEXT
# The same input makes the same archive.
tar -C "$work" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" \
    -cf - "$name" | xz -T0 "-$level" > "$out/$name.tar.xz"

# The Debian package.
root=$work/deb
install -Dm755 "$tree/confide" "$root/usr/bin/confide"
install -Dm644 packaging/confide.desktop -t "$root/usr/share/applications"
install -Dm644 packaging/confide.svg -t "$root/usr/share/icons/hicolor/scalable/apps"
for side in 48 128 256; do
    mkdir -p "$root/usr/share/icons/hicolor/${side}x$side/apps"
    rsvg-convert -w $side -h $side packaging/confide.svg > "$root/usr/share/icons/hicolor/${side}x$side/apps/confide.png"
done
install -Dm644 "$tree/confide.metainfo.xml" -t "$root/usr/share/metainfo"
docs=$root/usr/share/doc/confide
install -Dm644 README.md SECURITY.md -t "$docs"
gzip -9nc CHANGELOG.md > "$docs/changelog.gz"
gzip -9nc "$tree/THIRD-PARTY.txt" > "$docs/THIRD-PARTY.txt.gz"
cat > "$docs/copyright" <<TEXT
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: confide

Files: *
Copyright: the authors of Confide
License: MIT or Apache-2.0
 The works of others that are built in, with their licences, are in THIRD-PARTY.txt.gz.
 .
$(sed 's/^$/./; s/^/ /' LICENSE-MIT)
 .
 The Apache licence is in /usr/share/common-licenses/Apache-2.0.
TEXT

# What is linked is a dependency, with the versions whose symbols are used. What is loaded at run time is
# recommended: a server needs no window, a desktop has X11 or Wayland, and drivers are the machine's.
mkdir -p "$work/source/debian"
printf 'Source: confide\n\nPackage: confide\nArchitecture: any\n' > "$work/source/debian/control"
linked=$(cd "$work/source" && dpkg-shlibdeps -O "$root/usr/bin/confide" 2>/dev/null | sed -n 's/^shlibs:Depends=//p')
mkdir -p "$root/DEBIAN"
chmod 755 "$root/DEBIAN"
cat > "$root/DEBIAN/control" <<TEXT
Package: confide
Version: $VERSION
Architecture: $arch
Section: science
Priority: optional
Maintainer: the authors of Confide <confide@localhost>
Installed-Size: $(du -sk --exclude=DEBIAN "$root" | cut -f 1)
Depends: $linked
Recommends: libvulkan1, mesa-vulkan-drivers | vulkan-icd, libxkbcommon0, libwayland-client0, libx11-6, libx11-xcb1, libxcb1, libxcursor1, libxi6, libxrandr2, libxkbcommon-x11-0, xdg-desktop-portal
Suggests: libegl1
Description: align a language model with preferences of a weaker one
 A small reward model learns from a few human labels and labels the rest of
 the pairs with a confidence; a policy is trained with DPO, IPO or robust DPO
 in which every pair counts by that confidence (CW-PO, arXiv 2603.04968).
 .
 A desktop window, and the same in the terminal. It trains on any GPU with
 Vulkan, and on the processor where there is none. A built-in demonstration
 needs no data, no models and no network.
TEXT
(cd "$root" && find usr -type f -print0 | sort -z | xargs -0 md5sum > DEBIAN/md5sums)
dpkg-deb --root-owner-group -Zxz "-z$level" --build "$root" "$out/confide_${VERSION}_$arch.deb" >/dev/null

sums "$out"
echo "glibc needed: $(objdump -T "$tree/confide" | grep -o 'GLIBC_[0-9.]*' | sort -Vu | tail -n 1)"
echo "linked: $linked"
ls -l "$out"
