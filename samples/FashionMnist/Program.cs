// Trains a convolutional network on Fashion-MNIST in mixed and in single precision, over several seeds, and compares.
// Arguments: FOLDER [EPOCHS] [SEEDS] [RESULTS.json] [--device cuda:0]
using System.Globalization;
using System.Text.Json;
using Microsoft.ML;
using Microsoft.ML.MixedPrecision;
using Samples;
using Spectre.Console;

string? device = CommandLine.TakeDevice(ref args);
if (args.Length < 1)
{
    Console.Error.WriteLine("Usage: FashionMnist FOLDER [EPOCHS = 3] [SEEDS = 3] [RESULTS.json] [--device cuda:0]\nFOLDER holds the IDX files; Debian's package dataset-fashion-mnist puts them into /usr/share/datasets/fashion-mnist.");
    return 2;
}
int epochs = args.Length > 1 ? int.Parse(args[1], CultureInfo.InvariantCulture) : 3;
int seeds = args.Length > 2 ? int.Parse(args[2], CultureInfo.InvariantCulture) : 3;

Network network = Network.Image(height: 28, width: 28, channels: 1)
    .Conv2d(32, kernel: 3).Relu()
    .Conv2d(64, kernel: 3).Relu().MaxPool2d(2).Dropout(0.25f)
    .Flatten().Linear(128).Relu().Dropout(0.5f);

var results = new List<Result>();
for (int seed = 1; seed <= seeds; seed++)
{
    var ml = new MLContext(seed);
    var train = ml.Data.LoadFromEnumerable(IdxFiles.Read(args[0], "train"));
    var test = ml.Data.LoadFromEnumerable(IdxFiles.Read(args[0], "t10k"));
    foreach (var precision in new[] { Precision.Mixed, Precision.Single })
    {
        using var model = TrainingDisplay.Run($"{precision}, seed {seed}", "accuracy", progress => new Fitted(ml.Transforms.Conversion.MapValueToKey("Label")
            .Append(ml.MulticlassClassification.Trainers.MixedPrecision(new MixedPrecisionTrainer.Options
            {
                Network = network,
                Optimizer = new Adam(1e-3f),
                BatchSize = 128,
                Epochs = epochs,
                Precision = precision,
                Device = device,
                Seed = seed,
                Progress = progress,
            }))
            .Fit(train)));
        var metrics = ml.MulticlassClassification.Evaluate(model.Chain.Transform(test));
        var report = model.Trained.Report;
        results.Add(new Result($"{precision}", seed, metrics.MicroAccuracy, metrics.LogLoss, report.AppliedUpdates, report.SkippedUpdates, report.PlanBytes,
            report.Rows * report.Epochs.Count / report.Duration.TotalSeconds, report.Device));
        Console.WriteLine(Text($"{precision}, seed {seed}: test accuracy {metrics.MicroAccuracy:P2}, {results[^1].SamplesPerSecond:N0} samples/s"));
    }
}

var table = new Table().AddColumns("precision", "mean test accuracy", "lowest", "highest", "plan bytes", "samples/s");
foreach (var group in results.GroupBy(r => r.Precision))
    table.AddRow(group.Key, Text($"{group.Average(r => r.Accuracy):P2}"), Text($"{group.Min(r => r.Accuracy):P2}"), Text($"{group.Max(r => r.Accuracy):P2}"), Text($"{group.First().PlanBytes:N0}"), Text($"{group.Average(r => r.SamplesPerSecond):N0}"));
AnsiConsole.Write(table);
if (args.Length > 3) File.WriteAllText(args[3], JsonSerializer.Serialize(new { Date = DateTime.UtcNow.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture), Epochs = epochs, BatchSize = 128, Results = results }, s_indented));
return 0;

static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

internal sealed record Result(string Precision, int Seed, double Accuracy, double LogLoss, int AppliedUpdates, int SkippedUpdates, long PlanBytes, double SamplesPerSecond, string Device);

internal sealed class Fitted(ITransformer chain) : IDisposable
{
    public ITransformer Chain => chain;

    public MixedPrecisionTransformer Trained { get; } = ((IEnumerable<ITransformer>)chain).OfType<MixedPrecisionTransformer>().Single();

    public void Dispose() => Trained.Dispose();
}

internal partial class Program
{
    private static readonly JsonSerializerOptions s_indented = new() { WriteIndented = true };
}
