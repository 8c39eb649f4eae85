using System.Text.RegularExpressions;
using System.Xml.Linq;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>The rules of the house that no compiler checks. They read files, not git, so they also hold in an unpacked source archive.</summary>
[TestClass]
public sealed partial class RepositoryTests
{
    private const int LongestSource = 600;

    private static readonly string[] NotOurs = ["bin", "obj", "artifacts", "TestResults", "BenchmarkDotNet.Artifacts", "node_modules"];

    private static readonly string Root = Repository.Root;

    private static readonly string[] Files = [.. FilesBelow(Root).Order(StringComparer.Ordinal)];

    [TestMethod]
    public void NoTextFileNamesAMachineOrAPackageHost()
    {
        var found = from file in Files
                    let bytes = File.ReadAllBytes(file)
                    where bytes.AsSpan(0, Math.Min(bytes.Length, 8000)).IndexOf((byte)0) < 0
                    from Match match in MachineOrHost().Matches(System.Text.Encoding.UTF8.GetString(bytes))
                    select $"{Relative(file)}: '{match.Value}'";
        AssertNone(found, "name a path of one machine, or the host of a package feed");
    }

    [TestMethod]
    [DataRow("see /hom" + "e/someone/x", true)]
    [DataRow(@"C:\User" + @"s\someone", true)]
    [DataRow("https://api.nu" + "get.org/v3/index.json", true)]
    [DataRow("src/home/page", false)]
    [DataRow("Microsoft.ML.OnnxRuntime", false)]
    public void MachineOrHost_FindsWhatItShould(string text, bool expected) => Assert.AreEqual(expected, MachineOrHost().IsMatch(text));

    [TestMethod]
    public void EverySourceFileIsShort()
    {
        var found = from file in Files
                    where InFolder(file, "src") && file.EndsWith(".cs", StringComparison.Ordinal)
                    let lines = File.ReadLines(file).Count()
                    where lines >= LongestSource
                    select $"{Relative(file)}: {lines} lines";
        AssertNone(found, $"have {LongestSource} lines or more; one file tells one story");
    }

    [TestMethod]
    public void EveryOpFolderHasItsThreeFiles()
    {
        string ops = Path.Combine(Root, "src", "Microsoft.ML.MixedPrecision", "Ops");
        var found = new List<string>();
        foreach (string folder in Directory.GetDirectories(ops).Where(folder => Directory.EnumerateFiles(folder).Any()))
        {
            string[] names = [.. Directory.GetFiles(folder, "*.cs").Select(file => Path.GetFileName(file)!)];
            string op = Path.GetFileName(folder);
            bool holdsAnOp = names.Any(name => IsOp().IsMatch(File.ReadAllText(Path.Combine(folder, name))));
            if (holdsAnOp && !names.Contains(op + ".cs")) found.Add($"Ops/{op} lacks {op}.cs");

            // A story has its leaf kernels on both sides, or none at all where it is made of shared ones (Linear is a matrix product).
            foreach (string name in names)
            {
                string story = name.Replace(".Cpu.cs", ".cs", StringComparison.Ordinal).Replace(".Gpu.cs", ".cs", StringComparison.Ordinal)[..^3];
                bool hasLeaves = name != story + ".cs" || IsKernel().IsMatch(File.ReadAllText(Path.Combine(folder, name)));
                if (!hasLeaves) continue;
                found.AddRange(from needed in new[] { story + ".cs", story + ".Cpu.cs", story + ".Gpu.cs" }
                               where !names.Contains(needed)
                               select $"Ops/{op} has {name} and lacks {needed}");
            }
        }

        AssertNone(found.Distinct(), "are missing");
    }

