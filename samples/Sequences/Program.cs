// Handwritten digits read as sequences, eight rows of eight pixels from top to bottom: by an LSTM, by a transformer encoder and by a 1-D
// convolution. A time series is the same: as many positions as times, as many features as values measured at each.
// Arguments: --device cuda:0 trains on that GPU.
using System.Globalization;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MixedPrecision;
using Samples;
using Spectre.Console;

string? device = CommandLine.TakeDevice(ref args);
var ml = new MLContext(seed: 1);
var digits = ml.Data.LoadFromTextFile<Digit>(Path.Combine(AppContext.BaseDirectory, "data", "digits.csv"), separatorChar: ',');
var split = ml.Data.TrainTestSplit(digits, testFraction: 0.2);

var rows = Network.Sequence(length: 8, features: 8); // the feature column has them position after position
var networks = new (string Name, Network Network)[]
{
    ("LSTM", rows.Lstm(64).Lstm(64, returnSequence: false)), // the second one gives its last state, a vector
    ("both directions", rows.Lstm(40, bidirectional: true).Lstm(40, returnSequence: false, bidirectional: true)),
    ("transformer", Architectures.TransformerEncoder(rows.Linear(64).LayerNorm().PositionalEmbedding(), layers: 2, heads: 4, hidden: 128).GlobalAvgPool1d()),
    ("convolution", rows.Conv1d(64, kernel: 3, padding: 1).BatchNorm().Relu().Conv1d(64, kernel: 3, padding: 1).BatchNorm().Relu().Flatten()),
};

var table = new Table().AddColumns("network", "parameters", "test accuracy", "seconds");
foreach (var (name, network) in networks)
{
    var model = TrainingDisplay.Run(name, "accuracy", progress => ml.Transforms.Conversion.MapValueToKey("Label")
        .Append(ml.MulticlassClassification.Trainers.MixedPrecision(new MixedPrecisionTrainer.Options
        {
            Network = network,
            Optimizer = new AdamW(3e-3f),
            Schedule = Schedule.Cosine(),
            Epochs = 40,
            BatchSize = 32,
            GradientClipNorm = 1f, // an LSTM's gradients may burst
            Device = device,
            Progress = progress,
        }))
        .Fit(split.TrainSet));
    var trained = model.LastTransformer;
    double accuracy = ml.MulticlassClassification.Evaluate(model.Transform(split.TestSet)).MicroAccuracy;
    table.AddRow(name, Text($"{trained.Network.ParameterCount:N0}"), Text($"{accuracy:P2}"), Text($"{trained.Report.Duration.TotalSeconds:F1}"));
}
AnsiConsole.Write(table);

static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

internal sealed class Digit
{
    [LoadColumn(0, 63), VectorType(64), ColumnName("Features")]
    public float[] Pixels { get; set; } = [];

    [LoadColumn(64)]
    public float Label { get; set; }
}
