using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// Native memory of the CPU's arenas and panels, cleared. Where it is large, Linux is asked for huge pages (2 MiB instead of
/// 4 KiB): a product reads a block of a weight matrix across rows that lie a page or more apart each.
/// </summary>
internal static unsafe partial class CpuMemory
{
    private const nuint HugePage = 2 << 20;
    private const int AdviseHugePages = 14; // MADV_HUGEPAGE

    /// <summary>Zeros, as many bytes; to be freed with <see cref="Free"/>.</summary>
    /// <param name="alignment">In bytes, a power of two.</param>
    public static void* Allocate(nuint bytes, nuint alignment)
    {
        bool large = OperatingSystem.IsLinux() && bytes >= 2 * HugePage;
        var memory = NativeMemory.AlignedAlloc(bytes, large ? HugePage : alignment);
        if (large) _ = Advise(memory, bytes / HugePage * HugePage, AdviseHugePages); // Refused, it is as fast as before.
        NativeMemory.Clear(memory, bytes);
        return memory;
    }

    public static void Free(void* memory) => NativeMemory.AlignedFree(memory);

    /// <summary>Asks for the lines of elements that will be read soon to be brought into the second-level cache. They may lie beyond what is allocated.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Prefetch<T>(T* from, int count) where T : unmanaged
    {
        if (!Sse.IsSupported) return;
        for (int i = 0; i < count; i += 64 / sizeof(T)) Sse.Prefetch1(from + i);
    }

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int Advise(void* start, nuint length, int advice);
}
