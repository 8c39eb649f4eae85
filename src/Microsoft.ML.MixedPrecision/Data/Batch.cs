namespace Microsoft.ML.MixedPrecision;

/// <summary>A batch on the host, in buffers that are used again. Rows from <see cref="RowCount"/> on are zeros and weigh nothing.</summary>
internal sealed class Batch
{
    /// <param name="rows">Rows of the plan's batch.</param>
    /// <param name="features">Elements of a feature vector.</param>
    /// <param name="labelValues">FP32 values of each label; 0 for class numbers.</param>
    public Batch(int rows, int features, int labelValues)
    {
        Features = new float[rows * features];
        Classes = labelValues == 0 ? new int[rows] : [];
        Values = new float[rows * labelValues];
        Weights = new float[rows];
    }

    /// <summary>Rows that hold data. A field, so that it can be uploaded in place.</summary>
    public int RowCount;

    /// <summary>[rows, features].</summary>
    public float[] Features { get; }

    /// <summary>[rows] class numbers from 0; empty where the label has values.</summary>
    public int[] Classes { get; }

    /// <summary>[rows, values of a label]; empty where the label is a class.</summary>
    public float[] Values { get; }

    /// <summary>[rows] example weights.</summary>
    public float[] Weights { get; }
}
