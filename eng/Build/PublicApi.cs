namespace Microsoft.ML.MixedPrecision.Build;

internal static class PublicApi
{
    /// <summary>RS0016 is "not in the list", RS0017 "in the list and gone": their code fixes write the lists.</summary>
    public static bool Update() => Command.Step("public-api", () => Command.Dotnet(
        "format", "analyzers", Repository.Library, "--diagnostics", "RS0016", "RS0017", "RS0036", "RS0037", "--severity", "info", "--no-restore", "--verbosity", "quiet"));
}
