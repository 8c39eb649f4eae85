namespace Microsoft.ML.MixedPrecision;

internal sealed unsafe partial class LastTokenForward
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        T* from = cpu.Pointer<T>(x), to = cpu.Pointer<T>(y);
        float* token = cpu.Pointer<float>(tokens);
        int* position = cpu.Pointer<int>(last);
        int length = Length, features = Features;
        return cpu.For(y.Dimensions[0], grain: Math.Max(1, CpuBackend.ElementGrain / features), (first, end) =>
        {
            for (long n = first; n < end; n++)
            {
                position[n] = new ReadOnlySpan<float>(token + n * length, length).LastIndexOfAnyExcept(0f);
                var output = new Span<T>(to + n * features, features);
                if (position[n] < 0) output.Clear();
                else new ReadOnlySpan<T>(from + (n * length + position[n]) * features, features).CopyTo(output);
            }
        });
    }
}

internal sealed unsafe partial class LastTokenBackward
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        T* from = cpu.Pointer<T>(dy), to = cpu.Pointer<T>(dx);
        int* position = cpu.Pointer<int>(last);
        int length = Length, features = Features;
        return cpu.For(dy.Dimensions[0], grain: 1, (first, end) =>
        {
            for (long n = first; n < end; n++)
            {
                var gradient = new Span<T>(to + n * length * features, length * features);
                gradient.Clear();
                if (position[n] >= 0) new ReadOnlySpan<T>(from + n * features, features).CopyTo(gradient[(position[n] * features)..]);
            }
        });
    }
}
