namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>The sources that these tests came from.</summary>
internal static class Repository
{
    /// <summary>The folder of the solution. Found from where the tests run, not from where they were compiled: that may be another machine.</summary>
    public static string Root { get; } = FindRoot();

    private static string FindRoot()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "Microsoft.ML.MixedPrecision.slnx"))) return folder.FullName;
        }

        throw new InvalidOperationException($"No Microsoft.ML.MixedPrecision.slnx above {AppContext.BaseDirectory}: the tests run from their build output inside the repository.");
    }
}
