namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>The smallest network there is, built by hand: x * W + b.</summary>
internal static class LinearModel
{
    /// <param name="precision">Of weights and arithmetic.</param>
    /// <param name="weights">[features, columns]</param>
    /// <param name="bias">[columns]</param>
    /// <param name="metadata">What the file says about itself.</param>
    public static OnnxModel Build(OnnxPrecision precision, float[] weights, float[] bias, OnnxMetadata? metadata = null)
    {
        OnnxGraph graph = Graph(precision, weights, bias, out string output);
        return graph.Build(output, bias.Length, metadata ?? new OnnxMetadata());
    }

    public static OnnxGraph Graph(OnnxPrecision precision, float[] weights, float[] bias, out string output)
    {
        int columns = bias.Length, features = weights.Length / columns;
        var graph = new OnnxGraph(precision, features);
        string product = graph.Node("MatMul", "linear.product", [graph.Input, graph.Weights("linear.weight", weights, features, columns)]);
        output = graph.Node("Add", "linear", [product, graph.Weights("linear.bias", bias, columns)]);
        return graph;
    }

    /// <summary>Weights that half precision holds exactly: multiples of 1/64 in [-1, 1].</summary>
    public static float[] Exact(int count, int seed)
    {
        var random = new Random(seed);
        var values = new float[count];
        for (int i = 0; i < count; i++) values[i] = random.Next(-64, 65) / 64f;
        return values;
    }

    /// <summary>x * W + b in FP64.</summary>
    public static float[] Expected(float[] rows, float[] weights, float[] bias)
    {
        int columns = bias.Length, features = weights.Length / columns, count = rows.Length / features;
        var output = new float[count * columns];
        for (int r = 0; r < count; r++)
        {
            for (int c = 0; c < columns; c++)
            {
                double sum = bias[c];
                for (int f = 0; f < features; f++) sum += (double)rows[r * features + f] * weights[f * columns + c];
                output[r * columns + c] = (float)sum;
            }
        }
        return output;
    }
}
