// Prices diamonds: a network in mixed and in single precision beside FastTree, LightGBM and SDCA, on the same rows, features and target.
// With the argument "tune": compares networks on a part of the training rows; the test rows are not read.
using System.Diagnostics;
using System.Globalization;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MixedPrecision;
using Samples;
using Spectre.Console;

var ml = new MLContext(seed: 1);
var diamonds = ml.Data.LoadFromTextFile<Diamond>(Path.Combine(AppContext.BaseDirectory, "data", "diamonds.csv"), separatorChar: ',', hasHeader: true);

// Prices run from 326 to 18,823 dollars, and an error counts relative to the price. All trainers learn the logarithm; 2,400, about the
// median, brings it to a magnitude around 1, where halves are finest.
var labels = ml.Transforms.Expression("Label", "p => log(p / 2400)", "Price");
var dollars = ml.Transforms.Expression("Dollars", "s => 2400 * exp(s)", "Score");

// 0 mm means "not measured": those become the mean. A few sizes are slips (58.9 mm, 31.8 mm): a network extrapolates and exp magnifies that, so
// five standard deviations are the limit.
string[] grades = ["Cut", "Color", "Clarity"], sizes = ["X", "Y", "Z"];
var features = ml.Transforms.Expression("LogCarat", "c => log(c)", "Carat")
    .Append(ml.Transforms.Concatenate("Sizes", sizes))
    .Append(ml.Transforms.Expression("Sizes", "s => s > 0 ? s : na(s)", "Sizes"))
    .Append(ml.Transforms.ReplaceMissingValues("Sizes", replacementMode: Microsoft.ML.Transforms.MissingValueReplacingEstimator.ReplacementMode.Mean))
    .Append(ml.Transforms.Concatenate("Numbers", ["LogCarat", "Depth", "Table", "Sizes"]))
    .Append(ml.Transforms.NormalizeMeanVariance("Numbers", fixZero: false))
    .Append(ml.Transforms.Expression("Numbers", "v => min(max(v, -5f), 5f)", "Numbers"))
    // Grades as tokens, for a network that looks their vectors up, and one-hot, for all others.
    .Append(ml.Transforms.Concatenate("Tokens", grades))
    .Append(ml.Transforms.Conversion.MapValueToKey("Tokens"))
    .Append(ml.Transforms.Categorical.OneHotEncoding([.. grades.Select(g => new InputOutputColumnPair(g))]))
    .Append(ml.Transforms.Concatenate("Features", ["Numbers", .. grades]));

var split = ml.Data.TrainTestSplit(labels.Fit(diamonds).Transform(diamonds), testFraction: 0.2);
if (args is ["tune"])
{
    Tune();
    return;
}

var featurizer = features.Fit(split.TrainSet);
var train = Warm(featurizer.Transform(split.TrainSet));
var test = Warm(featurizer.Transform(split.TestSet));
var table = new Table().AddColumns("trainer", "R2", "RMSE, dollars", "MAE, dollars", "training seconds");

using var mixed = Train("Network, mixed", () => Fit(train, Setting.Chosen, Precision.Mixed));
using var single = Train("Network, single", () => Fit(train, Setting.Chosen, Precision.Single));
using var embedding = Train("With embeddings", () => Fit(train, Setting.Chosen with { Embedding = 2 }, Precision.Mixed));
Train("FastTree", () => ml.Regression.Trainers.FastTree().Fit(train));
Train("LightGBM", () => ml.Regression.Trainers.LightGbm().Fit(train));
Train("SDCA", () => ml.Regression.Trainers.Sdca().Fit(train));
AnsiConsole.Write(table);
Console.WriteLine(Text($"{mixed.Report.Rows:N0} training rows on {mixed.Report.Device}, {mixed.Report.AppliedUpdates:N0} updates, {mixed.Report.SkippedUpdates} skipped; plan {mixed.Report.PlanBytes:N0} bytes, {single.Report.PlanBytes:N0} in single precision."));

var scored = mixed.Transform(test);
ml.Model.Save(featurizer.Append<ITransformer>(mixed).Append(dollars.Fit(scored)), diamonds.Schema, "diamonds.zip");

// Stock ML.NET from here on: the zip holds nothing of this library, and gives dollars.
var stock = new MLContext();
var loaded = stock.Model.Load("diamonds.zip", out _);
float[] before = Dollars(dollars.Fit(scored).Transform(scored)), after = Dollars(loaded.Transform(split.TestSet));
Console.WriteLine(Text($"Wrote diamonds.zip ({new FileInfo("diamonds.zip").Length:N0} bytes). Loaded back with stock ML.NET: {after.Length:N0} diamonds, largest difference of a price {before.Zip(after, (a, b) => MathF.Abs(a - b)).Max():G3} dollars."));
var one = ml.Data.CreateEnumerable<Diamond>(split.TestSet, reuseRowObject: false).First();
var engine = stock.Model.CreatePredictionEngine<Diamond, Priced>(loaded);
Console.WriteLine(Text($"{one.Carat} carat, {one.Cut}, {one.Color}, {one.Clarity}: predicted {engine.Predict(one).Dollars:N0} dollars, paid {one.Price:N0}."));

T Train<T>(string name, Func<T> fit) where T : ITransformer
{
    var clock = Stopwatch.StartNew();
    T model = fit();
    double seconds = clock.Elapsed.TotalSeconds;
    var metrics = Evaluate(model, test);
    table.AddRow(name, Text($"{metrics.RSquared:F4}"), Text($"{metrics.RootMeanSquaredError:F1}"), Text($"{metrics.MeanAbsoluteError:F1}"), Text($"{seconds:F1}"));
    return model;
}

