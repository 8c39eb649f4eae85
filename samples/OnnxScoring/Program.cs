// Scores exported models with ONNX Runtime alone, as a service in production does: no ML.NET, and not the library that trained them.
// Arguments: the models, by default those that the Quickstart writes; --device cuda:0 scores on that GPU, in a build with -p:UseOnnxRuntimeGpu=true.
using System.Globalization;
using OnnxScoring;
using Samples;
using Spectre.Console;

string? device = CommandLine.TakeDevice(ref args);
string[] models = args is [] ? ["digits.fp16.onnx", "digits.fp32.onnx"] : args;
if (models.FirstOrDefault(path => !File.Exists(path)) is { } missing)
{
    Console.Error.WriteLine($"Expected a model at {Path.GetFullPath(missing)}, found none: 'dotnet run -c Release --project samples/Quickstart' writes it, or name others.");
    return 1;
}

// 64 pixels a row, then the digit.
float[][] rows = [.. File.ReadLines(Path.Combine(AppContext.BaseDirectory, "data", "digits.csv")).Select(line => Array.ConvertAll(line.Split(','), text => float.Parse(text, CultureInfo.InvariantCulture)))];
float[] pixels = [.. rows.SelectMany(row => row[..^1])];
string[] digits = [.. rows.Select(row => row[^1].ToString(CultureInfo.InvariantCulture))];

// In turn, so that a machine that others use too treats all alike.
ScoringRun[] runs = [.. from path in models from batch in (int[])[1, 32, 512] select new ScoringRun(path, device, pixels, batch)];
foreach (var run in runs) run.Pass(); // to warm up
for (int round = 0; round < 20; round++)
    foreach (var run in runs) run.TimedPass();

var table = new Table().AddColumns("model", "batch", "right", "rows/s", "p50, us", "p99, us");
foreach (var run in runs)
{
    double right = run.Classes().Zip(digits, (read, digit) => read == digit ? 1.0 : 0.0).Average();
    table.AddRow(Path.GetFileName(run.Model), Text($"{run.Batch}"), Text($"{right:P2}"), Text($"{run.Batch / run.Seconds(0.5):N0}"), Text($"{1e6 * run.Seconds(0.5):N0}"), Text($"{1e6 * run.Seconds(0.99):N0}"));
    run.Dispose();
}
AnsiConsole.Write(table);
return 0;

static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
