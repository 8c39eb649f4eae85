using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// Works that become one CUDA graph: run as they are the first time, when the driver still loads kernels, captured the second time, and
/// from then on replayed by one call to the driver. Arguments are frozen in the graph: what differs from step to step lies in device memory.
/// Where the driver refuses the capture, they stay launches.
/// <para>
/// A work of the graph waits only for those that it needs, where the driver can say so: the gradient of a layer's weights is computed beside that of its input.
/// </para>
/// </summary>
/// <param name="stream">Where the works launch.</param>
/// <param name="works">Each one launch or more, of which each waits for the one before it.</param>
/// <param name="waits">For each work the numbers of those before it that it waits for: see <see cref="WorkOrder"/>.</param>
internal sealed unsafe class CapturedStep(CudaStream stream, Action[] works, int[][] waits) : IDisposable
{
    private bool _inOrder; // each work waits for the one before it
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
        foreach (var work in works) work();
    }

    private void Capture()
    {
        stream.Accelerator.Bind();
        try
        {
            nint graph;
            try
            {
                graph = Record();
            }
            catch (EntryPointNotFoundException)
            {
                _inOrder = true; // a driver before CUDA 11.3
                graph = Record();
            }
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
            Note = FormattableString.Invariant($"A step is {works.Length} launches: the driver made no CUDA graph of it ({e.Message.TrimEnd('.')}).");
        }
    }

    /// <summary>Tells the capture before each work what it waits for, and asks afterwards which node it became.</summary>
    private void LaunchBesideEachOther()
    {
        var nodes = new nint[works.Length][]; // what stands for a work: its last launch, or what it would wait for where it launches nothing
        for (int i = 0; i < works.Length; i++)
        {
            nint[] before = [.. waits[i].SelectMany(j => nodes[j]).Distinct()];
            CudaException.ThrowIfFailed(CudaDriver.UpdateCaptureDependencies(stream.StreamPtr, before, before.Length, CudaDriver.Replace));
            works[i]();
            CudaException.ThrowIfFailed(CudaDriver.GetCaptureInfo(stream.StreamPtr, out _, 0, 0, out nint* last, out nint count));
            nodes[i] = new ReadOnlySpan<nint>(last, (int)count).ToArray();
        }
    }

    private nint Record()
    {
        CudaException.ThrowIfFailed(CudaDriver.BeginCapture(stream.StreamPtr, CudaDriver.CaptureThisThread));
        nint graph = 0;
        var end = CudaError.CUDA_SUCCESS;
        try
        {
            if (_inOrder) LaunchAll();
            else LaunchBesideEachOther();
        }
        finally
        {
            end = CudaDriver.EndCapture(stream.StreamPtr, out graph); // in any case: the stream is of no use before
        }
        CudaException.ThrowIfFailed(end);
        return graph;
    }
}
