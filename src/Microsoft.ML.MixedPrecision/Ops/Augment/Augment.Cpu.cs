namespace Microsoft.ML.MixedPrecision;

internal sealed unsafe partial class ImageMove
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        T* source = cpu.Pointer<T>(from), target = cpu.Pointer<T>(to);
        int* count = cpu.Pointer<int>(counters);
        int height = Height, width = Width, channels = Channels;
        return cpu.For((long)to.Dimensions[0] * height, grain: Math.Max(1, CpuBackend.ElementGrain / (width * channels)), (first, end) =>
        {
            for (long line = first; line < end; line++)
            {
                int image = (int)(line / height), row = (int)(line - (long)image * height);
                var move = MoveDraw.Of(draw, image, (uint)count[StepControl.MicroSteps]);
                int above = Move.Row(move, row, backward);
                T* into = target + line * width * channels;
                if ((uint)above >= (uint)height)
                {
                    new Span<T>(into, width * channels).Clear();
                    continue;
                }
                T* pixels = source + ((long)image * height + above) * width * channels;
                for (int w = 0; w < width; w++, into += channels)
                {
                    int column = Move.Column(move, w, width, backward);
                    if ((uint)column < (uint)width) new ReadOnlySpan<T>(pixels + (long)column * channels, channels).CopyTo(new(into, channels));
                    else new Span<T>(into, channels).Clear();
                }
            }
        });
    }
}
