using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.MixedPrecision;

internal sealed unsafe partial class LayerNormForward
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        T* from = cpu.Pointer<T>(x), to = cpu.Pointer<T>(y), weights = cpu.Pointer<T>(weight), biases = cpu.Pointer<T>(bias);
        int size = Size, batch = x.Dimensions[0];
        float* means = cpu.Pointer<float>(statistics), inverses = means + batch;
        return cpu.For(batch, grain: 1, Rows);

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Rows(long first, long end)
        {
            for (long n = first; n < end; n++)
            {
                T* row = from + n * size, target = to + n * size;
                var total = Vector512<float>.Zero;
                for (int i = 0; i < size; i += CpuVector.Width) total += At(row, i);
                float mean = Vector512.Sum(total) / size;
                var (center, squares) = (Vector512.Create(mean), Vector512<float>.Zero);
                for (int i = 0; i < size; i += CpuVector.Width)
                {
                    int width = Math.Min(CpuVector.Width, size - i);
                    var deviation = At(row, i) - center;
                    if (width < CpuVector.Width) deviation = CpuVector.Load<float, CpuSingleStorage>((float*)&deviation, width);
                    squares += deviation * deviation;
                }
                float inverse = 1f / MathF.Sqrt(Vector512.Sum(squares) / size + eps);
                (means[n], inverses[n]) = (mean, inverse);
                for (int i = 0; i < size; i += CpuVector.Width)
                {
                    int width = Math.Min(CpuVector.Width, size - i);
                    var value = (At(row, i) - center) * inverse * At(weights, i) + At(biases, i);
                    CpuVector.Store<T, TStorage>(value, target + i, width);
                }
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        Vector512<float> At(T* values, int i) => i + CpuVector.Width <= size ? TStorage.Load16(values + i) : CpuVector.Load<T, TStorage>(values + i, size - i);
    }
}

internal sealed unsafe partial class LayerNormBackward
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        T* from = cpu.Pointer<T>(x), gradient = cpu.Pointer<T>(dy), to = cpu.Pointer<T>(dx), weights = cpu.Pointer<T>(weight);
        int size = Size, batch = x.Dimensions[0];
        float* means = cpu.Pointer<float>(statistics), inverses = means + batch;
        return cpu.For(batch, grain: 1, Rows);

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Rows(long first, long end)
        {
            for (long n = first; n < end; n++)
            {
                T* row = from + n * size, g = gradient + n * size, target = to + n * size;
                var center = Vector512.Create(means[n]);
                float inverse = inverses[n];
                Vector512<float> sum = Vector512<float>.Zero, product = Vector512<float>.Zero;
                for (int i = 0; i < size; i += CpuVector.Width)
                {
                    // Beyond the end g and weight are 0, so that what xhat is there does not count.
                    var scaled = At(g, i) * At(weights, i);
                    sum += scaled;
                    product += scaled * ((At(row, i) - center) * inverse);
                }
                var offset = Vector512.Create(Vector512.Sum(sum) / size);
                var slope = Vector512.Create(Vector512.Sum(product) / size);
                for (int i = 0; i < size; i += CpuVector.Width)
                {
                    var xhat = (At(row, i) - center) * inverse;
                    CpuVector.Store<T, TStorage>((At(g, i) * At(weights, i) - offset - xhat * slope) * inverse, target + i, Math.Min(CpuVector.Width, size - i));
                }
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        Vector512<float> At(T* values, int i) => i + CpuVector.Width <= size ? TStorage.Load16(values + i) : CpuVector.Load<T, TStorage>(values + i, size - i);
    }
}

internal sealed unsafe partial class LayerNormWeightGradient
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        T* from = cpu.Pointer<T>(x), gradient = cpu.Pointer<T>(dy), dWeight = cpu.Pointer<T>(weightGradient), dBias = cpu.Pointer<T>(biasGradient);
        int size = Size, batch = x.Dimensions[0];
        float* means = cpu.Pointer<float>(statistics), inverses = means + batch;
        return cpu.For(size, grain: 4 * CpuVector.Width, Columns);

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Columns(long first, long end)
        {
            for (long i = first; i < end; i += CpuVector.Width)
            {
                int width = (int)Math.Min(CpuVector.Width, end - i);
                Vector512<float> sum = Vector512<float>.Zero, product = Vector512<float>.Zero;
                for (int n = 0; n < batch; n++)
                {
                    // May read into the next row; what lies beyond the columns is not stored.
                    var g = TStorage.Load16(gradient + (long)n * size + i);
                    sum += g;
                    product += g * ((TStorage.Load16(from + (long)n * size + i) - Vector512.Create(means[n])) * inverses[n]);
                }
                CpuVector.Store<T, TStorage>(sum, dBias + i, width);
                CpuVector.Store<T, TStorage>(product, dWeight + i, width);
            }
        }
    }
}
