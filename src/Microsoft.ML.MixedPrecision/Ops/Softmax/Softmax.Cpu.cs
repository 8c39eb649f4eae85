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
        return cpu.For(x.Length / width, grain: Math.Max(1, 1024 / width), (first, end) => SoftmaxRows.Softmax<T, TStorage>(from, to, first, end, width));
    }
}

internal sealed unsafe partial class SoftmaxBackward
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        T* value = cpu.Pointer<T>(y), gradient = cpu.Pointer<T>(dy), to = cpu.Pointer<T>(dx);
        int width = y.Dimensions[^1];
        return cpu.For(y.Length / width, grain: Math.Max(1, 1024 / width), Rows);

        [MethodImpl(MethodImplOptions.AggressiveOptimization), SkipLocalsInit]
        void Rows(long first, long end)
        {
            int whole = width / CpuVector.Width * CpuVector.Width, rest = width - whole;
            var lanes = CpuVector.First(rest);
            T* last = to + end * width;
            float* folds = stackalloc float[SoftmaxRows.Most * CpuVector.FoldWidth], totals = stackalloc float[SoftmaxRows.Most];
            for (long r = first; r < end; r += SoftmaxRows.Most)
            {
                int count = (int)Math.Min(SoftmaxRows.Most, end - r);
                for (int i = 0; i < count; i++)
                {
                    T* row = value + (r + i) * width, g = gradient + (r + i) * width;
                    var sum = Vector512<float>.Zero;
                    for (int c = 0; c < whole; c += CpuVector.Width) sum += TStorage.Load16(row + c) * TStorage.Load16(g + c);
                    if (rest > 0) sum += (TStorage.Load16(row + whole) & lanes) * (TStorage.Load16(g + whole) & lanes);
                    CpuVector.Halve<CpuVector.Total>(sum, folds + i * CpuVector.FoldWidth);
                }
                CpuVector.Fold<CpuVector.Total>(folds).Store(totals);
                for (int i = 0; i < count; i++)
                {
                    T* row = value + (r + i) * width, g = gradient + (r + i) * width, target = to + (r + i) * width;
                    var total = Vector512.Create(totals[i]);
                    for (int c = 0; c < whole; c += CpuVector.Width) TStorage.Store16(TStorage.Load16(row + c) * (TStorage.Load16(g + c) - total), target + c);
                    if (rest > 0) CpuVector.StoreOver<T, TStorage>(TStorage.Load16(row + whole) * (TStorage.Load16(g + whole) - total), target + whole, rest, last);
                }
            }
        }
    }
}
