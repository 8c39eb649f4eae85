// Trains a small convolutional network on 1,797 handwritten digits, in mixed and in single precision, exports it as FP16 and FP32
// ONNX, saves it, loads it back with stock ML.NET, and shows that both score the same.
// Arguments: --device cuda:0 trains on that GPU; --profile prints the time of each kernel of a training step.
using System.Globalization;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MixedPrecision;
using Samples;
using Spectre.Console;

string? device = CommandLine.TakeDevice(ref args);
var ml = new MLContext(seed: 1);
string data = Path.Combine(AppContext.BaseDirectory, "data", "digits.csv");
var digits = ml.Data.LoadFromTextFile<Digit>(data, separatorChar: ',');
var split = ml.Data.TrainTestSplit(digits, testFraction: 0.2);

Network network = Network.Image(height: 8, width: 8, channels: 1)
    .Conv2d(32, kernel: 3, padding: 1).BatchNorm().Relu()
    .Conv2d(64, kernel: 3, padding: 1).BatchNorm().Relu().MaxPool2d(2)
    .Flatten().Linear(128).Relu().Dropout(0.5f); // the head comes from the label column

var models = new Dictionary<Precision, (ITransformer Chain, MixedPrecisionTransformer Trained)>();
foreach (var precision in new[] { Precision.Mixed, Precision.Single })
{
    models[precision] = TrainingDisplay.Run($"{precision}", "accuracy", progress =>
    {
        var model = ml.Transforms.Conversion.MapValueToKey("Label")
            .Append(ml.MulticlassClassification.Trainers.MixedPrecision(new MixedPrecisionTrainer.Options
            {
                Network = network,
                Optimizer = new Adam(1e-3f),
                Schedule = Schedule.Cosine(), // to small steps at the end: the last epoch is then no worse than its neighbours
                Epochs = 30,
                BatchSize = 32,
                Precision = precision,
                Device = device,
                Profile = args.Contains("--profile"),
                Progress = progress,
            }))
            .Append(ml.Transforms.Conversion.MapKeyToValue("PredictedLabel"))
            .Fit(split.TrainSet);
        return (model, model.OfType<MixedPrecisionTransformer>().Single());
    });
}

var mixed = models[Precision.Mixed];
Console.WriteLine($"Device: {mixed.Trained.Report.Device} ({mixed.Trained.Report.DeviceReason})");
var table = new Table().AddColumns("precision", "test accuracy", "plan bytes", "updates", "skipped", "seconds");
foreach (var (precision, (chain, trained)) in models)
{
    var metrics = ml.MulticlassClassification.Evaluate(chain.Transform(split.TestSet));
    var report = trained.Report;
    table.AddRow($"{precision}", Text($"{metrics.MicroAccuracy:P2}"), Text($"{report.PlanBytes:N0}"), Text($"{report.AppliedUpdates:N0}"), Text($"{report.SkippedUpdates}"), Text($"{report.Duration.TotalSeconds:F1}"));
}
AnsiConsole.Write(table);

if (mixed.Trained.Report.Profile is { } profile) Console.WriteLine(profile); // where the time of a step goes

mixed.Trained.ExportToOnnx("digits.fp16.onnx");
mixed.Trained.ExportToOnnx("digits.fp32.onnx", OnnxPrecision.Single); // the faster one on a CPU
ml.Model.Save(mixed.Chain, split.TrainSet.Schema, "digits.zip");
Console.WriteLine(Text($"Wrote {Written("digits.fp16.onnx")}, {Written("digits.fp32.onnx")} and {Written("digits.zip")}."));

// Stock ML.NET from here on: the zip holds nothing of this library.
var loaded = new MLContext().Model.Load("digits.zip", out _);
var before = Scores(mixed.Chain);
var after = Scores(loaded);
float largest = before.Zip(after, (a, b) => a.Zip(b, (x, y) => MathF.Abs(x - y)).Max()).Max();
Console.WriteLine(Text($"Loaded back with stock ML.NET: {before.Count} test digits, largest difference of a score {largest:G3}."));

List<float[]> Scores(ITransformer model) => [.. ml.Data.CreateEnumerable<Scored>(model.Transform(split.TestSet), reuseRowObject: false).Select(s => s.Score)];

static string Written(string file) => Text($"{file} ({new FileInfo(file).Length:N0} bytes)");

static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

internal sealed class Digit
{
    [LoadColumn(0, 63), VectorType(64), ColumnName("Features")]
    public float[] Pixels { get; set; } = [];

    [LoadColumn(64)]
    public float Label { get; set; }
}

internal sealed class Scored
{
    public float[] Score { get; set; } = [];
}
