using System.Xml.Linq;

namespace Microsoft.ML.MixedPrecision.Build;

/// <summary>
/// Does the package work for someone who has nothing else? Copies eng/consumer into a temporary folder, where no file of this repository
/// is above it, restores it against artifacts/packages and runs it: with the ML.NET that the package asks for, and with a newer one, whose internals the package's
/// own tests do not see.
/// </summary>
internal static class Consumer
{
    private const string NewerMlNet = "6.0.0";

    public static int Run() => Packages.Pack() && Works(CentralVersion("Microsoft.ML")) && Works(NewerMlNet) ? 0 : 1;

    private static bool Works(string mlNet)
    {
        string version = Packages.Newest().Version;
        string folder = Directory.CreateTempSubdirectory("mixed-precision-consumer-").FullName;
        try
        {
            foreach (string file in Directory.EnumerateFiles(Path.Combine(Repository.Root, "eng", "consumer")))
                File.Copy(file, Path.Combine(folder, Path.GetFileName(file)));

            // Its own packages folder, so that a package of the same version that was restored before is not taken for this one.
            var environment = new Dictionary<string, string> { ["NUGET_PACKAGES"] = Path.Combine(folder, "packages") };
            string[] properties = [$"-p:PackageVersionUnderTest={version}", $"-p:LocalFeed={Repository.Packages}", $"-p:MlNetVersion={mlNet}", $"-p:OnnxRuntimeVersion={CentralVersion("Microsoft.ML.OnnxRuntime")}", .. Fallback(version)];
            bool passed = Command.Step("consumer restore and build", () => Command.Run("dotnet", folder, environment, ["build", "--configuration", "Release", "--nologo", "--verbosity", "quiet", .. properties]))
                && Command.Step("consumer run", () => Command.Run("dotnet", folder, environment, [Path.Combine("bin", "Release", "net10.0", "Consumer.dll")]));
            Console.WriteLine($"consumer: Microsoft.ML.MixedPrecision {version} {(passed ? "works outside the repository" : "FAILED")} with ML.NET {mlNet}");
            return passed;
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static string CentralVersion(string package) =>
        (string?)XDocument.Load(Path.Combine(Repository.Root, "Directory.Packages.props")).Descendants("PackageVersion")
            .Single(version => (string?)version.Attribute("Include") == package).Attribute("Version")
        ?? throw new BuildException($"Expected a version of {package} in Directory.Packages.props, found none.");

    /// <summary>Other people's packages come from the user's folder where they lie already, which saves 100 MB of ONNX Runtime; not if ours lies there in this version too.</summary>
    private static string[] Fallback(string version)
    {
        string shared = Environment.GetEnvironmentVariable("NUGET_PACKAGES")
            ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget", "packages");
        return Directory.Exists(shared) && !Directory.Exists(Path.Combine(shared, "microsoft.ml.mixedprecision", version.ToLowerInvariant()))
            ? [$"-p:RestoreFallbackFolders={shared}"]
            : [];
    }
}
