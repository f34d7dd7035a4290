#!/usr/bin/env bash
# Install the Debian package and unpack the archive on a bare Debian, end the demonstration there and open
# the window under Xvfb:
#
#     sudo packaging/check_debian.sh PACKAGES [PICTURE.png]
#
# PACKAGES is the folder that packaging/linux.sh filled. Needs debootstrap, and ImageMagick for the picture.
# DEBIAN_SUITE (bookworm) and DEBIAN_MIRROR choose another Debian; DEBIAN_ROOT keeps the bare one for next time.
set -euo pipefail

packages=$(realpath "$1")
picture=$(realpath -m "${2:-window.png}")
suite=${DEBIAN_SUITE:-bookworm}
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
bare=${DEBIAN_ROOT:-}
work=$(mktemp -d)
root=$work/root
mounted=()

finish() {
    for place in "${mounted[@]}"; do umount -l "$place" || true; done
    # Never into a mount that stayed.
    if ! grep -q " $work/" /proc/mounts; then rm -rf "$work"; fi
}
trap finish EXIT

if [ -z "$bare" ]; then
    debootstrap --variant=minbase "$suite" "$root" "$mirror"
else
    [ -d "$bare" ] || debootstrap --variant=minbase "$suite" "$bare" "$mirror"
    cp -a "$bare" "$root"
fi
for place in proc dev dev/pts; do
    mkdir -p "$root/$place"
    case $place in
        proc) mount -t proc proc "$root/proc" ;;
        *) mount --bind "/$place" "$root/$place" ;;
    esac
    mounted=("$root/$place" "${mounted[@]}")
done
# Not a function: signals are to reach the program itself.
inside=(chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive)

echo "== the archive, on a Debian with nothing installed"
mkdir "$root/archive"
tar -xf "$packages"/confide-*-linux-*.tar.xz -C "$root/archive" --strip-components=1
"${inside[@]}" ldd /archive/confide
"${inside[@]}" /archive/confide --version
"${inside[@]}" sh -c 'cd /archive && ./confide demo --device cpu --out /archive-run'
test -s "$root/archive-run/report.json"

echo "== the package, with what it recommends"
cp "$packages"/confide_*.deb "$root/confide.deb"
"${inside[@]}" apt-get update -qq
"${inside[@]}" apt-get install -y -qq /confide.deb xvfb >"$work/apt.log" 2>&1 || { tail "$work/apt.log"; exit 1; }
"${inside[@]}" confide --version
"${inside[@]}" confide devices
"${inside[@]}" confide demo --device cpu --out /package-run
test -s "$root/package-run/report.json"

echo "== the window, under Xvfb, with a run under way"
mkdir -p "$root/frame" "$root/desk"
"${inside[@]}" Xvfb :77 -screen 0 1280x720x24 -fbdir /frame -nolisten tcp >/dev/null 2>&1 &
server=$!
sleep 3
"${inside[@]}" sh -c 'cd /desk && mkdir -p -m 700 /tmp/runtime && exec env DISPLAY=:77 XDG_RUNTIME_DIR=/tmp/runtime confide window --run' 2>"$work/window.log" &
window=$!
for _ in $(seq 120); do
    sleep 1
    # Numbers of the policy are on show by then.
    grep -qs '"event":"step","stage":"policy"' "$root"/desk/runs/*/events.jsonl && break
    kill -0 $window || { cat "$work/window.log"; exit 1; }
done
sleep 2
convert xwd:"$root/frame/Xvfb_screen0" "$picture"
colours=$(convert "$picture" -unique-colors -format '%w' info:)
kill -TERM $window
code=0
wait $window || code=$?
kill $server
echo "a picture of $colours colours: $picture; the window ended with $code"
[ "$colours" -gt 200 ] && [ "$code" = 143 ]
"${inside[@]}" sh -c 'confide resume /desk/runs/*' | tail -n 3
echo "all of it holds"
