namespace Microsoft.ML.MixedPrecision.Build;

internal static class PublicApi
{
    /// <summary>
    /// Empties PublicAPI.Unshipped.txt and lets the code fix of RS0016 ("not on record") write it anew, so that what is gone from the code is
    /// gone from the file. PublicAPI.Shipped.txt holds what a release has promised; nothing here touches it.
    /// </summary>
    public static bool Update()
    {
        File.WriteAllText(Path.Combine(Repository.Library, "PublicAPI.Unshipped.txt"), "#nullable enable\n");
        return Gates.Restore() && Command.Step("public-api", () => Command.Dotnet(
            "format", "analyzers", Repository.Library, "--diagnostics", "RS0016", "--severity", "info", "--no-restore", "--verbosity", "quiet"));
    }
}
