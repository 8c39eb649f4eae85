namespace Microsoft.ML.MixedPrecision.Build;

internal static class Packages
{
    /// <summary>The library's package and its symbols. ContinuousIntegrationBuild keeps this machine's paths out of both.</summary>
    public static bool Pack() => Command.Step("pack", () => Command.Dotnet(
        "pack", Repository.Library, "--configuration", "Release", "--nologo", "--verbosity", "quiet", "--output", Repository.Packages, "-p:ContinuousIntegrationBuild=true"));

    /// <summary>The newest package that was packed, and its version.</summary>
    public static (string Path, string Version) Newest()
    {
        const string prefix = "Microsoft.ML.MixedPrecision.", suffix = ".nupkg";
        FileInfo newest = new DirectoryInfo(Repository.Packages).EnumerateFiles(prefix + "*" + suffix).MaxBy(file => file.LastWriteTimeUtc)
            ?? throw new BuildException($"Expected a package in {Repository.Packages}, found none; run build.sh pack.");
        return (newest.FullName, newest.Name[prefix.Length..^suffix.Length]);
    }
}
