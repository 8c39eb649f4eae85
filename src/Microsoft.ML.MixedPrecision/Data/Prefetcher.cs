using System.Runtime.ExceptionServices;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// Fills the next batches of a pass on a thread of its own while the device works on the current one. What that thread throws is
/// thrown to the reader of the batches. Handing a batch over allocates nothing.
/// </summary>
internal sealed class Prefetcher : IDisposable
{
    /// <summary>One with the device, one filled, one being filled.</summary>
    public const int Batches = 3;

    private static readonly TimeSpan StopPatience = TimeSpan.FromSeconds(1);

    private readonly Func<RowPass> _open;
    private readonly Batch[] _ring;
    private readonly SemaphoreSlim _filled = new(0), _free;
    private readonly CancellationTokenSource _stop = new();
    private readonly Thread _thread;
    private ExceptionDispatchInfo? _failure;
    private volatile bool _ended;
    private int _produced, _taken = -1;

    /// <param name="open">Opens the pass; called on the thread, which also disposes it.</param>
    /// <param name="ring"><see cref="Batches"/> batches. They may be used again once <see cref="Next"/> has returned null.</param>
    public Prefetcher(Func<RowPass> open, Batch[] ring)
    {
        (_open, _ring) = (open, ring);
        _free = new SemaphoreSlim(ring.Length);
        _thread = new Thread(Fill) { IsBackground = true, Name = "MixedPrecision.Data" };
        _thread.Start();
    }

    /// <summary>The next batch, which is the caller's until the next call; null after the last.</summary>
    /// <exception cref="OperationCanceledException">The token was cancelled while the data were waited for.</exception>
    public Batch? Next(CancellationToken token)
    {
        if (_taken >= 0) _free.Release();
        if (!_filled.Wait(0, CancellationToken.None)) _filled.Wait(token);
        if (_taken + 1 == Volatile.Read(ref _produced) && _ended)
        {
            _failure?.Throw();
            return null;
        }
        _taken++;
        return _ring[_taken % _ring.Length];
    }

    public void Dispose()
    {
        _stop.Cancel();
        // A data source that blocks must not block the caller too: the thread ends when that comes back, and disposes the pass.
        if (!_thread.Join(StopPatience)) return;
        _filled.Dispose();
        _free.Dispose();
        _stop.Dispose();
    }

    private void Fill()
    {
        try
        {
            using var pass = _open();
            while (true)
            {
                _free.Wait(_stop.Token);
                if (!pass.Fill(_ring[_produced % _ring.Length], _stop.Token)) break;
                Volatile.Write(ref _produced, _produced + 1);
                _filled.Release();
            }
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            // Nobody reads any more.
        }
        catch (Exception e)
        {
            _failure = ExceptionDispatchInfo.Capture(e);
        }
        _ended = true;
        _filled.Release();
    }
}
