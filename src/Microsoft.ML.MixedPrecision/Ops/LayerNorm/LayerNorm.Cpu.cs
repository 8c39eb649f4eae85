using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.MixedPrecision;

// A row is whole vectors and a last one, which reads, and writes, into the next row; that is written after it.

internal sealed unsafe partial class LayerNormForward
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        T* from = cpu.Pointer<T>(x), to = cpu.Pointer<T>(y), weights = cpu.Pointer<T>(weight), biases = cpu.Pointer<T>(bias);
        int size = Size, batch = x.Dimensions[0];
        float* average = cpu.Pointer<float>(statistics), inverses = average + batch;
        return cpu.For(batch, grain: Math.Max(1, 1024 / size), Rows);

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Rows(long first, long end)
        {
            int length = size, whole = length / CpuVector.Width * CpuVector.Width, rest = length - whole;
            T* w = weights, b = biases, last = to + end * length;
            var lanes = CpuVector.First(rest);
            for (long n = first; n < end; n++)
            {
                T* row = from + n * length, target = to + n * length;
                var sum = TStorage.Load16(row + whole) & lanes;
                for (int i = 0; i < whole; i += CpuVector.Width) sum += TStorage.Load16(row + i);
                float mean = Vector512.Sum(sum) / length;
                var center = Vector512.Create(mean);
                var deviation = (TStorage.Load16(row + whole) - center) & lanes;
                var squares = deviation * deviation;
                for (int i = 0; i < whole; i += CpuVector.Width)
                {
                    deviation = TStorage.Load16(row + i) - center;
                    squares += deviation * deviation;
                }
                float inverse = 1f / MathF.Sqrt(Vector512.Sum(squares) / length + eps);
                (average[n], inverses[n]) = (mean, inverse);
                for (int i = 0; i < whole; i += CpuVector.Width)
                    TStorage.Store16((TStorage.Load16(row + i) - center) * inverse * TStorage.Load16(w + i) + TStorage.Load16(b + i), target + i);
                if (rest > 0)
                    CpuVector.StoreOver<T, TStorage>((TStorage.Load16(row + whole) - center) * inverse * TStorage.Load16(w + whole) + TStorage.Load16(b + whole), target + whole, rest, last);
            }
        }
    }
}

internal sealed unsafe partial class LayerNormBackward
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        T* from = cpu.Pointer<T>(x), gradient = cpu.Pointer<T>(dy), to = cpu.Pointer<T>(dx), weights = cpu.Pointer<T>(weight);
        int size = Size, batch = x.Dimensions[0];
        float* average = cpu.Pointer<float>(statistics), inverses = average + batch;
        return cpu.For(batch, grain: Math.Max(1, 1024 / size), Rows);

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Rows(long first, long end)
        {
            int length = size, whole = length / CpuVector.Width * CpuVector.Width, rest = length - whole;
            T* w = weights, last = to + end * length;
            var lanes = CpuVector.First(rest);
            for (long n = first; n < end; n++)
            {
                T* row = from + n * length, g = gradient + n * length, target = to + n * length;
                var center = Vector512.Create(average[n]);
                float inverse = inverses[n];
                var sum = TStorage.Load16(g + whole) * TStorage.Load16(w + whole) & lanes;
                var product = sum * ((TStorage.Load16(row + whole) - center) * inverse & lanes);
                for (int i = 0; i < whole; i += CpuVector.Width)
                {
                    var scaled = TStorage.Load16(g + i) * TStorage.Load16(w + i);
                    sum += scaled;
                    product += scaled * ((TStorage.Load16(row + i) - center) * inverse);
                }
                var offset = Vector512.Create(Vector512.Sum(sum) / length);
                var slope = Vector512.Create(Vector512.Sum(product) / length * inverse);
                for (int i = 0; i < whole; i += CpuVector.Width)
                    TStorage.Store16((TStorage.Load16(g + i) * TStorage.Load16(w + i) - offset - (TStorage.Load16(row + i) - center) * slope) * inverse, target + i);
                if (rest > 0)
                    CpuVector.StoreOver<T, TStorage>((TStorage.Load16(g + whole) * TStorage.Load16(w + whole) - offset - (TStorage.Load16(row + whole) - center) * slope) * inverse, target + whole, rest, last);
            }
        }
    }
}

internal sealed unsafe partial class LayerNormWeightGradient
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        T* from = cpu.Pointer<T>(x), gradient = cpu.Pointer<T>(dy), dWeight = cpu.Pointer<T>(weightGradient), dBias = cpu.Pointer<T>(biasGradient);
        int size = Size, batch = x.Dimensions[0];
        float* average = cpu.Pointer<float>(statistics), inverses = average + batch;
        return cpu.For(size, grain: 4 * CpuVector.Width, Columns);

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Columns(long first, long end)
        {
            int length = size, rows = batch;
            float* mean = average, inverse = inverses;
            for (long i = first; i < end; i += CpuVector.Width)
            {
                int width = (int)Math.Min(CpuVector.Width, end - i);
                Vector512<float> sum = Vector512<float>.Zero, product = Vector512<float>.Zero;
                T* row = from + i, dyRow = gradient + i;
                for (int n = 0; n < rows; n++, row += length, dyRow += length)
                {
                    // May read into the next row; what lies beyond the columns is not stored.
                    var g = TStorage.Load16(dyRow);
                    sum += g;
                    product += g * ((TStorage.Load16(row) - Vector512.Create(mean[n])) * inverse[n]);
                }
                CpuVector.Store<T, TStorage>(sum, dBias + i, width);
                CpuVector.Store<T, TStorage>(product, dWeight + i, width);
            }
        }
    }
}
