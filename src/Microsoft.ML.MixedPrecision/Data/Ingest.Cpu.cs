using System.Runtime.CompilerServices;

namespace Microsoft.ML.MixedPrecision;

internal sealed unsafe partial class Ingest
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        float* from = cpu.Pointer<float>(features);
        T* to = cpu.Pointer<T>(input);
        if (InOrder) return cpu.For(input.Length, CpuBackend.ElementGrain, (start, end) => TStorage.Store(from + start, to + start, (int)(end - start)));

        int pixels = shape.Height * shape.Width, channels = shape.Channels;
        return cpu.For(input.Dimensions[0], grain: 1, (first, end) =>
        {
            for (long image = first; image < end; image++) Interleave<T, TStorage>(from + image * pixels * channels, to + image * pixels * channels, pixels, channels);
        });
    }

    /// <summary>Planes of pixels to pixels of channels. What is rounded is rounded first: by itself an element would take 2.4 ns.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization), SkipLocalsInit]
    private static void Interleave<T, TStorage>(float* planes, T* to, int pixels, int channels) where T : unmanaged where TStorage : struct, ICpuStorage<T>
    {
        const int most = 512;
        T* part = stackalloc T[most];
        for (int start = 0; start < pixels; start += most)
        {
            int count = Math.Min(most, pixels - start);
            for (int c = 0; c < channels; c++)
            {
                TStorage.Store(planes + (long)c * pixels + start, part, count);
                T* target = to + (long)start * channels + c;
                for (int p = 0; p < count; p++, target += channels) *target = part[p];
            }
        }
    }
}
