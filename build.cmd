@echo off
rem The one entry for people and for CI: build.cmd test (or build, format, pack, bench, consumer). What each verb does is in eng\Build.
setlocal
cd /d "%~dp0"

set "advice=Install the .NET 10 SDK: from dotnet.microsoft.com/download, or with 'winget install Microsoft.DotNet.SDK.10'."
where dotnet >nul 2>nul
if errorlevel 1 (
    echo build.cmd: expected the .NET SDK that global.json asks for, found no 'dotnet' on the PATH. %advice% 1>&2
    exit /b 1
)
dotnet --version >nul 2>nul
if errorlevel 1 (
    echo build.cmd: expected the .NET SDK that global.json asks for, found: 1>&2
    dotnet --list-sdks 1>&2
    echo %advice% 1>&2
    exit /b 1
)

rem No compiler, MSBuild or test server outlives the command.
set MSBUILDDISABLENODEREUSE=1
set DOTNET_CLI_USE_MSBUILD_SERVER=0
set UseSharedCompilation=false
set DOTNET_NOLOGO=1
set DOTNET_CLI_TELEMETRY_OPTOUT=1
set TESTINGPLATFORM_TELEMETRY_OPTOUT=1

dotnet run --configuration Release --verbosity quiet --project eng/Build -- %*
exit /b %errorlevel%
