namespace Microsoft.ML.MixedPrecision;

/// <summary>A device did not give the memory that was asked of it. <see cref="Preflight"/> makes the user's message of it.</summary>
internal sealed class DeviceMemoryException(string device, long asked, long free, Exception? cause)
    : Exception(FormattableString.Invariant($"{device}: expected {asked:N0} bytes of memory, but {free:N0} are free{(cause is null ? "" : $" ({cause.Message.TrimEnd('.')})")}."), cause)
{
    public long Asked { get; } = asked;

    public long Free { get; } = free;
}
