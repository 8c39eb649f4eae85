using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// Persistent threads that run one job together with their caller. A job is a static function and a pointer to its
/// arguments on the caller's stack, or a delegate made beforehand: starting one allocates nothing. Workers spin until
/// 50 us after the whole job, at most for 1 ms after their own part, which bridges the gaps inside a training step (hand-off 0.35 us), then park (hand-off 40 to 90 us). A part
/// that its worker has not begun when the caller is done with its own, the caller takes back: it never waits for a thread to
/// wake, or for a neighbour on the worker's core. The pool serves one caller at a time; another one meanwhile does all parts
/// itself. Who runs a part changes no bit.
/// </summary>
internal sealed unsafe class WorkerPool
{
    private static readonly long SpinTicks = Stopwatch.Frequency / 20_000, MostSpinTicks = Stopwatch.Frequency / 1_000; // 50 us, 1 ms

    private readonly Worker[] _workers;
    private readonly nint _self; // a handle on this pool, which lives as long as its threads: to the end of the process
    private int _busy;
    private Action<int>? _part;
    private ExceptionDispatchInfo? _failure;

    public WorkerPool(int threads)
    {
        _self = GCHandle.ToIntPtr(GCHandle.Alloc(this));
        _workers = new Worker[threads - 1];
        for (int i = 0; i < _workers.Length; i++) _workers[i] = new Worker(this, i + 1);
    }

    public static WorkerPool Shared { get; } = new(Environment.ProcessorCount);

    public int Threads => _workers.Length + 1;

    /// <summary>job(arguments, 0..parts-1), here and on the workers; returns when all are done. The job must not throw.</summary>
    public void Run(int parts, delegate*<void*, int, void> job, void* arguments)
    {
        if (parts <= 1 || Interlocked.CompareExchange(ref _busy, 1, 0) != 0)
        {
            for (int i = 0; i < parts; i++) job(arguments, i);
            return;
        }
        try
        {
            RunTogether(parts, job, arguments);
        }
        finally
        {
            Volatile.Write(ref _busy, 0);
        }
    }

    /// <summary>part(0..parts-1), here and on the workers; returns when all are done. The first exception of a part is thrown here.</summary>
    public void Run(int parts, Action<int> part)
    {
        if (parts <= 1 || Interlocked.CompareExchange(ref _busy, 1, 0) != 0)
        {
            for (int i = 0; i < parts; i++) part(i);
            return;
        }
        ExceptionDispatchInfo? failure;
        try
        {
            _part = part;
            RunTogether(parts, &RunPart, (void*)_self);
        }
        finally
        {
            (failure, _failure, _part) = (_failure, null, null);
            Volatile.Write(ref _busy, 0);
        }
        failure?.Throw();
    }

    private static void RunPart(void* pool, int index)
    {
        var self = (WorkerPool)GCHandle.FromIntPtr((nint)pool).Target!;
        try
        {
            self._part!(index);
        }
        catch (Exception e)
        {
            Interlocked.CompareExchange(ref self._failure, ExceptionDispatchInfo.Capture(e), null);
        }
    }

    private void RunTogether(int parts, delegate*<void*, int, void> job, void* arguments)
    {
        int helpers = Math.Min(parts - 1, _workers.Length);
        for (int i = 0; i < helpers; i++) _workers[i].Start(job, arguments);
        job(arguments, 0);
        for (int i = helpers + 1; i < parts; i++) job(arguments, i);
        for (int i = 0; i < helpers; i++)
            if (_workers[i].TakeBack()) job(arguments, i + 1);
        for (int i = 0; i < helpers; i++) _workers[i].Wait();
    }

    [SuppressMessage("Design", "CA1001", Justification = "A worker lives to the end of the process.")]
    private sealed class Worker
    {
        private readonly WorkerPool _pool;
        private readonly int _index;
        private readonly AutoResetEvent _wake = new(false);
        private delegate*<void*, int, void> _job;
        private void* _arguments;
        private int _started, _claimed, _finished; // numbers of jobs: given out, begun by someone, done
        private int _parked;

        public Worker(WorkerPool pool, int index)
        {
            _pool = pool;
            _index = index;
            new Thread(Loop) { IsBackground = true, Name = $"MixedPrecision {index}" }.Start();
        }

        public void Start(delegate*<void*, int, void> job, void* arguments)
        {
            _job = job;
            _arguments = arguments;
            // A full fence between publishing the job and looking at _parked, as in Park: one side sees the other.
            Interlocked.Increment(ref _started);
            if (Volatile.Read(ref _parked) == 1) _wake.Set();
        }

        /// <summary>True if the worker had not begun the job: the caller does it.</summary>
        public bool TakeBack()
        {
            if (!Claim(_started)) return false;
            _finished = _started;
            return true;
        }

        private bool Claim(int job) => Interlocked.CompareExchange(ref _claimed, job, job - 1) == job - 1;

        public void Wait()
        {
            var spinner = new SpinWait();
            for (int i = 0; Volatile.Read(ref _finished) != _started; i++)
            {
                if (i < 20_000) Thread.SpinWait(1);
                else spinner.SpinOnce(-1);
            }
        }

        private void Loop()
        {
            for (int seen = 0; ;)
            {
                long now = Stopwatch.GetTimestamp(), until = now + SpinTicks, latest = now + MostSpinTicks;
                while (Volatile.Read(ref _started) == seen)
                {
                    for (int i = 0; i < 16 && Volatile.Read(ref _started) == seen; i++) Thread.SpinWait(1);
                    now = Stopwatch.GetTimestamp();
                    // Parts of a millisecond easily end 50 us apart: whoever is done first waits for the others, and for what comes after.
                    if (Volatile.Read(ref _pool._busy) != 0) until = now + SpinTicks;
                    if (now > until || now > latest) Park(seen);
                }
                // Some jobs may have come and been taken back meanwhile. One that is claimed here stays until it is finished.
                seen = Volatile.Read(ref _started);
                if (!Claim(seen)) continue;
                _job(_arguments, _index);
                Volatile.Write(ref _finished, seen);
            }
        }

        private void Park(int seen)
        {
            Interlocked.Exchange(ref _parked, 1);
            while (Volatile.Read(ref _started) == seen) _wake.WaitOne();
            Volatile.Write(ref _parked, 0);
        }
    }
}
