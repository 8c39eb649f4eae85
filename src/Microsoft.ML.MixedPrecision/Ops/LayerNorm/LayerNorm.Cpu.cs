using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.MixedPrecision;

// A row is whole vectors and a last one, which reads beyond the row. Rows become floats once, and are rounded once.

internal sealed unsafe partial class LayerNormForward
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        T* from = cpu.Pointer<T>(x), to = cpu.Pointer<T>(y), weights = cpu.Pointer<T>(weight), biases = cpu.Pointer<T>(bias);
        int size = Size, batch = x.Dimensions[0];
        float* average = cpu.Pointer<float>(statistics), inverses = average + batch;
        return cpu.For(batch, grain: Math.Max(1, 1024 / size), Rows);

        void Rows(long first, long end)
        {
            int length = size, pitch = FloatBuffer.Pitch(length);
            float* buffer = FloatBuffer.Of(4 * pitch);
            float* w = TStorage.AsFloats(weights, buffer, length), b = TStorage.AsFloats(biases, buffer + pitch, length);
            for (long n = first; n < end; n++)
            {
                float* row = TStorage.AsFloats(from + n * length, buffer + 2 * pitch, length), target = TStorage.FloatsFor(to + n * length, buffer + 3 * pitch);
                (average[n], inverses[n]) = Normalize(row, w, b, target, length);
                TStorage.Store(target, to + n * length, length);
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        (float Mean, float Inverse) Normalize(float* row, float* w, float* b, float* target, int length)
        {
            int whole = length / CpuVector.Width * CpuVector.Width, rest = length - whole;
            var lanes = CpuVector.First(rest);
            var sum = Vector512.Load(row + whole) & lanes;
            for (int i = 0; i < whole; i += CpuVector.Width) sum += Vector512.Load(row + i);
            float mean = Vector512.Sum(sum) / length;
            var center = Vector512.Create(mean);
            var deviation = (Vector512.Load(row + whole) - center) & lanes;
            var squares = deviation * deviation;
            for (int i = 0; i < whole; i += CpuVector.Width)
            {
                deviation = Vector512.Load(row + i) - center;
                squares += deviation * deviation;
            }
            float inverse = 1f / MathF.Sqrt(Vector512.Sum(squares) / length + eps);
            for (int i = 0; i < whole; i += CpuVector.Width)
                ((Vector512.Load(row + i) - center) * inverse * Vector512.Load(w + i) + Vector512.Load(b + i)).Store(target + i);
            if (rest > 0)
                CpuVector.Store<float, CpuSingleStorage>((Vector512.Load(row + whole) - center) * inverse * Vector512.Load(w + whole) + Vector512.Load(b + whole), target + whole, rest);
            return (mean, inverse);
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

        void Rows(long first, long end)
        {
            int length = size, pitch = FloatBuffer.Pitch(length);
            float* buffer = FloatBuffer.Of(4 * pitch), w = TStorage.AsFloats(weights, buffer, length);
            for (long n = first; n < end; n++)
            {
                float* row = TStorage.AsFloats(from + n * length, buffer + pitch, length), g = TStorage.AsFloats(gradient + n * length, buffer + 2 * pitch, length);
                float* target = TStorage.FloatsFor(to + n * length, buffer + 3 * pitch);
                Differentiate(row, g, w, target, average[n], inverses[n], length);
                TStorage.Store(target, to + n * length, length);
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Differentiate(float* row, float* g, float* w, float* target, float mean, float inverse, int length)
        {
            int whole = length / CpuVector.Width * CpuVector.Width, rest = length - whole;
            var lanes = CpuVector.First(rest);
            var center = Vector512.Create(mean);
            var sum = Vector512.Load(g + whole) * Vector512.Load(w + whole) & lanes;
            var product = sum * ((Vector512.Load(row + whole) - center) * inverse & lanes);
            for (int i = 0; i < whole; i += CpuVector.Width)
            {
                var scaled = Vector512.Load(g + i) * Vector512.Load(w + i);
                sum += scaled;
                product += scaled * ((Vector512.Load(row + i) - center) * inverse);
            }
            var offset = Vector512.Create(Vector512.Sum(sum) / length);
            var slope = Vector512.Create(Vector512.Sum(product) / length * inverse);
            for (int i = 0; i < whole; i += CpuVector.Width)
                ((Vector512.Load(g + i) * Vector512.Load(w + i) - offset - (Vector512.Load(row + i) - center) * slope) * inverse).Store(target + i);
            if (rest > 0)
                CpuVector.Store<float, CpuSingleStorage>((Vector512.Load(g + whole) * Vector512.Load(w + whole) - offset - (Vector512.Load(row + whole) - center) * slope) * inverse, target + whole, rest);
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
