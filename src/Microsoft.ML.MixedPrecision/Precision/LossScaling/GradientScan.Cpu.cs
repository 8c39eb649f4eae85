using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.MixedPrecision;

internal sealed unsafe partial class GradientScan
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu) => gradients.Element == ElementType.Single
        ? Bind<float, CpuSingleStorage>(cpu)
        : Bind<T, TStorage>(cpu);

    private Action Bind<T, TStorage>(CpuBackend cpu) where T : unmanaged where TStorage : struct, ICpuStorage<T>
    {
        T* values = cpu.Pointer<T>(gradients);
        float* squares = cpu.Pointer<float>(SquareSums);
        int* bad = cpu.Pointer<int>(FirstBad);
        long length = gradients.Length; // a multiple of 128
        return cpu.For(Parts, grain: 4 * LongestPart / PartLength, Run);

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Run(long first, long end)
        {
            for (long part = first; part < end; part++)
            {
                long start = part * PartLength, stop = Math.Min(length, start + PartLength);
                squares[part] = TStorage.SquareSum(values + start, (int)(stop - start));
                // Squares of halves stay below 65504^2 * 16384, far inside FP32: in mixed precision the sum is finite unless an
                // element is not. In FP32 a sum can overflow by itself; only then, and then only, the elements are looked at.
                bad[part] = float.IsFinite(squares[part]) ? AllFinite : FirstNotFinite(start, stop);
            }
        }

        int FirstNotFinite(long start, long stop)
        {
            for (long i = start; i < stop; i++) if (!float.IsFinite(TStorage.Load(values[i]))) return (int)i;
            return AllFinite;
        }
    }
}
