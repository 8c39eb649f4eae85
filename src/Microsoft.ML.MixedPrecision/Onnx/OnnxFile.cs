namespace Microsoft.ML.MixedPrecision;

/// <summary>Writes an ONNX model. A file is there whole, or as it was before.</summary>
internal static class OnnxFile
{
    /// <exception cref="IOException">The file cannot be written; the message names path and remedy.</exception>
    public static void Save(OnnxModel model, string path)
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
                Save(model, stream);
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
            new($"The ONNX model cannot be written to '{full}': {reason}. Choose a file in an existing folder that this process may write to.", inner);
    }

    public static void Save(OnnxModel model, Stream stream) => model.WriteTo(stream);
}
