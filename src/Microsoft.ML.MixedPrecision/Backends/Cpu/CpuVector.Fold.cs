using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Microsoft.ML.MixedPrecision;

internal static unsafe partial class CpuVector
{
    /// <summary>Vectors whose lanes <see cref="Fold{TFold}(float*)"/> joins at once.</summary>
    public const int FoldWidth = 8;

    /// <summary>Joins the two halves of a vector, to be folded further with seven others.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Halve<TFold>(Vector512<float> values, float* to) where TFold : struct, IFold => TFold.Of(values.GetLower(), values.GetUpper()).Store(to);

    /// <summary>
    /// Eight vectors of eight lanes, each to one number: lane i has ((v0 v2)(v1 v3))((v4 v6)(v5 v7)) of the ith. Three instructions a
    /// vector; one at a time takes twenty, each waiting for the one before.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<float> Fold<TFold>(float* vectors) where TFold : struct, IFold
    {
        if (Avx.IsSupported)
        {
            var first = Four<TFold>(vectors);
            var second = Four<TFold>(vectors + 4 * FoldWidth);
            return TFold.Of(Avx.Permute2x128(first, second, 0x20), Avx.Permute2x128(first, second, 0x31));
        }
        var folded = Vector256<float>.Zero;
        for (int i = 0; i < FoldWidth; i++)
        {
            var v = Vector256.Load(vectors + i * FoldWidth);
            v = TFold.Of(v, Vector256.Shuffle(v, Vector256.Create(2, 3, 0, 1, 6, 7, 4, 5)));
            v = TFold.Of(v, Vector256.Shuffle(v, Vector256.Create(1, 0, 3, 2, 5, 4, 7, 6)));
            v = TFold.Of(v, Vector256.Shuffle(v, Vector256.Create(4, 5, 6, 7, 0, 1, 2, 3)));
            folded = folded.WithElement(i, v[0]);
        }
        return folded;
    }

    /// <summary>The lower and the upper four lanes of four vectors, each to one number.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Four<TFold>(float* vectors) where TFold : struct, IFold
    {
        Vector256<double> a = Two<TFold>(vectors).AsDouble(), b = Two<TFold>(vectors + 2 * FoldWidth).AsDouble();
        return TFold.Of(Avx.UnpackLow(a, b).AsSingle(), Avx.UnpackHigh(a, b).AsSingle());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Two<TFold>(float* vectors) where TFold : struct, IFold
    {
        Vector256<float> a = Vector256.Load(vectors), b = Vector256.Load(vectors + FoldWidth);
        return TFold.Of(Avx.UnpackLow(a, b), Avx.UnpackHigh(a, b));
    }

    /// <summary>What joins two numbers; the same with its operands exchanged.</summary>
    internal interface IFold
    {
        static abstract Vector256<float> Of(Vector256<float> x, Vector256<float> y);
    }

    internal readonly struct Total : IFold
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector256<float> Of(Vector256<float> x, Vector256<float> y) => x + y;
    }

    /// <summary>May lose a NaN: for numbers that are looked at again.</summary>
    internal readonly struct Largest : IFold
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector256<float> Of(Vector256<float> x, Vector256<float> y) => Vector256.MaxNative(x, y);
    }
}
