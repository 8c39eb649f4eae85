using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Microsoft.ML.MixedPrecision;

/// <summary>The order of bytes in files, both of ONNX and of safetensors.</summary>
internal static class LittleEndian
{
    /// <summary>Turns the bytes of each number where the processor has them in the other order: from a file's to the processor's, and back.</summary>
    public static void Turn<T>(Span<T> values) where T : unmanaged
    {
        if (BitConverter.IsLittleEndian) return;
        var bytes = MemoryMarshal.AsBytes(values);
        switch (Unsafe.SizeOf<T>())
        {
            case 2: Turn(MemoryMarshal.Cast<byte, ushort>(bytes), BinaryPrimitives.ReverseEndianness); break;
            case 4: Turn(MemoryMarshal.Cast<byte, uint>(bytes), BinaryPrimitives.ReverseEndianness); break;
            default: Turn(MemoryMarshal.Cast<byte, ulong>(bytes), BinaryPrimitives.ReverseEndianness); break;
        }
    }

    /// <summary>The same numbers for a file: the array itself where nothing need be turned.</summary>
    public static float[] Of(float[] values)
    {
        if (BitConverter.IsLittleEndian) return values;
        values = [.. values];
        Turn<float>(values);
        return values;
    }

    private static void Turn<T>(Span<T> words, Func<T, T> reverse)
    {
        foreach (ref var word in words) word = reverse(word);
    }
}
