using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// Launches that become one CUDA graph: run as they are the first time, when the driver still loads kernels, captured the second time, and
/// from then on replayed by one call to the driver. Arguments are frozen in the graph: what differs from step to step lies in device memory.
/// Where the driver refuses the capture, they stay launches.
/// </summary>
internal sealed class CapturedStep(CudaStream stream, IReadOnlyList<Action> launches) : IDisposable
{
    private readonly Action[] _launches = [.. launches];
    private nint _executable;
    private int _runs;

    /// <summary>What became of it, in a sentence; null before the second run.</summary>
    public string? Note { get; private set; }

    public void Run()
    {
        if (_runs < 2 && ++_runs == 2) Capture();
        if (_executable == 0)
        {
            LaunchAll();
            return;
        }
        stream.Accelerator.Bind();
        CudaException.ThrowIfFailed(CudaDriver.Launch(_executable, stream.StreamPtr));
    }

    public void Dispose()
    {
        if (_executable == 0) return;
        CudaException.ThrowIfFailed(CudaDriver.DestroyExecutable(_executable));
        _executable = 0;
    }

    private void LaunchAll()
    {
        foreach (var launch in _launches) launch();
    }

    private void Capture()
    {
        stream.Accelerator.Bind();
        try
        {
            nint graph = Record();
            try
            {
                nint nodes = 0;
                CudaException.ThrowIfFailed(CudaDriver.GetNodes(graph, 0, ref nodes));
                CudaException.ThrowIfFailed(CudaDriver.Instantiate(out _executable, graph, flags: 0));
                Note = FormattableString.Invariant($"A step is one CUDA graph of {nodes} nodes.");
            }
            finally
            {
                CudaException.ThrowIfFailed(CudaDriver.DestroyGraph(graph)); // the executable needs it no more
            }
        }
        // The driver's reasons are its own, and older drivers lack the functions. Nothing of the step has run yet: it runs as launches.
        catch (Exception e) when (e is AcceleratorException or EntryPointNotFoundException or DllNotFoundException)
        {
            Note = FormattableString.Invariant($"A step is {_launches.Length} launches: the driver made no CUDA graph of it ({e.Message.TrimEnd('.')}).");
        }
    }

    private nint Record()
    {
        CudaException.ThrowIfFailed(CudaDriver.BeginCapture(stream.StreamPtr, CudaDriver.CaptureThisThread));
        nint graph = 0;
        var end = CudaError.CUDA_SUCCESS;
        try
        {
            LaunchAll();
        }
        finally
        {
            end = CudaDriver.EndCapture(stream.StreamPtr, out graph); // in any case: the stream is of no use before
        }
        CudaException.ThrowIfFailed(end);
        return graph;
    }
}
