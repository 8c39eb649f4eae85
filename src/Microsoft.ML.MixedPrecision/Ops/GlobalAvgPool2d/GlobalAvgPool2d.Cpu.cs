using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.MixedPrecision;

internal sealed unsafe partial class GlobalAvgPool2dForward
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        T* from = cpu.Pointer<T>(x), to = cpu.Pointer<T>(y);
        int pixels = Pixels, channels = y.Dimensions[1];
        return cpu.For(y.Dimensions[0], grain: 1, Run);

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Run(long first, long end)
        {
            for (long n = first; n < end; n++)
            {
                for (int c = 0; c < channels; c += CpuVector.Width)
                {
                    var sum = Vector512<float>.Zero;
                    T* pixel = from + n * pixels * channels + c;
                    for (int p = 0; p < pixels; p++, pixel += channels) sum += TStorage.Load16(pixel);
                    CpuVector.Store<T, TStorage>(sum / pixels, to + n * channels + c, Math.Min(CpuVector.Width, channels - c));
                }
            }
        }
    }
}

internal sealed unsafe partial class GlobalAvgPool2dBackward
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        T* from = cpu.Pointer<T>(dy), to = cpu.Pointer<T>(dx);
        int pixels = Pixels, channels = dy.Dimensions[1];
        return cpu.For(dy.Dimensions[0], grain: 1, (first, end) =>
        {
            for (long n = first; n < end; n++)
            {
                T* image = to + n * pixels * channels;
                for (int c = 0; c < channels; c++) image[c] = TStorage.Store(TStorage.Load(from[n * channels + c]) / pixels);
                var pixel = new ReadOnlySpan<T>(image, channels);
                for (int p = 1; p < pixels; p++) pixel.CopyTo(new Span<T>(image + (long)p * channels, channels));
            }
        });
    }
}
