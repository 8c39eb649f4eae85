namespace Microsoft.ML.MixedPrecision;

/// <summary>A thread's floats for a kernel that works on rows of working storage as floats: they grow to the most that was asked for, and are freed after the thread's end.</summary>
internal sealed unsafe class FloatBuffer
{
    private const int Page = 1024, Below = 32; // floats: 4 KiB, two cache lines

    [ThreadStatic] private static FloatBuffer? t_mine;

    private float* _floats;
    private int _length;

    ~FloatBuffer() => CpuMemory.Free(_floats);

    /// <summary>
    /// Floats from one of several buffers of <paramref name="length"/>, and a vector more, to the next, which are read and written side by side.
    /// A load waits for an earlier store whose address has the same last 12 bits, though it is another one: where what is written lies just
    /// above what is read, modulo a page, for one of the last few vectors. Batch norm's gradient then takes up to 2.8 times as long. So
    /// each buffer lies a little below the one before it, modulo a page, and what a loop writes is the last of them.
    /// </summary>
    public static int Pitch(int length) => (length + CpuVector.Width + Below + Page - 1) / Page * Page - Below;

    /// <summary>At least so many, from the start of a page, until this thread asks again. What is in them is of no account.</summary>
    public static float* Of(int length)
    {
        var mine = t_mine ??= new FloatBuffer();
        if (length > mine._length)
        {
            CpuMemory.Free(mine._floats);
            mine._floats = (float*)CpuMemory.Allocate((nuint)length * sizeof(float), Page * sizeof(float));
            mine._length = length;
        }
        return mine._floats;
    }
}
