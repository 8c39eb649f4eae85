namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// Along one axis of a strided convolution, the input pixels first, first + stride, ... all see the same taps: those whose
/// window positions lie on the stride grid. Their gradient is an ordinary convolution of the output gradient with these taps
/// in reverse order: tap i reads output pixel p + Offset + i * Dilation for the class's pixel p. So a stride of s costs
/// 1/s of the products along the axis that taps off the grid, multiplied by zero, would cost.
/// </summary>
/// <param name="First">The first input pixel; the stride away lies the next.</param>
/// <param name="Pixels">How many there are.</param>
/// <param name="Taps">How many taps they see; none where the stride skips these pixels.</param>
/// <param name="LastTap">The highest of these taps.</param>
/// <param name="TapStep">From one of these taps to the next.</param>
/// <param name="Offset">From a pixel's number in the class to the output pixel that its highest tap reads; may be negative.</param>
/// <param name="Dilation">Output pixels from one tap to the next.</param>
internal readonly record struct InputClass(int First, int Pixels, int Taps, int LastTap, int TapStep, int Offset, int Dilation)
{
    /// <summary>The classes of an axis with at least one pixel; one if the stride is 1.</summary>
    public static IEnumerable<InputClass> Of(int size, int kernel, int stride, int padding, int dilation)
    {
        for (int first = 0; first < Math.Min(stride, size); first++)
        {
            int[] taps = [.. Enumerable.Range(0, kernel).Where(tap => (first + padding - tap * dilation) % stride == 0)];
            int pixels = (size - first + stride - 1) / stride;
            if (taps.Length == 0)
            {
                yield return new InputClass(first, pixels, 0, 0, 1, 0, 1);
                continue;
            }
            int step = taps.Length > 1 ? taps[1] - taps[0] : stride;
            yield return new InputClass(first, pixels, taps.Length, taps[^1], step, (first + padding - taps[^1] * dilation) / stride, step * dilation / stride);
        }
    }
}
