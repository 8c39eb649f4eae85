using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.MixedPrecision;

internal sealed unsafe partial class ChannelProduct
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        T* from = cpu.Pointer<T>(x), gates = cpu.Pointer<T>(gate), to = cpu.Pointer<T>(y);
        int pixels = Pixels, channels = Channels;
        return cpu.For(gate.Dimensions[0], grain: 1, Run);

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Run(long first, long end)
        {
            for (long n = first; n < end; n++)
            {
                for (int c = 0; c < channels; c += CpuVector.Width)
                {
                    int count = Math.Min(CpuVector.Width, channels - c);
                    var factor = TStorage.Load16(gates + n * channels + c);
                    long place = n * pixels * channels + c;
                    if (count == CpuVector.Width)
                        for (int p = 0; p < pixels; p++, place += channels) TStorage.Store16(TStorage.Load16(from + place) * factor, to + place);
                    else
                        for (int p = 0; p < pixels; p++, place += channels) CpuVector.Store<T, TStorage>(TStorage.Load16(from + place) * factor, to + place, count);
                }
            }
        }
    }
}

internal sealed unsafe partial class ChannelProductSum
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        T* gradient = cpu.Pointer<T>(dy), from = cpu.Pointer<T>(x), to = cpu.Pointer<T>(sums);
        int pixels = Pixels, channels = Channels;
        return cpu.For(sums.Dimensions[0], grain: 1, Run);

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Run(long first, long end)
        {
            for (long n = first; n < end; n++)
            {
                for (int c = 0; c < channels; c += CpuVector.Width)
                {
                    var sum = Vector512<float>.Zero;
                    long place = n * pixels * channels + c;
                    for (int p = 0; p < pixels; p++, place += channels) sum += TStorage.Load16(gradient + place) * TStorage.Load16(from + place);
                    CpuVector.Store<T, TStorage>(sum, to + n * channels + c, Math.Min(CpuVector.Width, channels - c));
                }
            }
        }
    }
}
