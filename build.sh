#!/bin/sh
# The one entry for people and for CI: ./build.sh test (or build, format, pack, bench, consumer). What each verb does is in eng/Build.
set -eu
cd "$(dirname "$0")"

advice='Install the .NET 10 SDK: from dotnet.microsoft.com/download, or the package dotnet-sdk-10.0 of your distribution.'
if ! command -v dotnet >/dev/null 2>&1; then
    echo "build.sh: expected the .NET SDK that global.json asks for, found no 'dotnet' on the PATH. $advice" >&2
    exit 1
fi
if ! dotnet --version >/dev/null 2>&1; then
    echo "build.sh: expected the .NET SDK that global.json asks for, found: $(dotnet --list-sdks | tr '\n' ' '). $advice" >&2
    exit 1
fi

# No compiler, MSBuild or test server outlives the command.
export MSBUILDDISABLENODEREUSE=1 DOTNET_CLI_USE_MSBUILD_SERVER=0 UseSharedCompilation=false
export DOTNET_NOLOGO=1 DOTNET_CLI_TELEMETRY_OPTOUT=1 TESTINGPLATFORM_TELEMETRY_OPTOUT=1

exec dotnet run --configuration Release --verbosity quiet --project eng/Build -- "$@"
