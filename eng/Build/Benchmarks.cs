namespace Microsoft.ML.MixedPrecision.Build;

internal static class Benchmarks
{
    public static int Run(IEnumerable<string> arguments)
    {
        string project = Path.Combine(Repository.Root, "test", "Microsoft.ML.MixedPrecision.Benchmarks");
        if (!Directory.Exists(project)) throw new BuildException($"Expected the benchmarks in {Path.GetRelativePath(Repository.Root, project)}, found no such folder.");
        return Command.Dotnet(["run", "--configuration", "Release", "--verbosity", "quiet", "--project", project, "--", .. arguments]);
    }
}
