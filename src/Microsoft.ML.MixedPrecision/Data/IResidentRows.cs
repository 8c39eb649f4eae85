namespace Microsoft.ML.MixedPrecision;

/// <summary>Rows that lie on the device, from which batches are gathered there: the host sends an order once an epoch, and no data.</summary>
internal interface IResidentRows
{
    /// <summary>Begins a pass; the batches follow in this order.</summary>
    /// <param name="order">A permutation of the rows.</param>
    void Begin(ReadOnlySpan<int> order);

    /// <summary>Puts the next batch where an uploaded one would lie, with the same bits; the last one of a pass may be short.</summary>
    IReadOnlyList<Work> Gather { get; }
}
