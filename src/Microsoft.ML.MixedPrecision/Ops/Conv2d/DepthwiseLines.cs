using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// How a window moves over a source image, padding and gaps included, to make a target image. In those coordinates a target pixel o
/// sees the taps k at o * stride + k * dilation, and the source pixel i lies at padding + i * step. A convolution has step 1; its
/// input gradient has stride 1 and the convolution's stride as the step, and its padding may be negative.
/// </summary>
internal readonly record struct DepthwiseGeometry(
    int Images, int Channels, Size2d Kernel, Size2d Dilation, Size2d Source, Size2d Target, Size2d Stride, Size2d Step, Size2d Padding)
{
    public static DepthwiseGeometry Forward(Conv2dGeometry g) => new(g.Batch, g.Channels, g.Window.Kernel, g.Window.Dilation,
        new(g.Height, g.Width), new(g.OutHeight, g.OutWidth), g.Window.Stride, 1, g.Window.Padding);

    public static DepthwiseGeometry InputGradient(Conv2dGeometry g) => new(g.Batch, g.Channels, g.Window.Kernel, g.Window.Dilation,
        new(g.OutHeight, g.OutWidth), new(g.Height, g.Width), 1, g.Window.Stride,
        new(g.Window.Dilation.Height * (g.KernelHeight - 1) - g.Window.Padding.Height, g.Window.Dilation.Width * (g.KernelWidth - 1) - g.Window.Padding.Width));

    public int Taps => Kernel.Height * Kernel.Width;

    /// <summary>Vectors that hold a pixel's channels.</summary>
    public int Blocks => (Channels + CpuVector.Width - 1) / CpuVector.Width;

    /// <summary>Rows of the target, of all images.</summary>
    public int TargetLines => Images * Target.Height;

    /// <summary>Columns that the windows of a row see.</summary>
    public int LineWidth => (Target.Width - 1) * Stride.Width + Dilation.Width * (Kernel.Width - 1) + 1;

    /// <summary>A line as floats: [block of 16 channels, column, channel], so that a window's columns lie together.</summary>
    public int LineFloats => Blocks * LineWidth * CpuVector.Width;

    /// <summary>Lines that a window sees.</summary>
    public int Span => Dilation.Height * (Kernel.Height - 1) + 1;

    /// <summary>The weights as floats: [block, tap, channel].</summary>
    public int WeightFloats => Blocks * Taps * CpuVector.Width;

    /// <summary>Threads that have enough to do: 65,536 multiplications and additions are some 5 us.</summary>
    public int Slots(int threads) => (int)Math.Clamp((long)TargetLines * Target.Width * Channels * Taps / 65536, 1, Math.Min(threads, TargetLines));
}

/// <summary>
/// The lines that windows see, converted once each: a ring, as the window moves downwards. Each conversion of 16 halves takes 7
/// instructions, and an image row is seen by all taps. Columns of padding, and the gaps of a step, stay the zeros that they are.
/// </summary>
internal readonly unsafe struct DepthwiseLines<T, TStorage>
    where T : unmanaged
    where TStorage : struct, ICpuStorage<T>
{
    private readonly T* _source;
    private readonly DepthwiseGeometry _g;
    private readonly float* _ring;
    private readonly long* _held; // what line a place of the ring holds, from 1

    /// <param name="memory"><see cref="Floats"/> floats.</param>
    public DepthwiseLines(T* source, in DepthwiseGeometry g, float* memory)
    {
        _source = source;
        _g = g;
        _ring = memory;
        _held = (long*)(memory + (long)g.Span * g.LineFloats);
        new Span<float>(memory, Floats(g)).Clear();
    }

    public static int Floats(in DepthwiseGeometry g) => checked(g.Span * g.LineFloats + (g.Span * 2 + CpuVector.Width - 1) / CpuVector.Width * CpuVector.Width);

    /// <summary>The line at a place of an image, or null where there is nothing but padding.</summary>
    public float* Line(int image, int place)
    {
        int at = place - _g.Padding.Height;
        if (at < 0 || at % _g.Step.Height != 0 || at / _g.Step.Height >= _g.Source.Height) return null;
        long line = (long)image * _g.Source.Height + at / _g.Step.Height;
        int slot = place % _g.Span;
        float* target = _ring + (long)slot * _g.LineFloats;
        if (_held[slot] != line + 1) Fill(_source + line * _g.Source.Width * _g.Channels, target);
        _held[slot] = line + 1;
        return target;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Fill(T* pixel, float* line)
    {
        int channels = _g.Channels, columns = _g.LineWidth, pitch = columns * CpuVector.Width;
        for (int i = 0, column = _g.Padding.Width; i < _g.Source.Width; i++, column += _g.Step.Width, pixel += channels)
        {
            if ((uint)column >= (uint)columns) continue;
            float* to = line + column * CpuVector.Width;
            for (int c = 0; c < channels; c += CpuVector.Width, to += pitch) TStorage.Load16(pixel + c).Store(to);
        }
    }
}
