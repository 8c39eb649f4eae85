using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.MixedPrecision;

/// <summary>What a CPU kernel does with values as it stores them: a type parameter, so that it is compiled into the kernel's loop.</summary>
internal interface ICpuElement
{
    /// <summary>Whether a value stays as it is or becomes 0, by what its place says alone: applied to a mask, it gives a mask.</summary>
    static abstract bool KeepsOrDrops { get; }

    /// <param name="value">Sixteen neighbours.</param>
    /// <param name="place">Of the first in its tensor.</param>
    Vector512<float> Apply(Vector512<float> value, long place);

    /// <summary>Of which only the first <paramref name="count"/> mean anything.</summary>
    Vector512<float> Apply(Vector512<float> value, long place, int count);
}

/// <summary>What a GPU kernel does with some neighbours as it stores them.</summary>
internal interface IGpuMap
{
    /// <param name="place">Of the first in its tensor.</param>
    TVector Apply<TVector>(TVector values, int place) where TVector : unmanaged, IGpuVector<TVector>;
}

/// <summary>What a GPU kernel does with a value as it stores it.</summary>
internal interface IGpuElement : IGpuMap
{
    /// <summary>Whether values stay as they are: then they need not become floats on their way.</summary>
    static abstract bool KeepsValues { get; }

    /// <param name="place">Of the value in its tensor.</param>
    float Apply(float value, int place);
}

/// <summary>A CPU kernel that waits for the function it is to be bound with.</summary>
internal interface ICpuElementUser
{
    Action With<TElement>(TElement element) where TElement : unmanaged, ICpuElement;
}

/// <summary>A GPU kernel that waits for the function it is to be bound with.</summary>
internal interface IGpuElementUser
{
    Action With<TElement>(TElement element) where TElement : struct, IGpuElement;
}

/// <summary>Nothing follows: values are stored as they are.</summary>
internal readonly struct Unchanged : ICpuElement, IGpuElement
{
    public static bool KeepsValues => true;
    public static bool KeepsOrDrops => true;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public Vector512<float> Apply(Vector512<float> value, long place) => value;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public Vector512<float> Apply(Vector512<float> value, long place, int count) => value;
    public float Apply(float value, int place) => value;
    public TVector Apply<TVector>(TVector values, int place) where TVector : unmanaged, IGpuVector<TVector> => values;
}
