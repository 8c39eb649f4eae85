namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>The simplest FP64 form of what several tests need.</summary>
internal static partial class References
{
    /// <summary>x[n, i] w[i, o] + b[o].</summary>
    public static double[] Linear(double[] x, int batch, double[] w, double[] b)
    {
        int inputs = x.Length / batch, outputs = b.Length;
        var y = new double[batch * outputs];
        for (int n = 0; n < batch; n++)
        {
            for (int o = 0; o < outputs; o++)
            {
                double sum = b[o];
                for (int i = 0; i < inputs; i++) sum += x[n * inputs + i] * w[i * outputs + o];
                y[n * outputs + o] = sum;
            }
        }
        return y;
    }
}
