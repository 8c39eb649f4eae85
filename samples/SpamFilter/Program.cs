// Tells spam from other mail: a network in mixed and in single precision beside FastTree, LightGBM and SDCA, on the same rows and features.
// With the argument "tune": compares networks on a part of the training rows; the test rows are not read.
using System.Diagnostics;
using System.Globalization;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MixedPrecision;
using Samples;
using Spectre.Console;

var ml = new MLContext(seed: 1);
var file = new MultiFileSource(Path.Combine(AppContext.BaseDirectory, "data", "spam.csv"));
var mails = ml.Data.CreateTextLoader<Mail>(separatorChar: ',', hasHeader: true, dataSample: file).Load(file); // the sample is where the names of the words come from
var labels = ml.Transforms.Conversion.MapValue("Label", [new("spam", true), new KeyValuePair<string, bool>("nonspam", false)], "Type");

// Shares of words are mostly 0 and rarely large: the logarithm spreads them. 0.1 is a tenth of a percent. Trees see the same order either way.
var features = ml.Transforms.Expression("Features", "x => log(x + 0.1)", "Words").Append(ml.Transforms.NormalizeMeanVariance("Features", fixZero: false));

var split = ml.Data.TrainTestSplit(labels.Fit(mails).Transform(mails), testFraction: 0.2);
if (args is ["tune"])
{
    Tune();
    return;
}

var featurizer = features.Fit(split.TrainSet);
var train = Warm(featurizer.Transform(split.TrainSet));
var test = Warm(featurizer.Transform(split.TestSet));
var table = new Table().AddColumns("trainer", "AUC", "accuracy", "F1", "training seconds");

using var mixed = Train("Network, mixed", () => Fit(train, Setting.Chosen, Precision.Mixed));
using var single = Train("Network, single", () => Fit(train, Setting.Chosen, Precision.Single));
Train("FastTree", () => ml.BinaryClassification.Trainers.FastTree().Fit(train));
Train("LightGBM", () => ml.BinaryClassification.Trainers.LightGbm().Fit(train));
Train("SDCA", () => ml.BinaryClassification.Trainers.SdcaLogisticRegression().Fit(train));
AnsiConsole.Write(table);
Console.WriteLine(Text($"{mixed.Report.Rows:N0} training rows on {mixed.Report.Device}, {mixed.Report.AppliedUpdates:N0} updates, {mixed.Report.SkippedUpdates} skipped; plan {mixed.Report.PlanBytes:N0} bytes, {single.Report.PlanBytes:N0} in single precision."));

// What the network looks at: how much AUC falls when one column is shuffled.
VBuffer<ReadOnlyMemory<char>> names = default;
mails.Schema["Words"].GetSlotNames(ref names);
var importance = ml.BinaryClassification.PermutationFeatureImportance(mixed, test, permutationCount: 3);
var counts = new Table().AddColumns("column", "change of AUC when shuffled");
foreach (var (change, name) in importance.Select(i => i.AreaUnderRocCurve).Zip(names.DenseValues()).OrderBy(f => f.First.Mean).Take(8))
    counts.AddRow(Markup.Escape($"{name}"), Text($"{change.Mean:+0.0000;-0.0000}"));
AnsiConsole.Write(counts);

ml.Model.Save(featurizer.Append(mixed), mails.Schema, "spam.zip");

// Stock ML.NET from here on: the zip holds nothing of this library.
var loaded = new MLContext().Model.Load("spam.zip", out _);
var before = Probabilities(mixed.Transform(test));
var after = Probabilities(loaded.Transform(split.TestSet));
Console.WriteLine(Text($"Wrote spam.zip ({new FileInfo("spam.zip").Length:N0} bytes). Loaded back with stock ML.NET: {after.Length} mails, largest difference of a probability {before.Zip(after, (a, b) => MathF.Abs(a - b)).Max():G3}."));

T Train<T>(string name, Func<T> fit) where T : ITransformer
{
    var clock = Stopwatch.StartNew();
    T model = fit();
    double seconds = clock.Elapsed.TotalSeconds;
    var metrics = ml.BinaryClassification.Evaluate(model.Transform(test));
    table.AddRow(name, Text($"{metrics.AreaUnderRocCurve:F4}"), Text($"{metrics.Accuracy:P2}"), Text($"{metrics.F1Score:F4}"), Text($"{seconds:F1}"));
    return model;
}

MixedPrecisionTransformer Fit(IDataView rows, Setting setting, Precision precision) => TrainingDisplay.Run($"{precision}", "accuracy", progress =>
    ml.BinaryClassification.Trainers.MixedPrecision(new MixedPrecisionTrainer.Options
    {
        Network = Network.Vector(57)
            .Linear(setting.Width, bias: false).BatchNorm().Relu().Dropout(setting.Dropout)
            .Linear(setting.Width / 2, bias: false).BatchNorm().Relu().Dropout(setting.Dropout), // the head comes from the label column
        Optimizer = new AdamW(setting.LearningRate),
        Epochs = setting.Epochs,
        Precision = precision,
        Progress = progress,
    }).Fit(rows));

void Tune()
{
    var parts = ml.Data.TrainTestSplit(split.TrainSet, testFraction: 0.25);
    var fitted = features.Fit(parts.TrainSet);
    var (rows, validation) = (Warm(fitted.Transform(parts.TrainSet)), Warm(fitted.Transform(parts.TestSet)));
    var results = new Table().AddColumns("width", "dropout", "epochs", "rate", "AUC", "accuracy", "log loss");
    foreach (var setting in Setting.Compared)
    {
        using var model = Fit(rows, setting, Precision.Mixed);
        var metrics = ml.BinaryClassification.Evaluate(model.Transform(validation));
        results.AddRow(Text($"{setting.Width}"), Text($"{setting.Dropout}"), Text($"{setting.Epochs}"), Text($"{setting.LearningRate}"), Text($"{metrics.AreaUnderRocCurve:F4}"), Text($"{metrics.Accuracy:P2}"), Text($"{metrics.LogLoss:F4}"));
    }
    AnsiConsole.Write(results);
}

// In memory before the clock starts, so that no trainer pays for reading the file.
IDataView Warm(IDataView rows)
{
    var cached = ml.Data.Cache(rows, "Features", "Label");
    using var cursor = cached.GetRowCursor(cached.Schema.Where(c => c.Name is "Features" or "Label"));
    while (cursor.MoveNext()) { }
    return cached;
}

static float[] Probabilities(IDataView rows) => [.. rows.GetColumn<float>("Probability")];

static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

internal sealed record Setting(int Width, float Dropout, int Epochs, float LearningRate)
{
    public static Setting Chosen { get; } = new(128, 0.5f, 30, 1e-3f);

    public static Setting[] Compared { get; } =
    [
        Chosen,
        Chosen with { Width = 64 },
        Chosen with { Width = 256 },
        Chosen with { Dropout = 0.1f },
        Chosen with { Dropout = 0.3f },
        Chosen with { Epochs = 15 },
        Chosen with { Epochs = 60 },
        Chosen with { LearningRate = 3e-3f },
    ];
}

internal sealed class Mail
{
    [LoadColumn(0, 56), VectorType(57)]
    public float[] Words { get; set; } = [];

    [LoadColumn(57)]
    public string Type { get; set; } = "";
}
