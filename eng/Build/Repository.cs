namespace Microsoft.ML.MixedPrecision.Build;

/// <summary>Where things lie.</summary>
internal static class Repository
{
    public const string Solution = "Microsoft.ML.MixedPrecision.slnx";

    public static string Root { get; } = FindRoot();

    public static string Library { get; } = Path.Combine(Root, "src", "Microsoft.ML.MixedPrecision");

    public static string Packages { get; } = Path.Combine(Root, "artifacts", "packages");

    /// <summary>Every test project, by the convention that its name ends in ".Tests".</summary>
    public static IEnumerable<string> TestProjects() =>
        Directory.EnumerateFiles(Path.Combine(Root, "test"), "*.Tests.csproj", SearchOption.AllDirectories).Order(StringComparer.Ordinal);

    private static string FindRoot()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, Solution))) return folder.FullName;
        }

        throw new BuildException($"Expected {Solution} above {AppContext.BaseDirectory}, found none; run build.sh from a clone of the repository.");
    }
}

/// <summary>Says what is wrong to the person who started the build; no stack trace helps there.</summary>
internal sealed class BuildException(string message) : Exception(message);
