#!/usr/bin/env bash
# Build the Windows archive, with checksum and SBOM; runs in the bash that comes with git:
#
#     packaging/windows.sh [OUT]
#
# Signed where SIGNING_PFX (a certificate, base64) and SIGNING_PASSWORD are set; without them Windows asks
# before it starts what was downloaded.
set -euo pipefail
cd "$(dirname "$0")/.."
EXE=.exe
. packaging/common.sh

mkdir -p "${1:-$TARGET_DIR/packages}"
out=$(cd "${1:-$TARGET_DIR/packages}" && pwd)
name=confide-$VERSION-windows-x86_64
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The C runtime is built in, so that nothing has to be installed first.
build -C target-feature=+crt-static
mkdir "$work/$name"
cp "$BINARY" "$work/$name/confide.exe"
check_paths "$work/$name/confide.exe"
if [ -n "${SIGNING_PFX:-}" ]; then
    base64 -d <<<"$SIGNING_PFX" > "$work/signing.pfx"
    tool=$(find "/c/Program Files (x86)/Windows Kits/10/bin" -path '*/x64/signtool.exe' | sort -V | tail -n 1)
    MSYS2_ARG_CONV_EXCL='*' "$tool" sign /f "$(cygpath -w "$work/signing.pfx")" /p "$SIGNING_PASSWORD" \
        /fd sha256 /tr http://timestamp.digicert.com /td sha256 "$(cygpath -w "$work/$name/confide.exe")"
else
    echo "not signed: SIGNING_PFX is not set" >&2
fi
papers "$work/$name"
sbom "$out/$name.cdx.json"
(cd "$work" && 7z a -tzip -mx=9 "$out/$name.zip" "$name" >/dev/null)
sums "$out"