RegressionMetrics Evaluate(ITransformer model, IDataView rows)
{
    var scores = model.Transform(rows);
    return ml.Regression.Evaluate(dollars.Fit(scores).Transform(scores), labelColumnName: "Price", scoreColumnName: "Dollars");
}

MixedPrecisionTransformer Fit(IDataView rows, Setting setting, Precision precision, int seed = 1) => TrainingDisplay.Run($"{precision}", "mean absolute error", progress =>
    ml.Regression.Trainers.MixedPrecision(new MixedPrecisionTrainer.Options
    {
        Network = Describe(((VectorDataViewType)rows.Schema["Features"].Type).Size, setting),
        FeatureColumnName = setting.Embedding == 0 ? "Features" : "Numbers", // and "Tokens"
        Loss = setting.HuberDelta > 0f ? new Huber(setting.HuberDelta) : null, // null: the mean squared error
        Optimizer = new AdamW(setting.LearningRate),
        Schedule = Schedule.Cosine(),
        Epochs = setting.Epochs,
        BatchSize = setting.BatchSize,
        Precision = precision,
        Seed = seed,
        Progress = progress,
    }).Fit(rows));

static Network Describe(int size, Setting setting)
{
    var columns = Network.Table(numbers: 6, length: 3, vocabulary: 21); // 20 names of grades, and none
    var network = setting.Embedding == 0 ? Network.Vector(size) : Network.Concat(columns.Numbers, columns.Tokens.Embedding(setting.Embedding).Flatten());
    for (int layer = 0; layer < setting.Layers; layer++) network = network.Linear(setting.Width, bias: false).BatchNorm().Relu();
    return network; // the head comes from the label column
}

void Tune()
{
    var parts = ml.Data.TrainTestSplit(split.TrainSet, testFraction: 0.25);
    var fitted = features.Fit(parts.TrainSet);
    var (rows, validation) = (Warm(fitted.Transform(parts.TrainSet)), Warm(fitted.Transform(parts.TestSet)));
    var results = new Table().AddColumns("layers", "width", "batch", "rate", "epochs", "Huber", "vectors", "RMSE", "MAE");
    foreach (var setting in Setting.Compared)
    {
        RegressionMetrics[] metrics = [.. Enumerable.Range(1, 3).Select(seed =>
        {
            using var model = Fit(rows, setting, Precision.Mixed, seed);
            return Evaluate(model, validation);
        })];
        string Three(Func<RegressionMetrics, double> metric) => string.Join(" ", metrics.Select(m => Text($"{metric(m):F0}")));
        results.AddRow(Text($"{setting.Layers}"), Text($"{setting.Width}"), Text($"{setting.BatchSize}"), Text($"{setting.LearningRate}"), Text($"{setting.Epochs}"), setting.HuberDelta > 0f ? Text($"{setting.HuberDelta}") : "-",
            setting.Embedding > 0 ? Text($"{setting.Embedding}") : "-", Three(m => m.RootMeanSquaredError), Three(m => m.MeanAbsoluteError));
    }
    AnsiConsole.Profile.Width = 100; // of a file too
    AnsiConsole.Write(results);
}

// In memory before the clock starts, so that no trainer pays for reading the file.
IDataView Warm(IDataView rows)
{
    var cached = ml.Data.Cache(rows, "Features", "Numbers", "Tokens", "Label", "Price");
    using var cursor = cached.GetRowCursor(cached.Schema);
    while (cursor.MoveNext()) { }
    return cached;
}

static float[] Dollars(IDataView rows) => [.. rows.GetColumn<float>("Dollars")];

static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

/// <param name="HuberDelta">Where the loss turns from a square to a line, in logarithms of a price; 0 for a square everywhere.</param>
/// <param name="Embedding">Elements of a grade's vector; 0 for one-hot grades.</param>
internal sealed record Setting(int Layers, int Width, int BatchSize, float LearningRate, int Epochs, float HuberDelta, int Embedding)
{
    public static Setting Chosen { get; } = new(Layers: 3, Width: 128, BatchSize: 256, LearningRate: 3e-3f, Epochs: 40, HuberDelta: 0.1f, Embedding: 0);

    public static Setting[] Compared { get; } =
    [
        Chosen,
        Chosen with { Layers = 2 },
        Chosen with { Layers = 4 },
        Chosen with { Width = 64 },
        Chosen with { Width = 256 },
        Chosen with { BatchSize = 512 },
        Chosen with { LearningRate = 1e-3f },
        Chosen with { LearningRate = 1e-2f },
        Chosen with { Epochs = 20 },
        Chosen with { HuberDelta = 0.2f },
        Chosen with { HuberDelta = 0f },
        Chosen with { Embedding = 2 },
        Chosen with { Embedding = 4 },
    ];
}

internal sealed class Diamond
{
    [LoadColumn(0)] public float Carat { get; set; }
    [LoadColumn(1)] public string Cut { get; set; } = "";
    [LoadColumn(2)] public string Color { get; set; } = "";
    [LoadColumn(3)] public string Clarity { get; set; } = "";
    [LoadColumn(4)] public float Depth { get; set; }
    [LoadColumn(5)] public float Table { get; set; }
    [LoadColumn(6)] public float Price { get; set; }
    [LoadColumn(7)] public float X { get; set; }
    [LoadColumn(8)] public float Y { get; set; }
    [LoadColumn(9)] public float Z { get; set; }
}

internal sealed class Priced
{
    public float Dollars { get; set; }
}
