namespace Microsoft.ML.MixedPrecision;

/// <summary>A thread's panels: made once, aligned to cache lines, freed after the thread's end. Zeros at first, so that what is read beyond a panel is no signal.</summary>
internal sealed unsafe class GemmBuffers
{
    [ThreadStatic] private static GemmBuffers? t_mine;

    public static GemmBuffers Mine => t_mine ??= new GemmBuffers();

    public readonly float* A = Allocate(Math.Max(Blocking.ACapacity, StripConvolution.StripFloats) + 64 * Blocking.MaxDepth);
    public readonly float* B = Allocate(Blocking.BCapacity + 64 * Blocking.MaxDepth);
    public readonly float* Sums = Allocate(Blocking.SumCapacity + 64 * 48);
    public readonly float* Lines = Allocate(Blocking.LineCapacity);

    ~GemmBuffers()
    {
        foreach (nint p in (ReadOnlySpan<nint>)[(nint)A, (nint)B, (nint)Sums, (nint)Lines]) CpuMemory.Free((void*)p);
    }

    private static float* Allocate(int floats) => (float*)CpuMemory.Allocate((nuint)floats * sizeof(float), 64);
}
