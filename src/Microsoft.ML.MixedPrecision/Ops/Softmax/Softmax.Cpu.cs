namespace Microsoft.ML.MixedPrecision;

internal sealed unsafe partial class SoftmaxForward
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        T* from = cpu.Pointer<T>(x), to = cpu.Pointer<T>(y);
        int width = x.Dimensions[^1];
        return cpu.For(x.Length / width, grain: Math.Max(1, 1024 / width), (first, end) =>
        {
            for (long r = first; r < end; r++)
            {
                T* row = from + r * width, target = to + r * width;
                float max = float.NegativeInfinity, sum = 0f;
                for (int c = 0; c < width; c++) max = MathF.Max(max, TStorage.Load(row[c]));
                for (int c = 0; c < width; c++) sum += MathF.Exp(TStorage.Load(row[c]) - max);
                for (int c = 0; c < width; c++) target[c] = TStorage.Store(MathF.Exp(TStorage.Load(row[c]) - max) / sum);
            }
        });
    }
}

internal sealed unsafe partial class SoftmaxBackward
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        T* value = cpu.Pointer<T>(y), gradient = cpu.Pointer<T>(dy), to = cpu.Pointer<T>(dx);
        int width = y.Dimensions[^1];
        return cpu.For(y.Length / width, grain: Math.Max(1, 1024 / width), (first, end) =>
        {
            for (long r = first * width; r < end * width; r += width)
            {
                float sum = 0f;
                for (int c = 0; c < width; c++) sum += TStorage.Load(gradient[r + c]) * TStorage.Load(value[r + c]);
                for (int c = 0; c < width; c++) to[r + c] = TStorage.Store(TStorage.Load(value[r + c]) * (TStorage.Load(gradient[r + c]) - sum));
            }
        });
    }
}
