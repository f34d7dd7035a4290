# What the packaging scripts of all systems share; sourced by them, in the repository's root.

VERSION=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
COMMIT_DATE=$(git log -1 --format=%cs 2>/dev/null || date -u +%F)
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || date -u +%s)
export SOURCE_DATE_EPOCH
TARGET_DIR=${CARGO_TARGET_DIR:-target}

# Build the program with these flags and without this machine's paths in it. CONFIDE_BINARY names one that
# is built already.
build() {
    if [ -n "${CONFIDE_BINARY:-}" ]; then
        BINARY=$CONFIDE_BINARY
        return
    fi
    local home=${CARGO_HOME:-$HOME/.cargo} sysroot
    sysroot=$(rustc --print sysroot)
    # One flag a line, so that paths may hold blanks.
    CARGO_ENCODED_RUSTFLAGS=$(printf '%s\037' \
        "--remap-path-prefix=$home/registry/src=crates" "--remap-path-prefix=$PWD=confide" \
        "--remap-path-prefix=$sysroot=rust" "--remap-path-prefix=$HOME=home" "$@")
    export CARGO_ENCODED_RUSTFLAGS=${CARGO_ENCODED_RUSTFLAGS%$'\037'}
    cargo build --release --locked --bin confide
    BINARY=$TARGET_DIR/release/confide${EXE:-}
}

# The program holds no path of the machine that built it.
check_paths() {
    local found
    found=$(LC_ALL=C grep -aoE "(${HOME}|${PWD}|${CARGO_HOME:-$HOME/.cargo})/[[:print:]]{0,60}" "$1" | sort -u | head -n 5 || true)
    if [ -n "$found" ]; then
        echo "$1 holds paths of this machine:" >&2
        echo "$found" >&2
        [ -n "${CONFIDE_BINARY:-}" ] || exit 1
    fi
}

# What a person should have beside the program, the licences of what is built in among it. These take minutes
# to gather and follow from a few files, so that they are kept between builds.
papers() {
    local known
    known=$TARGET_DIR/third-party-$(cat Cargo.lock packaging/about.* | cksum | cut -d ' ' -f 1).txt
    if [ ! -s "$known" ]; then
        cargo about generate --locked --fail -c packaging/about.toml packaging/about.hbs > "$known.part"
        mv "$known.part" "$known"
    fi
    cp README.md CHANGELOG.md SECURITY.md LICENSE-MIT LICENSE-APACHE "$1"
    cp "$known" "$1/THIRD-PARTY.txt"
}

# What is built in, as CycloneDX.
sbom() {
    cargo cyclonedx --format json --override-filename confide-sbom --spec-version 1.5 --target all
    sed "s|file://$PWD|file://.|g" confide-sbom.json > "$1"
    # One is written beside the manifest of each member of the workspace.
    rm -f confide-sbom.json fuzz/confide-sbom.json
}

sums() {
    (cd "$1" && for file in *; do
        case $file in *.sha256) ;; *)
            if command -v sha256sum >/dev/null; then sha256sum "$file"; else shasum -a 256 "$file"; fi > "$file.sha256" ;;
        esac
    done)
}
