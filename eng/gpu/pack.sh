#!/usr/bin/env bash
# Tests, benchmarks and the two samples that stage "accuracy" runs in one archive, for a Linux machine (x64) that has an NVIDIA driver and python3, and need not have .NET:
#     eng/gpu/pack.sh [ARCHIVE]          artifacts/gpu/mixed-precision-gpu.tar.xz unless told otherwise
# Each program comes with its runtime; what two of them share is in the archive once, as a hard link.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
archive=$(realpath -m "${1:-$root/artifacts/gpu/mixed-precision-gpu.tar.xz}")
limit=$((64 * 1024 * 1024))
name=mixed-precision-gpu

mkdir -p "$root/artifacts/gpu" "$(dirname "$archive")"
scratch=$(mktemp -d "$root/artifacts/gpu/pack.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
tree=$scratch/$name
programs=$tree/artifacts/app

# Tests read the repository: its rules, golden files. They find it above themselves, so the programs lie inside of it.
mkdir -p "$programs"
(cd "$root" && git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do [ ! -e "$file" ] || printf '%s\0' "$file"; done | tar --create --null --files-from=- --file=-) |
    tar --extract --directory="$tree" --file=-

publish() # PROJECT FOLDER: with an intermediate folder and lock files of its own, because those of the repository know no runtime identifier
{
    echo "--- publish $1"
    dotnet publish "$root/$1" --configuration Release --runtime linux-x64 --self-contained --nologo --verbosity quiet \
        --artifacts-path "$root/artifacts/gpu/build" --output "$programs/$2" \
        -p:NuGetLockFilePath=obj/packages.gpu.lock.json -p:DebugType=none -p:SatelliteResourceLanguages=en -p:InvariantGlobalization=true
    # Symbols, debuggers, profilers, disassemblers, documentation, and what other systems load.
    find "$programs/$2" -type f \( -name '*.pdb' -o -name '*.dbg' -o -name '*.dylib' -o -name '*.lib' -o -name '*.xml' -o -name 'onnxruntime*.dll' \
        -o -name 'libcapstone.so' -o -name 'libInstrumentationEngine.so' -o -name 'libmscordbi.so' -o -name 'libmscordaccore.so' -o -name 'createdump' -o -name 'libonnxruntime_providers_cuda.so' -o -name 'libonnxruntime_providers_tensorrt.so' \) -delete
    rm -rf "$programs/$2"/{runtimes,amd64,arm64,x86,CodeCoverage,InstrumentationEngine}
}
publish test/Microsoft.ML.MixedPrecision.Tests tests
publish test/Microsoft.ML.MixedPrecision.Benchmarks benchmarks
publish test/StockReload stock-reload
publish samples/Quickstart quickstart
publish samples/FashionMnist fashion-mnist

for folder in benchmarks stock-reload quickstart fashion-mnist; do
    while IFS= read -r -d '' file; do
        first=$programs/tests/$file
        if [ -f "$first" ] && cmp -s "$first" "$programs/$folder/$file"; then ln -f "$first" "$programs/$folder/$file"; fi
    done < <(cd "$programs/$folder" && find . -type f -print0)
done

version=$(cd "$root" && git rev-parse --short=12 HEAD 2>/dev/null || echo "no commit")
if [ -n "$(cd "$root" && git status --porcelain 2>/dev/null)" ]; then version="$version with changes"; fi
echo "$version" >"$programs/version"

echo "--- pack"
tar --create --sort=name --owner=0 --group=0 --numeric-owner --directory="$scratch" --file=- "$name" | xz --threads=0 -6 >"$archive.part"
mv "$archive.part" "$archive"
size=$(stat --format=%s "$archive")
printf '%s: %d files, %d MiB unpacked, %.1f MiB (%d bytes)\n' "${archive#"$root"/}" "$(find "$tree" -type f | wc -l)" \
    "$(($(du --summarize --bytes "$tree" | cut -f1) / 1048576))" "$(awk "BEGIN { print $size / 1048576 }")" "$size"
if [ "$size" -ge "$limit" ]; then
    echo "pack.sh: expected an archive of less than $((limit / 1048576)) MiB; the largest files in it:" >&2
    find "$programs" -type f -printf '%s %P\n' | sort -rn | head -n 15 >&2
    exit 1
fi
