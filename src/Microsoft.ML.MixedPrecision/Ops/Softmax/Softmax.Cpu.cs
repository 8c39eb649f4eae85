using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.MixedPrecision;

// The last vector of a row reads, and writes, into the next row, which is written after it.

internal sealed unsafe partial class SoftmaxForward
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        T* from = cpu.Pointer<T>(x), to = cpu.Pointer<T>(y);
        int width = x.Dimensions[^1];
        return cpu.For(x.Length / width, grain: Math.Max(1, 1024 / width), Rows);

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Rows(long first, long end)
        {
            int whole = width / CpuVector.Width * CpuVector.Width, rest = width - whole;
            var lanes = CpuVector.First(rest);
            T* last = to + end * width;
            for (long r = first; r < end; r++)
            {
                T* row = from + r * width, target = to + r * width;
                var tail = Vector512.ConditionalSelect(lanes, TStorage.Load16(row + whole), Vector512.Create(float.NegativeInfinity));
                var max = tail;
                for (int c = 0; c < whole; c += CpuVector.Width) max = Vector512.Max(max, TStorage.Load16(row + c));
                var largest = Vector512.Create(CpuVector.Max(max));
                tail = CpuVector.Exp(tail - largest) & lanes;
                var sum = tail;
                for (int c = 0; c < whole; c += CpuVector.Width) sum += CpuVector.Exp(TStorage.Load16(row + c) - largest);
                var total = Vector512.Create(Vector512.Sum(sum));
                for (int c = 0; c < whole; c += CpuVector.Width) TStorage.Store16(CpuVector.Exp(TStorage.Load16(row + c) - largest) / total, target + c);
                if (rest > 0) CpuVector.StoreOver<T, TStorage>(tail / total, target + whole, rest, last);
            }
        }
    }
}

internal sealed unsafe partial class SoftmaxBackward
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        T* value = cpu.Pointer<T>(y), gradient = cpu.Pointer<T>(dy), to = cpu.Pointer<T>(dx);
        int width = y.Dimensions[^1];
        return cpu.For(y.Length / width, grain: Math.Max(1, 1024 / width), Rows);

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Rows(long first, long end)
        {
            int whole = width / CpuVector.Width * CpuVector.Width, rest = width - whole;
            var lanes = CpuVector.First(rest);
            T* last = to + end * width;
            for (long r = first; r < end; r++)
            {
                T* row = value + r * width, g = gradient + r * width, target = to + r * width;
                Vector512<float> tail = TStorage.Load16(row + whole) & lanes, tailGradient = TStorage.Load16(g + whole) & lanes;
                var sum = tail * tailGradient;
                for (int c = 0; c < whole; c += CpuVector.Width) sum += TStorage.Load16(row + c) * TStorage.Load16(g + c);
                var total = Vector512.Create(Vector512.Sum(sum));
                for (int c = 0; c < whole; c += CpuVector.Width) TStorage.Store16(TStorage.Load16(row + c) * (TStorage.Load16(g + c) - total), target + c);
                if (rest > 0) CpuVector.StoreOver<T, TStorage>(tail * (tailGradient - total), target + whole, rest, last);
            }
        }
    }
}
