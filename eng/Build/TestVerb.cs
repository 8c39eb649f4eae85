namespace Microsoft.ML.MixedPrecision.Build;

/// <summary>
/// The gates, every test, the coverage. The last line is always "N passed, N failed", with ", N skipped" where some were; a gate
/// that fails, or a test run that ends without results, counts as one failure.
/// </summary>
internal static class TestVerb
{
    /// <summary>Of one run of a project's tests, so that one that hangs ends: twice what the longest takes on two Zen 4 cores.</summary>
    private const string TimeLimit = "30m";

    /// <summary>
    /// The CPU's kernels choose their vectors by what the processor has, so tests of this category run again with less of it. Switching off
    /// AVX2 leaves 128 bits.
    /// </summary>
    private static readonly (string Name, string Variable)[] NarrowerProcessors =
        [("without AVX-512", "DOTNET_EnableAVX512"), ("without AVX2", "DOTNET_EnableAVX2")];

    public static int Run(IReadOnlyList<string> arguments)
    {
        var results = new TestResults();
        foreach (string library in Repository.TestProjects().Select(LibraryOf).Where(File.Exists)) File.Delete(library);
        if (!Gates.Restore() || !Gates.Build()) return Report(results, failedGates: 1);
        int failedGates = Gates.Format(verify: true) ? 0 : 1;

        string folder = Path.Combine(Repository.Root, "artifacts", "test");
        if (Directory.Exists(folder)) Directory.Delete(folder, recursive: true);
        Directory.CreateDirectory(folder);

        var coverage = new Coverage();
        foreach (string project in Repository.TestProjects())
        {
            string name = Path.GetFileNameWithoutExtension(project);
            string settings = Coverage.Settings(LibraryOf(project), folder);
            if (!RunTests(project, name, settings, arguments, environment: [], results, coverage)) failedGates++;
            if (arguments.Count > 0) continue;
            foreach (var (processor, variable) in NarrowerProcessors)
            {
                if (!RunTests(project, $"{name} {processor}", settings, ["--filter", "TestCategory=VectorWidth"], new() { [variable] = "0" }, results, coverage)) failedGates++;
            }
        }

        coverage.Print();
        if (results.MetAProbe)
            Console.WriteLine("ILGPU met a coverage probe: eng/Build/KernelCode.cs did not find all that a kernel calls. See \"Coverage\" in CONTRIBUTING.md.");
        return Report(results, failedGates);
    }

    private static string OutputOf(string project) => Path.Combine(Path.GetDirectoryName(project)!, "bin", "Release", "net10.0");

    /// <summary>
    /// The tests' copy of the library. The coverage tool writes its probes into it and takes them out again at the end; deleted before a
    /// build, it is a clean one even where the last run was killed.
    /// </summary>
    private static string LibraryOf(string project) => Path.Combine(OutputOf(project), "Microsoft.ML.MixedPrecision.dll");

    /// <summary>False where the run failed and no test of it says so.</summary>
    private static bool RunTests(string project, string name, string settings, IEnumerable<string> arguments, Dictionary<string, string> environment, TestResults results, Coverage coverage)
    {
        string folder = Path.GetDirectoryName(settings)!;
        string file = Path.Combine(folder, name.Replace(' ', '-')), trx = file + ".trx", cobertura = file + ".cobertura.xml";
        string program = Path.Combine(OutputOf(project), Path.GetFileNameWithoutExtension(project) + ".dll");
        bool passed = Command.Step(name, () => Command.Run("dotnet", Repository.Root, environment,
        [
            program,
            "--report-trx", "--report-trx-filename", Path.GetFileName(trx), "--results-directory", folder,
            "--coverage", "--coverage-output-format", "cobertura", "--coverage-output", cobertura,
            "--coverage-settings", settings,
            "--show-test-results", "failed", "--progress", "off", "--timeout", TimeLimit,
            .. arguments,
        ]));

        int failedBefore = results.Failed;
        bool hasResults = File.Exists(trx);
        if (hasResults) results.Read(trx);
        if (File.Exists(cobertura)) coverage.Read(cobertura);
        if ((passed && hasResults) || results.Failed > failedBefore) return true;
        Console.WriteLine($"{name} ended badly without naming a failed test: a crash, a time-out or no tests; its output is above.");
        return false;
    }

    private static int Report(TestResults results, int failedGates)
    {
        foreach (var group in results.Skips.GroupBy(skip => skip.Reason).OrderBy(group => group.Key, StringComparer.Ordinal))
        {
            Console.WriteLine($"skipped: {group.Key}");
            foreach (var tests in group.GroupBy(skip => skip.Test).OrderBy(tests => tests.Key, StringComparer.Ordinal))
                Console.WriteLine(tests.Count() == 1 ? $"    {tests.Key}" : $"    {tests.Key}, {tests.Count()} rows");
        }

        int failed = results.Failed + failedGates;
        string skipped = results.Skips.Count == 0 ? "" : $", {results.Skips.Count} skipped";
        Console.WriteLine($"{results.Passed} passed, {failed} failed{skipped}");
        return failed == 0 && results.Passed > 0 ? 0 : 1;
    }
}
