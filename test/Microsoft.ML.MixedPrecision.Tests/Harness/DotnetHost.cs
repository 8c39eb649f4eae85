namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>What runs another program's .dll.</summary>
internal static class DotnetHost
{
    /// <summary>The dotnet that runs these tests; the one on PATH where they run in a program of their own.</summary>
    public static string Program { get; } = Environment.ProcessPath is { } path && Path.GetFileNameWithoutExtension(path) == "dotnet" ? path : "dotnet";
}
