namespace Microsoft.ML.MixedPrecision;

/// <summary>A thread's floats for a kernel that works on rows of working storage as floats: they grow to the most that was asked for, and are freed after the thread's end.</summary>
internal sealed unsafe class FloatBuffer
{
    [ThreadStatic] private static FloatBuffer? t_mine;

    private float* _floats;
    private int _length;

    ~FloatBuffer() => CpuMemory.Free(_floats);

    /// <summary>At least so many, aligned to 64 bytes, until this thread asks again. What is in them is of no account.</summary>
    public static float* Of(int length)
    {
        var mine = t_mine ??= new FloatBuffer();
        if (length > mine._length)
        {
            CpuMemory.Free(mine._floats);
            mine._floats = (float*)CpuMemory.Allocate((nuint)length * sizeof(float), 64);
            mine._length = length;
        }
        return mine._floats;
    }
}
