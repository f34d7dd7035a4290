#!/usr/bin/env bash
# Build the disk image for this Mac's processor, with checksum and SBOM:
#
#     packaging/macos.sh [OUT]
#
# Signed where CODESIGN_IDENTITY names a certificate of the keychain, and notarised where NOTARY_APPLE_ID,
# NOTARY_TEAM_ID and NOTARY_PASSWORD are set; without them macOS asks before it opens it.
set -euo pipefail
cd "$(dirname "$0")/.."
. packaging/common.sh

mkdir -p "${1:-$TARGET_DIR/packages}"
out=$(cd "${1:-$TARGET_DIR/packages}" && pwd)
name=confide-$VERSION-macos-$(uname -m)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export MACOSX_DEPLOYMENT_TARGET=11.0

build
app=$work/image/Confide.app
mkdir -p "$app/Contents/MacOS" "$app/Contents/Resources" "$work/confide.iconset"
cp "$BINARY" "$app/Contents/MacOS/confide"
strip -x "$app/Contents/MacOS/confide"
check_paths "$app/Contents/MacOS/confide"
papers "$work/image"
sbom "$out/$name.cdx.json"
for side in 16 32 128 256 512; do
    rsvg-convert -w $side -h $side packaging/confide.svg > "$work/confide.iconset/icon_${side}x$side.png"
done
iconutil -c icns -o "$app/Contents/Resources/confide.icns" "$work/confide.iconset"
cat > "$app/Contents/Info.plist" <<PLIST
<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0"><dict>
  <key>CFBundleName</key><string>Confide</string>
  <key>CFBundleIdentifier</key><string>confide</string>
  <key>CFBundleExecutable</key><string>confide</string>
  <key>CFBundleIconFile</key><string>confide</string>
  <key>CFBundlePackageType</key><string>APPL</string>
  <key>CFBundleShortVersionString</key><string>$VERSION</string>
  <key>CFBundleVersion</key><string>$VERSION</string>
  <key>LSMinimumSystemVersion</key><string>$MACOSX_DEPLOYMENT_TARGET</string>
  <key>NSHighResolutionCapable</key><true/>
</dict></plist>
PLIST
ln -s /Applications "$work/image/Applications"

if [ -n "${CODESIGN_IDENTITY:-}" ]; then
    codesign --force --options runtime --timestamp --sign "$CODESIGN_IDENTITY" "$app"
else
    echo "not signed: CODESIGN_IDENTITY is not set" >&2
    codesign --force --sign - "$app"
fi
hdiutil create -volname Confide -srcfolder "$work/image" -format UDZO "$out/$name.dmg"
if [ -n "${CODESIGN_IDENTITY:-}" ] && [ -n "${NOTARY_APPLE_ID:-}" ]; then
    xcrun notarytool submit "$out/$name.dmg" --wait --apple-id "$NOTARY_APPLE_ID" \
        --team-id "$NOTARY_TEAM_ID" --password "$NOTARY_PASSWORD"
    xcrun stapler staple "$out/$name.dmg"
fi
sums "$out"
