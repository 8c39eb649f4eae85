using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.MixedPrecision;

internal sealed unsafe partial class AvgPool2dForward
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        T* from = cpu.Pointer<T>(x), to = cpu.Pointer<T>(y);
        var g = PoolGeometry.Of(x, y, window);
        return cpu.For((long)x.Dimensions[0] * g.OutHeight, grain: 1, Rows);

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Rows(long first, long end)
        {
            for (long line = first; line < end; line++)
            {
                int oy = (int)(line % g.OutHeight);
                var (y0, y1) = g.Rows(oy);
                T* image = from + line / g.OutHeight * g.Height * g.Width * g.Channels, target = to + line * g.OutWidth * g.Channels;
                for (int ox = 0; ox < g.OutWidth; ox++, target += g.Channels)
                {
                    var (x0, x1) = g.Columns(ox);
                    float divisor = g.Divisor(oy, ox, countIncludePad ? 1 : 0);
                    for (int c = 0; c < g.Channels; c += CpuVector.Width)
                    {
                        var sum = Vector512<float>.Zero;
                        for (int row = y0; row < y1; row++)
                        {
                            T* pixel = image + ((long)row * g.Width + x0) * g.Channels + c;
                            for (int column = x0; column < x1; column++, pixel += g.Channels) sum += TStorage.Load16(pixel);
                        }
                        CpuVector.Store<T, TStorage>(sum / divisor, target + c, Math.Min(CpuVector.Width, g.Channels - c));
                    }
                }
            }
        }
    }
}

internal sealed unsafe partial class AvgPool2dBackward
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        T* from = cpu.Pointer<T>(dy), to = cpu.Pointer<T>(dx);
        var g = PoolGeometry.Of(dx, dy, window);
        return cpu.For((long)dx.Dimensions[0] * g.Height, grain: 1, Rows);

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Rows(long first, long end)
        {
            for (long line = first; line < end; line++)
            {
                int row = (int)(line % g.Height);
                T* image = from + line / g.Height * g.OutHeight * g.OutWidth * g.Channels;
                for (int column = 0; column < g.Width; column++)
                {
                    T* target = to + (line * g.Width + column) * g.Channels;
                    for (int c = 0; c < g.Channels; c += CpuVector.Width)
                    {
                        var sum = Vector512<float>.Zero;
                        for (int oy = g.FirstRow(row); oy < g.EndRow(row); oy++)
                            for (int ox = g.FirstColumn(column); ox < g.EndColumn(column); ox++)
                                sum += TStorage.Load16(image + ((long)oy * g.OutWidth + ox) * g.Channels + c) / g.Divisor(oy, ox, countIncludePad ? 1 : 0);
                        CpuVector.Store<T, TStorage>(sum, target + c, Math.Min(CpuVector.Width, g.Channels - c));
                    }
                }
            }
        }
    }
}
