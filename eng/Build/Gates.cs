namespace Microsoft.ML.MixedPrecision.Build;

/// <summary>What must hold before a test is worth running.</summary>
internal static class Gates
{
    /// <summary>Locked: the packages are exactly those of the committed packages.lock.json files.</summary>
    public static bool Restore() => Command.Step("restore", () =>
        Command.Dotnet("restore", Repository.Solution, "--locked-mode", "--verbosity", "quiet"));

    public static bool Build() => Command.Step("build", () =>
        Command.Dotnet("build", Repository.Solution, "--configuration", "Release", "--no-restore", "--nologo", "--verbosity", "quiet", "-warnaserror"));

    /// <summary>
    /// Whitespace only, and by folder: a second instead of a minute, since nothing is loaded as a project; .editorconfig says what is
    /// generated. The style rules there are warnings of the build, where EnforceCodeStyleInBuild makes them errors.
    /// </summary>
    public static bool Format(bool verify) => Command.Step("format", () =>
    {
        List<string> arguments = ["format", "whitespace", ".", "--folder", "--verbosity", "quiet"];
        if (verify) arguments.Add("--verify-no-changes");
        return Command.Dotnet([.. arguments, "--include", "src/", "test/", "samples/", "eng/"]);
    });
}
