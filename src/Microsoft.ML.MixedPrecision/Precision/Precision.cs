namespace Microsoft.ML.MixedPrecision;

/// <summary>In which format a network is trained.</summary>
public enum Precision
{
    /// <summary>
    /// Weights, activations and gradients are stored in IEEE half precision; sums, statistics and the master copy of the
    /// weights are FP32; the loss is scaled. The recipe of <em>Mixed Precision Training</em> (ICLR 2018).
    /// </summary>
    Mixed,

    /// <summary>The same plan with everything stored in FP32: the baseline of every claim.</summary>
    Single,
}
