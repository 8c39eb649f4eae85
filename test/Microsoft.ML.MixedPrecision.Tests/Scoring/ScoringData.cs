using Microsoft.ML.Data;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>Rows whose labels are linear functions of the features, and the networks that compute exactly these.</summary>
internal sealed class ScoringData
{
    public const int Features = 4, Classes = 3;

    public static readonly float[] Weights = LinearModel.Exact(Features * Classes, 11), Bias = LinearModel.Exact(Classes, 12);

    private static readonly string[] Names = ["setosa", "versicolor", "virginica"];

    public ScoringData(MLContext ml, int rows, int seed = 5)
    {
        Rows = LinearModel.Exact(rows * Features, seed);
        Logits = LinearModel.Expected(Rows, Weights, Bias);
        View = ml.Data.LoadFromEnumerable(Enumerable.Range(0, rows).Select(r =>
        {
            float[] logits = Logits[(r * Classes)..((r + 1) * Classes)];
            int best = Array.IndexOf(logits, logits.Max());
            return new Row { Id = r, Pixels = Rows[(r * Features)..((r + 1) * Features)], Name = Names[best], Code = best * 10, Size = best + 0.5f, IsFirst = logits[0] > 0, Value = logits[0], Values = logits };
        }));
    }

    public float[] Rows { get; }

    /// <summary>Rows * Weights + Bias.</summary>
    public float[] Logits { get; }

    public IDataView View { get; }

    public static OnnxModel ClassModel(OnnxPrecision precision = OnnxPrecision.Single) => LinearModel.Build(precision, Weights, Bias);

    /// <summary>The first of the three logits.</summary>
    public static OnnxModel FirstLogit(OnnxPrecision precision = OnnxPrecision.Single) =>
        LinearModel.Build(precision, [.. Enumerable.Range(0, Features).Select(f => Weights[f * Classes])], [Bias[0]]);

    public sealed class Row
    {
        public int Id { get; set; }

        [VectorType(Features)]
        public float[] Pixels { get; set; } = [];

        public string Name { get; set; } = "";
        public int Code { get; set; }
        public float Size { get; set; }
        public bool IsFirst { get; set; }
        public float Value { get; set; }

        [VectorType(Classes)]
        public float[] Values { get; set; } = [];
    }
}
