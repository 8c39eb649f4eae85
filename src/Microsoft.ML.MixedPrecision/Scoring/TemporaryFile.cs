namespace Microsoft.ML.MixedPrecision;

/// <summary>A file for as long as this object lives: removed when it is disposed, collected, or the process ends.</summary>
internal sealed class TemporaryFile : IDisposable
{
    private readonly EventHandler _onExit;
    private int _removed;

    /// <param name="write">Writes the content.</param>
    /// <param name="extension">Of the name, with its dot.</param>
    public TemporaryFile(Action<Stream> write, string extension)
    {
        // Not the system's numbered temporary names: those are created first and found by others.
        Name = System.IO.Path.Combine(System.IO.Path.GetTempPath(), $"MixedPrecision.{Guid.NewGuid():N}{extension}");
        using (var stream = new FileStream(Name, FileMode.CreateNew, FileAccess.Write, FileShare.None))
            write(stream);
        var self = new WeakReference<TemporaryFile>(this); // the event must not keep this alive
        _onExit = (_, _) => { if (self.TryGetTarget(out TemporaryFile? file)) file.Remove(); };
        AppDomain.CurrentDomain.ProcessExit += _onExit;
    }

    ~TemporaryFile() => Remove();

    public string Name { get; }

    public void Dispose()
    {
        Remove();
        GC.SuppressFinalize(this);
    }

    private void Remove()
    {
        if (Interlocked.Exchange(ref _removed, 1) != 0) return;
        AppDomain.CurrentDomain.ProcessExit -= _onExit;
        try
        {
            File.Delete(Name);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Windows keeps a file that somebody still has open. A finalizer has nobody to tell; the folder is a temporary one.
        }
    }
}
