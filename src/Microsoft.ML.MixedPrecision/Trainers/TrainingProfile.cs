namespace Microsoft.ML.MixedPrecision;

/// <summary>One kernel of a training step, as it was timed.</summary>
/// <param name="Layer">The layer it belongs to; empty for what belongs to none, such as the loss and the update.</param>
/// <param name="Kernel">What it computes: "Conv2d.Forward".</param>
/// <param name="Microseconds">The median over the batches that were timed.</param>
/// <param name="Share">Of the whole step, 0 to 1.</param>
/// <param name="Bytes">Of every tensor that it reads or writes, each counted once: what it must move at least.</param>
/// <param name="FloatingPointOperations">2 m n k of a matrix product; 0 for other kernels, whose limit is memory.</param>
public sealed record KernelProfile(string Layer, string Kernel, double Microseconds, double Share, long Bytes, long FloatingPointOperations)
{
    /// <summary>Bytes moved in a second, in 10^9; beyond what the memory can do where the caches hold the tensors.</summary>
    public double GigabytesPerSecond => Rate(Bytes);

    /// <summary>Floating-point operations in a second, in 10^9; 0 where they are not counted.</summary>
    public double GigaflopsPerSecond => Rate(FloatingPointOperations);

    private double Rate(long work) => Microseconds > 0 ? work / Microseconds / 1e3 : 0;
}

/// <summary>Where the time of a training step goes: see <see cref="MixedPrecisionTrainer.Options.Profile"/>.</summary>
public sealed record TrainingProfile
{
    internal TrainingProfile() { }

    /// <summary>Every kernel of one batch, forward and backward, then those of one update, in the order in which they run.</summary>
    public required IReadOnlyList<KernelProfile> Kernels { get; init; }

    /// <summary>All kernels together.</summary>
    public required double Microseconds { get; init; }

    /// <summary>Rows of a batch.</summary>
    public required int BatchSize { get; init; }

    /// <summary>Batches that were timed.</summary>
    public required int Batches { get; init; }

    /// <summary>The device, in words.</summary>
    public required string Device { get; init; }

    /// <summary>The table that the log has: kernels by op, the op with the most time first.</summary>
    public override string ToString() => ProfilePrinter.Print(this);
}
