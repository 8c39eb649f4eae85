using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.MixedPrecision;

// A row is whole vectors and a last one, which reads beyond the row. Rows become floats once, and are rounded once. The next ones are asked for before: two or three
// tensors read and written in turn, a row of each, are no stream that the hardware would recognize (gradients of 8 M elements on a Zen 3: 20 ms without, 7 with).

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
                CpuMemory.Prefetch(from + (n + 1) * length, length);
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
                CpuMemory.Prefetch(from + (n + 1) * length, length);
                CpuMemory.Prefetch(gradient + (n + 1) * length, length);
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

        // Row by row, as memory has them; an element's sum is one chain over the rows, however columns are cut.
        void Columns(long first, long end)
        {
            int columns = (int)(end - first), pitch = FloatBuffer.Pitch(columns);
            float* buffer = FloatBuffer.Of(4 * pitch), products = buffer + 2 * pitch, sums = buffer + 3 * pitch;
            new Span<float>(products, columns + CpuVector.Width).Clear();
            new Span<float>(sums, columns + CpuVector.Width).Clear();
            for (long n = 0; n < batch; n++)
            {
                float* row = TStorage.AsFloats(from + n * size + first, buffer, columns), g = TStorage.AsFloats(gradient + n * size + first, buffer + pitch, columns);
                CpuMemory.Prefetch(from + (n + 1) * size + first, columns);
                CpuMemory.Prefetch(gradient + (n + 1) * size + first, columns);
                Add(row, g, average[n], inverses[n], products, sums, columns);
            }
            TStorage.Store(sums, dBias + first, columns);
            TStorage.Store(products, dWeight + first, columns);
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        static void Add(float* row, float* g, float mean, float inverse, float* products, float* sums, int columns)
        {
            var center = Vector512.Create(mean);
            for (int i = 0; i < columns; i += CpuVector.Width)
            {
                var gradient = Vector512.Load(g + i);
                (Vector512.Load(sums + i) + gradient).Store(sums + i);
                (Vector512.Load(products + i) + gradient * ((Vector512.Load(row + i) - center) * inverse)).Store(products + i);
            }
        }
    }
}
