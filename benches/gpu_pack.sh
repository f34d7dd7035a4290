#!/usr/bin/env bash
# Build, strip and compress what benches/gpu.sh runs on a machine where nothing can be built:
#
#     benches/gpu_pack.sh OUT [PATH …]
#
# PATH is wgsl or native (both by default); OUT/programs.tar.xz then holds for each a folder with the
# programs `gpu` (the tasks of benches/gpu and the program confide) and `gpu-suite` (the GPU test suite).
# The Vulkan loader of this machine and the libraries of GL's dispatch, which drivers lean on, are put beside it for
# machines that lack them. Prints the sizes.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(mkdir -p "$1" && cd "$1" && pwd)
shift
[ $# -gt 0 ] || set -- wgsl native
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
for path in "$@"; do
    features=()
    [ "$path" = wgsl ] || features=(--features native-shaders)
    mkdir "$stage/$path"
    executable() { # KIND NAME
        cargo build --release "${features[@]}" "--$1" "$2" --message-format=json |
            grep "\"kind\":\[\"$1\"\].*\"name\":\"$2\"" |
            grep -o '"executable":"[^"]*"' | cut -d'"' -f4 | tail -n1
    }
    # A rebuild with other features writes over a program, so each is copied at once.
    strip -o "$stage/$path/gpu" "$(executable bench gpu)"
    strip -o "$stage/$path/gpu-suite" "$(executable test gpu)"
done
# The programs hold much of the same code: a dictionary over all of them finds it.
(cd "$stage" && tar -c */gpu */gpu-suite) | xz --x86 --lzma2=preset=4,dict=512MiB >"$out/programs.tar.xz"
for library in libvulkan.so.1 libGLdispatch.so.0 libGLX.so.0 libEGL.so.1 libOpenGL.so.0 libGL.so.1; do
    found=$(ldconfig -p | awk -v name="$library" '$1 == name { found = $NF } END { print found }')
    [ -z "$found" ] || cp -L "$found" "$out/"
done
ls -l "$out"
