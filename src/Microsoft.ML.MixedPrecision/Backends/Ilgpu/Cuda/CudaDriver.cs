using System.Runtime.InteropServices;
using ILGPU.Runtime.Cuda;

namespace Microsoft.ML.MixedPrecision;

/// <summary>The driver's functions for graphs and for streams that wait for each other, which ILGPU does not offer. The library has ILGPU's name, so that both are one (<see cref="DriverLibrary"/>).</summary>
internal static partial class CudaDriver
{
    /// <summary>What another thread does, such as freeing memory in a finalizer, does not break a capture.</summary>
    public const int CaptureThisThread = 1;

    private const string Library = "cuda";

    /// <summary>An attribute of a kernel: the most dynamic shared memory that a launch may ask for, in bytes.</summary>
    public const int MostDynamicSharedBytes = 8;

    static CudaDriver() => DriverLibrary.Register();

    [LibraryImport(Library, EntryPoint = "cuFuncSetAttribute")]
    public static partial CudaError SetAttribute(nint function, int attribute, int value);

    /// <summary>What comes on the stream from now on waits for the event; the host does not.</summary>
    [LibraryImport(Library, EntryPoint = "cuStreamWaitEvent")]
    public static partial CudaError WaitEvent(nint stream, nint @event, uint flags);

    [LibraryImport(Library, EntryPoint = "cuStreamBeginCapture_v2")]
    public static partial CudaError BeginCapture(nint stream, int mode);

    /// <summary>The nodes that the next one of a capture waits for: after a launch that launch alone.</summary>
    [LibraryImport(Library, EntryPoint = "cuStreamGetCaptureInfo_v2")]
    public static unsafe partial CudaError GetCaptureInfo(nint stream, out int status, nint id, nint graph, out nint* nodes, out nint count);

    /// <summary>What <see cref="UpdateCaptureDependencies"/> does with the nodes: they replace those that the next one would wait for.</summary>
    public const uint Replace = 1;

    [LibraryImport(Library, EntryPoint = "cuStreamUpdateCaptureDependencies")]
    public static partial CudaError UpdateCaptureDependencies(nint stream, [In] nint[] nodes, nint count, uint flags);

    [LibraryImport(Library, EntryPoint = "cuStreamEndCapture")]
    public static partial CudaError EndCapture(nint stream, out nint graph);

    /// <param name="nodes">0 to ask for the count alone.</param>
    [LibraryImport(Library, EntryPoint = "cuGraphGetNodes")]
    public static partial CudaError GetNodes(nint graph, nint nodes, ref nint count);

    [LibraryImport(Library, EntryPoint = "cuGraphInstantiateWithFlags")]
    public static partial CudaError Instantiate(out nint executable, nint graph, ulong flags);

    [LibraryImport(Library, EntryPoint = "cuGraphLaunch")]
    public static partial CudaError Launch(nint executable, nint stream);

    [LibraryImport(Library, EntryPoint = "cuGraphExecDestroy")]
    public static partial CudaError DestroyExecutable(nint executable);

    [LibraryImport(Library, EntryPoint = "cuGraphDestroy")]
    public static partial CudaError DestroyGraph(nint graph);
}
