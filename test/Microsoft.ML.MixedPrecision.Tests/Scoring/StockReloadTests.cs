using System.Diagnostics;
using System.Globalization;
using System.Reflection;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>A saved model in a process of its own, which has ML.NET and not this library.</summary>
[TestClass]
public sealed class StockReloadTests
{
    private readonly string _folder = Directory.CreateTempSubdirectory("stockreload").FullName;

    [TestCleanup]
    public void Remove() => Directory.Delete(_folder, recursive: true);

    [TestMethod]
    [DataRow(nameof(ScoringTask.Multiclass))]
    [DataRow(nameof(ScoringTask.Binary))]
    [DataRow(nameof(ScoringTask.Regression))]
    [DataRow(nameof(ScoringTask.VectorRegression))]
    public void AnotherProcessScoresTheSame(string taskName)
    {
        var task = Enum.Parse<ScoringTask>(taskName);
        var ml = new MLContext(seed: 1);
        var rows = new ScoringData(ml, 12);
        IDataView data = ml.Transforms.Conversion.MapValueToKey("Label", "Name").Fit(rows.View).Transform(rows.View);
        using StockScoringChain chain = new(ml, StockScoringChainTests.ModelFor(task, OnnxPrecision.Half), data.Schema, "Pixels", StockScoringChainTests.LabelFor(task), task);
        string model = Path.Combine(_folder, "model.zip"), features = Path.Combine(_folder, "features.tsv");
        ml.Model.Save(chain.Chain, data.Schema, model);
        File.WriteAllLines(features, rows.Rows.Chunk(ScoringData.Features).Select(row => string.Join('\t', row.Select(Text))));

        string[] lines = Run(model, features, "Pixels");
        float[] expected = StockScoringChainTests.Scores(chain.Chain.Transform(data));
        int columns = expected.Length / lines.Length, labels = task is ScoringTask.Multiclass or ScoringTask.Binary ? 1 : 0;
        Assert.HasCount(12, lines);
        string[] actual = [.. lines.SelectMany(line => line.Split('\t').Skip(labels))];
        Assert.AreEqual(string.Join(' ', expected.Select(Text)), string.Join(' ', actual)); // the same bits, written the same way
        if (task == ScoringTask.Multiclass)
        {
            string[] predicted = [.. expected.Chunk(columns).Select(row => Text(1 + Array.IndexOf(row, row.Max())))];
            Assert.AreEqual(string.Join(' ', predicted), string.Join(' ', lines.Select(line => line.Split('\t')[0])));
        }
    }

    private static string[] Run(params string[] arguments)
    {
        string built = typeof(StockReloadTests).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(data => data.Key == "StockReload").Value!;
        // Packed for a machine without dotnet (eng/gpu/pack.sh), the program lies beside the tests, with a runtime of its own.
        string packed = Path.Combine(AppContext.BaseDirectory, "..", "stock-reload", "StockReload");
        string program = File.Exists(packed) ? packed : built;
        Assert.IsFalse(File.Exists(Path.Combine(Path.GetDirectoryName(program)!, "Microsoft.ML.MixedPrecision.dll")), "The process must not be able to load this library.");
        var start = program == packed ? new ProcessStartInfo(packed, arguments) : new ProcessStartInfo(DotnetHost.Program, [program, .. arguments]);
        start.RedirectStandardOutput = start.RedirectStandardError = true;
        using Process process = Process.Start(start)!;
        Task<string> errors = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.AreEqual(0, process.ExitCode, errors.Result);
        return output.Split(Environment.NewLine, StringSplitOptions.RemoveEmptyEntries);
    }

    private static string Text(float value) => value.ToString("R", CultureInfo.InvariantCulture);

    private static string Text(int value) => value.ToString(CultureInfo.InvariantCulture);
}