    [TestMethod]
    public void EveryProjectHasALockFileAndAPlaceInTheSolution()
    {
        var inSolution = XDocument.Load(Path.Combine(Root, "Microsoft.ML.MixedPrecision.slnx")).Descendants("Project")
            .Select(project => ((string)project.Attribute("Path")!).Replace('\\', '/')).ToHashSet();
        var found = new List<string>();
        foreach (string project in Projects())
        {
            if (!File.Exists(Path.Combine(Path.GetDirectoryName(project)!, "packages.lock.json"))) found.Add($"{Relative(project)} has no packages.lock.json");

            // The builder cannot be part of what it builds: Windows locks a program that runs.
            if (!InFolder(project, "eng") && !inSolution.Contains(Relative(project))) found.Add($"{Relative(project)} is not in the solution");
        }

        found.AddRange(inSolution.Where(path => !File.Exists(Path.Combine(Root, path))).Select(path => $"{path} is in the solution only"));
        AssertNone(found, "are not as they should be");
    }

    [TestMethod]
    public void EverySampleHasAReadme()
    {
        var found = from project in Projects()
                    where InFolder(project, "samples")
                    let folder = Path.GetDirectoryName(project)!
                    where !File.Exists(Path.Combine(folder, "README.md"))
                    select Relative(folder);
        AssertNone(found, "have no README.md");
    }

    [TestMethod]
    public void EveryDecisionIsInTheIndex()
    {
        string folder = Path.Combine(Root, "docs", "adr");
        string index = File.ReadAllText(Path.Combine(folder, "README.md"));
        var found = Directory.GetFiles(folder, "*.md").Select(file => Path.GetFileName(file)!).Where(name => name != "README.md" && !index.Contains($"({name})", StringComparison.Ordinal));
        AssertNone(found, "are not linked from docs/adr/README.md");
    }

    [TestMethod]
    public void EveryRelativeLinkLeadsSomewhere()
    {
        var found = from file in Files
                    where file.EndsWith(".md", StringComparison.Ordinal)
                    from Match match in RelativeLink().Matches(File.ReadAllText(file))
                    let target = match.Groups["path"].Value
                    let path = Path.GetFullPath(Path.Combine(Path.GetDirectoryName(file)!, target))
                    where !File.Exists(path) && !Directory.Exists(path)
                    select $"{Relative(file)}: {target}";
        AssertNone(found, "are links to nothing");
    }

    /// <summary>The consumer is copied out of the repository before it is built: it takes no part in its rules.</summary>
    private static IEnumerable<string> Projects() =>
        Files.Where(file => file.EndsWith(".csproj", StringComparison.Ordinal) && !Relative(file).StartsWith("eng/consumer/", StringComparison.Ordinal));

    private static void AssertNone(IEnumerable<string> found, string what)
    {
        string[] all = [.. found];
        Assert.IsEmpty(all, $"{all.Length} {what}:{Environment.NewLine}{string.Join(Environment.NewLine, all)}");
    }

    private static bool InFolder(string file, string folder) => Relative(file).StartsWith(folder + "/", StringComparison.Ordinal);

    private static string Relative(string file) => Path.GetRelativePath(Root, file).Replace('\\', '/');

    private static IEnumerable<string> FilesBelow(string folder)
    {
        foreach (string file in Directory.EnumerateFiles(folder)) yield return file;
        foreach (string child in Directory.EnumerateDirectories(folder))
        {
            string name = Path.GetFileName(child);
            if (NotOurs.Contains(name) || name is ".git" or ".vs" or ".idea" or ".vscode") continue;
            foreach (string file in FilesBelow(child)) yield return file;
        }
    }

    // Each name is broken by a character class, so that this file does not find itself.
    [GeneratedRegex(@"(?<![\w.])/(hom[e]|User[s]|roo[t]|wor[k])/|[A-Za-z]:\\User[s]\\|nuget\.or[g]|pkgs\.dev\.azur[e]|myget\.or[g]|pypi\.or[g]|npmjs\.co[m]", RegexOptions.IgnoreCase)]
    private static partial Regex MachineOrHost();

    [GeneratedRegex(@"class \w+(<\w+>)?(\([^)]*\))?\s*: (Op|Activation<\w+>)\b")]
    private static partial Regex IsOp();

    [GeneratedRegex(@"class \w+(<\w+>)?(\([^)]*\))?\s*: Kernel\b")]
    private static partial Regex IsKernel();

    [GeneratedRegex(@"\]\((?!\w+:|#|/)(?<path>[^)#\s]+)(#[^)]*)?\)")]
    private static partial Regex RelativeLink();
}
