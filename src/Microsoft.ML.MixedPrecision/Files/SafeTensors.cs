using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Microsoft.ML.MixedPrecision;

/// <summary>Named tensors of FP32 or FP16 numbers in a file of the safetensors format (huggingface.co/docs/safetensors): the length of a JSON header, the header, the numbers. Little endian.</summary>
internal static class SafeTensors
{
    private const int MaxHeader = 100_000_000; // the format's own limit
    private const string Metadata = "__metadata__";

    public static void Write(Stream stream, IReadOnlyList<(string Name, IReadOnlyList<int> Shape, float[] Values)> tensors)
    {
        var header = new JsonObject();
        long end = 0;
        foreach (var (name, shape, values) in tensors)
        {
            long start = end;
            end += 4L * values.Length;
            header.Add(name, new JsonObject { ["dtype"] = "F32", ["shape"] = new JsonArray([.. shape.Select(d => JsonValue.Create(d))]), ["data_offsets"] = new JsonArray(start, end) });
        }
        byte[] text = Encoding.UTF8.GetBytes(header.ToJsonString());
        int padding = (8 - text.Length % 8) % 8; // the numbers are to be aligned
        Span<byte> length = stackalloc byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(length, text.Length + padding);
        stream.Write(length);
        stream.Write(text);
        stream.Write("        "u8[..padding]);
        foreach (var (_, _, values) in tensors) stream.Write(MemoryMarshal.AsBytes<float>(LittleEndian.Of(values)));
    }

    /// <exception cref="InvalidDataException">It is another file, or a part of one, or has numbers of another type.</exception>
    public static Dictionary<string, (int[] Shape, float[] Values)> Read(Stream stream)
    {
        try
        {
            Span<byte> length = stackalloc byte[8];
            stream.ReadExactly(length);
            long size = BinaryPrimitives.ReadInt64LittleEndian(length);
            if (size is < 2 or > MaxHeader || size > stream.Length - 8) throw new InvalidDataException("it begins like another kind of file");
            byte[] text = new byte[size];
            stream.ReadExactly(text);
            var tensors = new Dictionary<string, (int[], float[])>(StringComparer.Ordinal);
            foreach (var (name, entry) in JsonNode.Parse(text)!.AsObject())
            {
                if (name == Metadata) continue;
                int[] shape = [.. entry!["shape"]!.AsArray().Select(d => d!.GetValue<int>())];
                long[] offsets = [.. entry["data_offsets"]!.AsArray().Select(o => o!.GetValue<long>())];
                tensors.Add(name, (shape, Numbers(stream, 8 + size + offsets[0], offsets[1] - offsets[0], entry["dtype"]!.GetValue<string>(), shape, name)));
            }
            return tensors;
        }
        catch (Exception e) when (e is EndOfStreamException or JsonException or InvalidOperationException or NullReferenceException or FormatException or IndexOutOfRangeException)
        {
            throw new InvalidDataException("it is broken, or another kind of file", e);
        }
    }

    private static float[] Numbers(Stream stream, long start, long bytes, string type, int[] shape, string name)
    {
        int size = type switch { "F32" => 4, "F16" => 2, _ => throw new InvalidDataException($"'{name}' has numbers of type {type}, not F32 or F16") };
        long count = shape.Aggregate(1L, (a, b) => checked(a * b));
        if (bytes != size * count || start + bytes > stream.Length) throw new InvalidDataException($"'{name}' has {bytes} bytes for [{string.Join('x', shape)}] of {type}");
        stream.Position = start;
        if (size == 2)
        {
            var halves = new Half[count];
            stream.ReadExactly(MemoryMarshal.AsBytes(halves.AsSpan()));
            LittleEndian.Turn<Half>(halves);
            return [.. halves.Select(half => (float)half)];
        }
        var values = new float[count];
        stream.ReadExactly(MemoryMarshal.AsBytes(values.AsSpan()));
        LittleEndian.Turn<float>(values);
        return values;
    }
}
