namespace Microsoft.ML.MixedPrecision;

/// <summary>What the pooling ops share: the window as a user gives it, the shape rule, the attributes in ONNX.</summary>
internal static class Pooling
{
    public static Window2d Window(Size2d kernel, Size2d? stride, Size2d? padding)
    {
        var window = Window2d.Of(kernel, stride ?? kernel, padding ?? 0, 1);
        // More padding would make windows of nothing but padding, which have no maximum and no mean.
        if (window.Padding.Height > kernel.Height / 2 || window.Padding.Width > kernel.Width / 2)
            throw new ArgumentOutOfRangeException(nameof(padding), window.Padding, $"padding: expected at most half of the kernel {kernel}, got {window.Padding}.");
        return window;
    }

    public static Shape Infer(Window2d window, Shape input, Func<string, string, string, ArgumentException> misfit)
    {
        if (!input.IsImage) throw misfit("an image [height, width, channels]", input.Described, "put it before Flatten()");
        int height = window.OutHeight(input.Height), width = window.OutWidth(input.Width);
        return height >= 1 && width >= 1
            ? Shape.Image(height, width, input.Channels)
            : throw misfit($"a kernel that fits the input {input} with padding {window.Padding}", $"{window.Kernel}", "use a smaller kernel or more padding");
    }

    /// <summary>The windows o with o stride - padding in (at - kernel, at]: from the first to the one before the end.</summary>
    public static (int First, int End) WindowsAt(int at, int kernel, int stride, int padding, int windows) =>
        (FirstWindow(at, kernel, stride, padding), EndWindow(at, stride, padding, windows));

    public static int FirstWindow(int at, int kernel, int stride, int padding)
    {
        int before = at + padding - kernel; // a window that starts here or earlier ends before the pixel
        return before < 0 ? 0 : before / stride + 1;
    }

    public static int EndWindow(int at, int stride, int padding, int windows) => Math.Min((at + padding) / stride + 1, windows);

    public static OnnxAttribute[] Attributes(Window2d window) =>
    [
        ("kernel_shape", new long[] { window.Kernel.Height, window.Kernel.Width }),
        ("strides", new long[] { window.Stride.Height, window.Stride.Width }),
        ("pads", new long[] { window.Padding.Height, window.Padding.Width, window.Padding.Height, window.Padding.Width }),
    ];
}
