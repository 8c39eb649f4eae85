namespace Microsoft.ML.MixedPrecision;

internal sealed unsafe partial class Ingest
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        float* from = cpu.Pointer<float>(features);
        T* to = cpu.Pointer<T>(input);
        if (InOrder) return cpu.For(input.Length, CpuBackend.ElementGrain, (start, end) => TStorage.Store(from + start, to + start, (int)(end - start)));

        int pixels = shape.Height * shape.Width, channels = shape.Channels;
        return cpu.For(input.Dimensions[0], grain: 1, (first, end) =>
        {
            for (long n = first; n < end; n++)
                for (int c = 0; c < channels; c++)
                    for (int p = 0; p < pixels; p++)
                        to[(n * pixels + p) * channels + c] = TStorage.Store(from[(n * channels + c) * pixels + p]);
        });
    }
}
