using System.Numerics;
using ILGPU.Util;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// Division by a number known at bind time, as one product and one shift: a GPU's own integer division takes some twenty
/// instructions. Exact for 0 &lt;= n &lt; 2^31: with L = ceil(log2 d) and magic = ceil(2^(31+L) / d) = (2^(31+L) + e) / d, e &lt; d &lt;= 2^L,
/// the quotient is too large by n e / (d 2^(31+L)) &lt; 1 / d, which never reaches the next integer.
/// </summary>
internal readonly record struct Divisor
{
    private readonly uint _magic;
    private readonly int _shift;

    public Divisor(int value)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(value);
        Value = value;
        _shift = 31 + 32 - BitOperations.LeadingZeroCount((uint)value - 1);
        _magic = (uint)(((1ul << _shift) + (uint)value - 1) / (uint)value);
    }

    private Divisor(int value, uint magic, int shift) => (Value, _magic, _shift) = (value, magic, shift);

    /// <summary>What is divided by.</summary>
    public int Value { get; }

    public int Divide(int n) => Quotient(n, this);

    /// <summary><see cref="Divide"/> for kernels that have the divisor a few calls deep.</summary>
    public static int Quotient(int n, Divisor divisor) => (int)((ulong)(uint)n * divisor._magic >> divisor._shift);

    /// <summary>One of two, without a branch.</summary>
    public static Divisor Select(bool takeFirst, Divisor first, Divisor second) => new(
        Utilities.Select(takeFirst, first.Value, second.Value), Utilities.Select(takeFirst, first._magic, second._magic), Utilities.Select(takeFirst, first._shift, second._shift));
}
