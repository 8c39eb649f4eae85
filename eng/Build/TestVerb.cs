namespace Microsoft.ML.MixedPrecision.Build;

/// <summary>
/// The gates, every test, the coverage. The last line is always "N passed, N failed", with ", N skipped" where some were; a gate
/// that fails, or a test run that ends without results, counts as one failure.
/// </summary>
internal static class TestVerb
{
    private const string TimeLimit = "14m";

    public static int Run(IReadOnlyList<string> arguments)
    {
        if (!Gates.Restore() || !Gates.Build()) return Report(new TestResults(), failedGates: 1);
        int failedGates = Gates.Format(verify: true) ? 0 : 1;

        string folder = Path.Combine(Repository.Root, "artifacts", "test");
        if (Directory.Exists(folder)) Directory.Delete(folder, recursive: true);
        Directory.CreateDirectory(folder);

        var results = new TestResults();
        var coverage = new Coverage();
        foreach (string project in Repository.TestProjects())
        {
            string name = Path.GetFileNameWithoutExtension(project);
            string trx = Path.Combine(folder, name + ".trx"), cobertura = Path.Combine(folder, name + ".cobertura.xml");
            bool passed = Command.Step(name, () => Command.Dotnet(
            [
                Path.Combine(Path.GetDirectoryName(project)!, "bin", "Release", "net10.0", name + ".dll"),
                "--report-trx", "--report-trx-filename", Path.GetFileName(trx), "--results-directory", folder,
                "--coverage", "--coverage-output-format", "cobertura", "--coverage-output", cobertura,
                "--coverage-settings", Path.Combine(Repository.Root, "eng", "coverage.config"),
                "--show-test-results", "failed", "--progress", "off", "--timeout", TimeLimit,
                .. arguments,
            ]));

            int failedBefore = results.Failed;
            if (File.Exists(trx)) results.Read(trx);
            if (File.Exists(cobertura)) coverage.Read(cobertura);
            if (!passed && results.Failed == failedBefore)
            {
                Console.WriteLine($"{name} ended badly without naming a failed test: a crash, a time-out or no tests; its output is above.");
                failedGates++;
            }
        }

        coverage.Print();
        if (results.MetAProbe)
            Console.WriteLine("A kernel calls code that the coverage measures; name that code in eng/coverage.config. See \"Coverage\" in CONTRIBUTING.md.");
        return Report(results, failedGates);
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
