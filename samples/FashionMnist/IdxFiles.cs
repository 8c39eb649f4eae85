using System.Buffers.Binary;
using System.IO.Compression;
using Microsoft.ML.Data;

namespace Samples;

/// <summary>One picture of a garment.</summary>
internal sealed class Garment
{
    /// <summary>28x28 pixels row by row, 0 (nothing) to 1.</summary>
    [VectorType(28 * 28), ColumnName("Features")]
    public float[] Pixels { get; set; } = [];

    public string Label { get; set; } = "";
}

/// <summary>The data set's IDX files, as they are or as .gz: a big-endian header (magic, extents) and bytes.</summary>
internal static class IdxFiles
{
    private static readonly string[] s_names = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"];

    /// <param name="folder">Where the four files are.</param>
    /// <param name="set">"train" (60,000 pictures) or "t10k" (10,000).</param>
    public static Garment[] Read(string folder, string set)
    {
        var images = Bytes(folder, $"{set}-images-idx3-ubyte", 2051, headerLength: 16);
        var labels = Bytes(folder, $"{set}-labels-idx1-ubyte", 2049, headerLength: 8);
        const int size = 28 * 28;
        if (images.Length != labels.Length * size) throw new InvalidDataException($"{set}: expected {labels.Length} pictures of 28x28 pixels, got {images.Length} bytes of pixels.");
        return [.. labels.Select((label, i) => new Garment { Label = s_names[label], Pixels = Array.ConvertAll(images.AsSpan(i * size, size).ToArray(), pixel => pixel / 255f) })];
    }

    private static byte[] Bytes(string folder, string name, int magic, int headerLength)
    {
        string path = Path.Combine(folder, name), packed = path + ".gz";
        if (!File.Exists(path) && !File.Exists(packed))
            throw new FileNotFoundException($"Expected {name} or {name}.gz in '{folder}'. Debian's package dataset-fashion-mnist puts them into /usr/share/datasets/fashion-mnist.");
        using Stream stream = File.Exists(path) ? File.OpenRead(path) : new GZipStream(File.OpenRead(packed), CompressionMode.Decompress);
        using var memory = new MemoryStream();
        stream.CopyTo(memory);
        var bytes = memory.ToArray();
        if (bytes.Length < headerLength || BinaryPrimitives.ReadInt32BigEndian(bytes) != magic) throw new InvalidDataException($"{name}: expected an IDX file that begins with {magic}.");
        return bytes[headerLength..];
    }
}
