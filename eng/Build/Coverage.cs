using System.Globalization;
using System.Xml.Linq;

namespace Microsoft.ML.MixedPrecision.Build;

/// <summary>
/// Line coverage of the library over all test projects. A line counts as covered when any instance of a generic method ran it.
/// eng/coverage.config says what is not measured, and why.
/// </summary>
internal sealed class Coverage
{
    private readonly Dictionary<(string File, int Line), bool> _lines = [];

    /// <summary>eng/coverage.config, and in it by name what ILGPU compiles.</summary>
    public static string Settings(string library, string folder)
    {
        string path = Path.Combine(folder, "coverage.config");
        var settings = XDocument.Load(Path.Combine(Repository.Root, "eng", "coverage.config"));
        XElement functions = settings.Descendants("Functions").Single().Element("Exclude")!;
        functions.Add(KernelCode.Patterns(library).Select(pattern => new XElement("Function", pattern)));
        settings.Save(path);
        return path;
    }

    public void Read(string cobertura)
    {
        foreach (XElement type in XDocument.Load(cobertura).Descendants("class"))
        {
            string file = Path.GetRelativePath(Repository.Library, (string)type.Attribute("filename")!);
            if (file.StartsWith("..", StringComparison.Ordinal) || file.StartsWith("obj", StringComparison.Ordinal)) continue;
            foreach (XElement line in type.Elements("lines").Elements("line"))
            {
                var key = (file, int.Parse((string)line.Attribute("number")!, CultureInfo.InvariantCulture));
                bool hit = (string)line.Attribute("hits")! != "0";
                _lines[key] = hit || _lines.GetValueOrDefault(key);
            }
        }
    }

    public void Print()
    {
        if (_lines.Count == 0)
        {
            Console.WriteLine("line coverage of src: not measured, no coverage file was written");
            return;
        }

        var files = _lines.GroupBy(line => line.Key.File)
            .Select(group => (File: group.Key, Missed: group.Count(line => !line.Value), Count: group.Count()))
            .Where(file => file.Missed > 0)
            .OrderByDescending(file => file.Missed).ThenBy(file => file.File, StringComparer.Ordinal)
            .Take(10);
        Console.WriteLine("most lines not covered:");
        foreach (var (file, missed, count) in files) Console.WriteLine($"    {missed,4} of {count,4}  {file}");

        int covered = _lines.Count(line => line.Value);
        string percent = (100.0 * covered / _lines.Count).ToString("F1", CultureInfo.InvariantCulture);
        Console.WriteLine($"line coverage of src: {percent} % ({covered} of {_lines.Count} lines; without generated code and kernels that ILGPU compiles, see eng/coverage.config)");
    }
}
