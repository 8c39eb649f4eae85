using System.Reflection;
using Microsoft.ML.Data;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>Small data sets whose answers a small network can learn: points, and what a fixed rule says of them.</summary>
internal static class TrainerData
{
    public const int Features = 4, Classes = 3;

    private static readonly string[] Names = ["ash", "birch", "cedar"];

    public static Network Network { get; } = Network.Vector(Features).Linear(16).Relu();

    public static IEnumerable<Row> Rows(int count, int seed = 3)
    {
        var random = new Random(seed);
        for (int i = 0; i < count; i++)
        {
            float[] x = [.. Enumerable.Range(0, Features).Select(_ => 2f * random.NextSingle() - 1f)];
            float[] scores = [x[0] + x[1], x[1] - x[2], x[3] - x[0]];
            int best = Array.IndexOf(scores, scores.Max());
            yield return new Row { Features = x, Name = Names[best], Code = best, IsBirch = best == 1, Value = scores[0], Values = [scores[0], scores[1]], Weight = 1f + i % 2 };
        }
    }

    public static IDataView View(MLContext ml, int count, int seed = 3) => ml.Data.LoadFromEnumerable(Rows(count, seed));

    /// <summary>With a key column "Label" made of the names.</summary>
    public static IDataView Keyed(MLContext ml, int count, int seed = 3) => Keyed(ml, Rows(count, seed));

    public static IDataView Keyed(MLContext ml, IEnumerable<Row> rows)
    {
        var data = ml.Data.LoadFromEnumerable(rows);
        return ml.Transforms.Conversion.MapValueToKey("Label", nameof(Row.Name), keyOrdinality: Microsoft.ML.Transforms.ValueToKeyMappingEstimator.KeyOrdinality.ByValue).Fit(data).Transform(data);
    }

    public static MixedPrecisionTrainer.Options Options(Action<MixedPrecisionTrainer.Options>? change = null)
    {
        var options = new MixedPrecisionTrainer.Options
        {
            Network = Network,
            Optimizer = new Sgd(0.1f, 0.9f),
            Epochs = 4,
            BatchSize = 16,
            Seed = 7,
        };
        change?.Invoke(options);
        return options;
    }

    /// <summary>What pipelines check before anything is trained; ML.NET makes it of data in an internal method only.</summary>
    public static SchemaShape Shape(IDataView data) => (SchemaShape)typeof(SchemaShape).GetMethod("Create", BindingFlags.Static | BindingFlags.NonPublic)!.Invoke(null, [data.Schema])!;

    public static byte[] Onnx(MixedPrecisionTransformer model, OnnxPrecision precision = OnnxPrecision.Half)
    {
        using var stream = new MemoryStream();
        model.ExportToOnnx(stream, precision);
        return stream.ToArray();
    }

    public sealed class Row
    {
        [VectorType(TrainerData.Features)]
        public float[] Features { get; set; } = [];

        public string Name { get; set; } = "";
        public int Code { get; set; }
        public bool IsBirch { get; set; }
        public float Value { get; set; }

        [VectorType(2)]
        public float[] Values { get; set; } = [];

        public float Weight { get; set; }
    }
}
