using System.Xml.Linq;

namespace Microsoft.ML.MixedPrecision.Build;

/// <summary>The counts of one or more .trx files, and why tests were skipped.</summary>
internal sealed class TestResults
{
    private static readonly XNamespace Trx = "http://microsoft.com/schemas/VisualStudio/TeamTest/2010";

    private readonly List<(string Test, string Reason)> _skips = [];

    public int Passed { get; private set; }
    public int Failed { get; private set; }

    /// <summary>Whether ILGPU met a coverage probe in a kernel, which says so in words that help nobody.</summary>
    public bool MetAProbe { get; private set; }

    /// <summary>One entry for each skipped test or row; a row's test is named without its arguments.</summary>
    public IReadOnlyList<(string Test, string Reason)> Skips => _skips;

    public void Read(string trx)
    {
        XElement run = XDocument.Load(trx).Root!;
        var methods = run.Descendants(Trx + "UnitTest").ToDictionary(
            test => (string)test.Attribute("id")!,
            test => MethodName(test.Element(Trx + "TestMethod")!));

        foreach (XElement result in run.Descendants(Trx + "UnitTestResult"))
        {
            switch ((string?)result.Attribute("outcome"))
            {
                case "Passed":
                    Passed++;
                    break;
                case "NotExecuted" or "Inconclusive":
                    _skips.Add((methods[(string)result.Attribute("testId")!], Reason(result)));
                    break;
                default:
                    Failed++;
                    MetAProbe |= result.Value.Contains("'System.Reflection.Pointer' is not supported", StringComparison.Ordinal);
                    break;
            }
        }
    }

    private static string MethodName(XElement method)
    {
        string type = (string)method.Attribute("className")!;
        return $"{type[(type.LastIndexOf('.') + 1)..]}.{(string)method.Attribute("name")!}";
    }

    private static string Reason(XElement result)
    {
        string message = (string?)result.Descendants(Trx + "Message").FirstOrDefault() ?? "";
        string reason = message.Replace("Assert.Inconclusive failed.", "", StringComparison.Ordinal).Replace("Assert.Inconclusive.", "", StringComparison.Ordinal);
        return reason.Trim() is { Length: > 0 } text ? text.ReplaceLineEndings(" ") : "no reason given; a skip must have one";
    }
}
