using System.Diagnostics;
using System.Globalization;
using System.Net.Http.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>The samples, as their READMEs say to run them: what they print is held to a bar, and one reads what another wrote.</summary>
[TestClass]
public sealed partial class SamplesTests
{
    private readonly string _folder = Directory.CreateTempSubdirectory("samples").FullName;

    [TestCleanup]
    public void Remove() => Directory.Delete(_folder, recursive: true);

    [TestMethod]
    public void Quickstart_trains_and_OnnxScoring_reads_the_digits_from_its_exports()
    {
        string trained = Run("Quickstart");
        foreach (string precision in (string[])["Mixed", "Single"])
            Assert.IsGreaterThanOrEqualTo(97.5, Percent(trained, precision), trained);

        string scored = Run("OnnxScoring");
        foreach (string model in (string[])["digits.fp16.onnx", "digits.fp32.onnx"])
            Assert.IsGreaterThanOrEqualTo(98.5, Percent(scored, model), scored);
    }

    [TestMethod]
    public void Sequences_trains()
    {
        string trained = Run("Sequences");
        foreach (var (network, bar) in ((string, double)[])[("LSTM", 96), ("both", 96), ("transformer", 94), ("convolution", 96)])
            Assert.IsGreaterThanOrEqualTo(bar, Percent(trained, network), trained);
    }

    [TestMethod]
    public void Texts_trains_and_stock_ML_NET_reads_text()
    {
        string trained = Run("Texts");
        foreach (var (network, bar) in ((string, double)[])[("bag", 71), ("LSTM", 67), ("transformer", 71)])
            Assert.IsGreaterThanOrEqualTo(bar, Percent(trained, network), trained);
        StringAssert.Contains(trained, "wisdom: A fool talks, and a wise man is silent.");
    }

    [TestMethod]
    public void Images_trains_on_files_and_stock_ML_NET_reads_them()
    {
        string trained = Run("Images").Replace('\\', '/');
        Assert.IsGreaterThanOrEqualTo(98, Number(trained, "Test accuracy "), trained);
        foreach (string line in trained.Split('\n').Where(line => line.StartsWith("images/", StringComparison.Ordinal)))
            Assert.AreEqual(line.Split('/')[1], line.Split(": ")[1].Split(',')[0], line);
        StringAssert.Contains(trained, "images/2/");
    }

    [TestMethod]
    public void TransferLearning_learns_more_than_from_scratch()
    {
        const double Scratch = 60.7; // the best of those in docs/benchmarks/2026-11-28-transfer-learning.txt
        string trained = Run("TransferLearning", "pretrained");
        Assert.IsGreaterThanOrEqualTo(Scratch + 8, Percent(trained, "Head"), trained);
        Assert.IsGreaterThanOrEqualTo(Scratch + 12, Percent(trained, "Fine-tuned"), trained);
        StringAssert.Contains(trained.Replace('\\', '/'), "pictures/food/bell pepper.png: food, ");
    }

    [TestMethod]
    public void SpamFilter_trains_as_well_as_trees()
    {
        string trained = Run("SpamFilter");
        foreach (string trainer in (string[])["Network, mixed", "Network, single"]) Assert.IsGreaterThanOrEqualTo(Percent(trained, "FastTree") - 1.5, Percent(trained, trainer), trained);
        Assert.IsLessThan(1e-3, Number(trained, "largest difference of a probability "), trained);
    }

    /// <summary>By the mean absolute error: a few slips in the data decide an R2.</summary>
    [TestMethod]
    public void DiamondPrices_trains_as_well_as_trees()
    {
        string trained = Run("DiamondPrices");
        double trees = Cell(trained, "FastTree", 3);
        foreach (string trainer in (string[])["Network, mixed", "Network, single", "With embeddings"]) Assert.IsLessThanOrEqualTo(1.1 * trees, Cell(trained, trainer, 3), trained);
        Assert.IsLessThan(1, Number(trained, "largest difference of a price "), trained);
    }

