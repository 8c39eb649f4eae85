using ILGPU;

namespace Microsoft.ML.MixedPrecision;

/// <summary>The tile of C that a group of warps makes, each 64 x 32 of it.</summary>
internal interface ITensorShape
{
    static abstract int WarpsDown { get; }

    /// <summary>A power of two.</summary>
    static abstract int WarpsAcross { get; }

    /// <summary>n &gt;&gt; AcrossShift is n / WarpsAcross: see <see cref="IGpuVector{TSelf}.Shift"/>.</summary>
    static abstract int AcrossShift { get; }

    /// <summary>For <see cref="TileWalk"/>.</summary>
    static abstract int BandShift { get; }

    /// <summary>Shared memory for the three stages of tiles of A and B; its size must be a literal.</summary>
    static abstract ArrayView<Words4> Shared();
}

/// <summary>128 x 128 by 256 threads in 48 KB, the most a kernel has without asking the driver.</summary>
internal readonly struct LargeShape : ITensorShape
{
    public static int WarpsDown => 2;
    public static int WarpsAcross => 4;
    public static int AcrossShift => 2;
    public static int BandShift => 4;
    public static ArrayView<Words4> Shared() => SharedMemory.Allocate<Words4>(3 * (128 + 128) * 4);
}

/// <summary>128 x 64 by 128 threads in 36 KB.</summary>
internal readonly struct TallShape : ITensorShape
{
    public static int WarpsDown => 2;
    public static int WarpsAcross => 2;
    public static int AcrossShift => 1;
    public static int BandShift => 4;
    public static ArrayView<Words4> Shared() => SharedMemory.Allocate<Words4>(3 * (128 + 64) * 4);
}

/// <summary>64 x 64 by 64 threads in 24 KB.</summary>
internal readonly struct SmallShape : ITensorShape
{
    public static int WarpsDown => 1;
    public static int WarpsAcross => 2;
    public static int AcrossShift => 1;
    public static int BandShift => 5;
    public static ArrayView<Words4> Shared() => SharedMemory.Allocate<Words4>(3 * (64 + 64) * 4);
}
