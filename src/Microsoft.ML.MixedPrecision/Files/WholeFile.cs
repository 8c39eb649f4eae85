namespace Microsoft.ML.MixedPrecision;

/// <summary>Writes a file that is there whole, or as it was before.</summary>
internal static class WholeFile
{
    /// <param name="what">It is, for the message: "ONNX model".</param>
    /// <exception cref="IOException">The file cannot be written; the message names path and remedy.</exception>
    public static void Write(string path, string what, Action<Stream> write)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        string full = Path.GetFullPath(path);
        string? folder = Path.GetDirectoryName(full);
        if (folder is null || Path.GetFileName(full).Length == 0) throw CannotWrite("it names a folder, not a file", null);
        if (!Directory.Exists(folder)) throw CannotWrite($"the folder '{folder}' does not exist", null);
        if (Directory.Exists(full)) throw CannotWrite("it is a folder", null);

        // In the same folder, because a move is atomic only within one file system.
        string temporary = Path.Combine(folder, $".{Path.GetFileName(full)}.{Path.GetRandomFileName()}");
        try
        {
            using (var stream = new FileStream(temporary, FileMode.CreateNew, FileAccess.Write, FileShare.None))
            {
                write(stream);
                stream.Flush(flushToDisk: true);
            }
            File.Move(temporary, full, overwrite: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            if (File.Exists(temporary)) File.Delete(temporary);
            throw CannotWrite(e.Message.TrimEnd('.'), e);
        }

        IOException CannotWrite(string reason, Exception? inner) =>
            new($"The {what} cannot be written to '{full}': {reason}. Choose a file in an existing folder that this process may write to.", inner);
    }
}