    [TestMethod]
    public async Task ModelBuilder_trains_and_its_web_API_gives_the_same_price()
    {
        string trained = Run("ModelBuilder");
        Assert.IsGreaterThanOrEqualTo(0.97, Number(trained, "R2 "), trained);
        double price = Number(trained, "0.23 carat, Ideal, E, SI2: ");

        using Process api = Start("ModelBuilderApi", "--urls", "http://127.0.0.1:0");
        try
        {
            using var client = new HttpClient { BaseAddress = new Uri(await Address(api)) };
            var diamond = new { carat = 0.23, cut = "Ideal", color = "E", clarity = "SI2", depth = 61.5, table = 55, x = 3.95, y = 3.98, z = 2.43 };
            var one = await (await client.PostAsJsonAsync("/predict", diamond)).Content.ReadFromJsonAsync<JsonObject>();
            var many = await (await client.PostAsJsonAsync("/predict/many", new[] { diamond, diamond })).Content.ReadFromJsonAsync<JsonArray>();
            Assert.AreEqual(price, Math.Round(one!["score"]!.GetValue<double>()));
            Assert.AreSequenceEqual([one.ToJsonString(), one.ToJsonString()], many!.Select(m => m!.ToJsonString()));
            Assert.AreEqual(System.Net.HttpStatusCode.BadRequest, (await client.PostAsJsonAsync("/predict", new { carat = "heavy" })).StatusCode);
        }
        finally
        {
            api.Kill();
            await api.WaitForExitAsync();
        }
    }

    [TestMethod]
    [DataRow("OnnxScoring")]
    [DataRow("ModelBuilderApi")]
    public void Without_a_model_they_say_where_to_get_one(string sample)
    {
        using var process = Start(sample);
        process.WaitForExit();
        Assert.AreEqual(1, process.ExitCode);
        StringAssert.Contains(process.StandardError.ReadToEnd(), "found none");
    }

    private string Run(string sample, params string[] arguments)
    {
        using var process = Start(sample, arguments);
        Task<string> errors = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.AreEqual(0, process.ExitCode, errors.Result);
        return output;
    }

    private Process Start(string sample, params string[] arguments)
    {
        string program = Path.Combine(Repository.Root, "samples", sample, "bin", "Release", "net10.0", sample + ".dll");
        if (!File.Exists(program)) Assert.Inconclusive("The samples are not built here: build the solution in Release.");
        var start = new ProcessStartInfo(DotnetHost.Program, [program, .. arguments]) { WorkingDirectory = _folder, RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["CORECLR_ENABLE_PROFILING"] = "0"; // The probes of the tests' coverage would make a training of seconds one of many minutes.
        return Process.Start(start)!;
    }

    /// <summary>What a web application says that it listens on, once it does.</summary>
    private static async Task<string> Address(Process application)
    {
        while (await application.StandardOutput.ReadLineAsync() is { } line)
            if (Listening().Match(line) is { Success: true } match) return match.Value;
        throw new AssertFailedException(await application.StandardError.ReadToEndAsync());
    }

    /// <summary>The least percentage in the rows of a table that begin with a name.</summary>
    private static double Percent(string output, string row) =>
        output.Split('\n').Where(line => line.StartsWith("│ " + row + " ", StringComparison.Ordinal)).Min(line => Parse(Percentage().Match(line).Groups[1].Value));

    /// <summary>A column's number in the row of a table that begins with a name.</summary>
    private static double Cell(string output, string row, int column) =>
        Parse(output.Split('\n').Single(line => line.StartsWith("│ " + row + " ", StringComparison.Ordinal)).Split('│')[1 + column].Trim());

    /// <summary>The number behind a text.</summary>
    private static double Number(string output, string before)
    {
        int start = output.IndexOf(before, StringComparison.Ordinal);
        Assert.IsGreaterThanOrEqualTo(0, start, output);
        return Parse(Figure().Match(output, start + before.Length).Value);
    }

    private static double Parse(string number) => double.Parse(number, NumberStyles.Float | NumberStyles.AllowThousands, CultureInfo.InvariantCulture);

    [GeneratedRegex(@"http://127\.0\.0\.1:\d+")]
    private static partial Regex Listening();

    [GeneratedRegex(@"([\d.]+) %")]
    private static partial Regex Percentage();

    [GeneratedRegex(@"[\d.,]*\d(E[-+]\d+)?")]
    private static partial Regex Figure();
}
