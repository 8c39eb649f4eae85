#!/usr/bin/env bash
# Tests and measurements on a machine with an NVIDIA driver and python3; PyTorch beside ours if that python3 has it:
#     run.sh OUTPUT SECONDS [STAGE=SECONDS ...] [ARCHIVE]
# OUTPUT takes one dated JSON file, a table of it and the logs, written as they come: a run that is cut off keeps what it has. All ends within
# SECONDS. The stages, in their order, share them by weight unless told otherwise, and 0 leaves one out:
#     tests     every test with a row for CUDA on this GPU
#     kernels   products, convolutions and what memory limits, ours and PyTorch's in turn
#     steps     whole training steps, ours and PyTorch's in turn
#     accuracy  trainings of the Quickstart's digits, and of Fashion-MNIST where FASHION_MNIST in the environment names the folder of its files
#     rest      all other tests
# ARCHIVE is what pack.sh made; unless told, the one beside this script or in artifacts/gpu. Inside an unpacked archive none is needed.
# DEVICE=cpu in the environment rehearses all of it without a GPU: small, with no meaning but that it runs.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
name=mixed-precision-gpu

archive=
arguments=()
for argument in "$@"; do
    case $argument in
        *.tar.xz) archive=$argument ;;
        -h | --help) sed -n '2,15s/^# \{0,1\}//p' "$0"; exit 0 ;;
        *) arguments+=("$argument") ;;
    esac
done
if [ "${#arguments[@]}" -lt 2 ]; then
    echo "run.sh: expected an output folder and a number of seconds: run.sh OUTPUT SECONDS [STAGE=SECONDS ...] [ARCHIVE]" >&2
    exit 2
fi
if ! command -v python3 >/dev/null; then
    echo "run.sh: expected python3 on the PATH, found none." >&2
    exit 2
fi

tree=$(cd "$here/../.." && pwd)
if [ -n "$archive" ] || [ ! -d "$tree/artifacts/app/tests" ]; then
    for candidate in "$archive" "$here/$name.tar.xz" "$tree/artifacts/gpu/$name.tar.xz"; do
        if [ -f "$candidate" ]; then archive=$candidate; break; fi
    done
    if [ ! -f "$archive" ]; then
        echo "run.sh: expected the archive that pack.sh makes beside this script or as an argument, found ${archive:-none}." >&2
        exit 2
    fi
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    # With Python's tar and xz: a bare machine may have no others.
    python3 - "$archive" "$scratch" <<'PYTHON'
import sys, tarfile
with tarfile.open(sys.argv[1], "r:xz") as archive:
    archive.extractall(sys.argv[2], **({"filter": "tar"} if hasattr(tarfile, "tar_filter") else {}))
PYTHON
    tree=$scratch/$name
fi
PYTHONDONTWRITEBYTECODE=1 python3 "$tree/eng/gpu/measure.py" "$tree" "${arguments[@]}"
