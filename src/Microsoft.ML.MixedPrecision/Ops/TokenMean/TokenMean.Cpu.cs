using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.MixedPrecision;

internal sealed unsafe partial class TokenMeanForward
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        T* from = cpu.Pointer<T>(x), to = cpu.Pointer<T>(y);
        float* token = cpu.Pointer<float>(tokens), share = cpu.Pointer<float>(shares);
        int length = Length, features = Features;
        return cpu.For(y.Dimensions[0], grain: 1, Run);

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Run(long first, long end)
        {
            for (long n = first; n < end; n++)
            {
                var mask = new ReadOnlySpan<float>(token + n * length, length);
                int count = length - mask.Count(0f);
                share[n] = count > 0 ? 1f / count : 0f;
                for (int c = 0; c < features; c += CpuVector.Width)
                {
                    var sum = Vector512<float>.Zero;
                    T* position = from + n * length * features + c;
                    for (int l = 0; l < length; l++, position += features)
                        if (mask[l] != 0f) sum += TStorage.Load16(position);
                    CpuVector.Store<T, TStorage>(sum * share[n], to + n * features + c, Math.Min(CpuVector.Width, features - c));
                }
            }
        }
    }
}

internal sealed unsafe partial class TokenMeanBackward
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        T* from = cpu.Pointer<T>(dy), to = cpu.Pointer<T>(dx);
        float* token = cpu.Pointer<float>(tokens), share = cpu.Pointer<float>(shares);
        int length = Length, features = Features;
        return cpu.For(dy.Dimensions[0], grain: 1, (first, end) =>
        {
            for (long n = first; n < end; n++)
            {
                // Scaled into the first position that has a token, and copied from there.
                Span<T> source = default;
                for (int l = 0; l < length; l++)
                {
                    var position = new Span<T>(to + (n * length + l) * features, features);
                    if (token[n * length + l] == 0f)
                    {
                        position.Clear();
                    }
                    else if (source.IsEmpty)
                    {
                        source = position;
                        for (int c = 0; c < features; c++) source[c] = TStorage.Store(TStorage.Load(from[n * features + c]) * share[n]);
                    }
                    else
                    {
                        source.CopyTo(position);
                    }
                }
            }
        });
    }
}
