using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Microsoft.ML.MixedPrecision.OnnxProto;
using DataType = Microsoft.ML.MixedPrecision.OnnxProto.TensorProto.Types.DataType;

namespace Microsoft.ML.MixedPrecision;

/// <summary>A tensor that an ONNX file holds. Read when it is asked for: some are of types that nothing here wants.</summary>
internal sealed class OnnxConstant(TensorProto proto)
{
    public IReadOnlyList<int> Dimensions { get; } = [.. proto.Dims.Select(d => checked((int)d))];

    public int Length => Dimensions.Aggregate(1, (a, b) => checked(a * b));

    /// <summary>FP32 or FP16 numbers.</summary>
    /// <exception cref="NotSupportedException">It has others, or lies in another file.</exception>
    public float[] Singles()
    {
        ReadOnlySpan<byte> raw = Raw;
        var values = new float[Length];
        switch ((DataType)proto.DataType)
        {
            case DataType.Float when raw.IsEmpty:
                return Whole([.. proto.FloatData]);
            case DataType.Float:
                for (int i = 0; i < values.Length; i++) values[i] = BinaryPrimitives.ReadSingleLittleEndian(raw[(4 * i)..]);
                return values;
            case DataType.Float16 when raw.IsEmpty:
                return Whole([.. proto.Int32Data.Select(bits => (float)BitConverter.Int16BitsToHalf((short)bits))]);
            case DataType.Float16:
                for (int i = 0; i < values.Length; i++) values[i] = (float)BinaryPrimitives.ReadHalfLittleEndian(raw[(2 * i)..]);
                return values;
            default:
                throw Unreadable("FP32 or FP16 numbers");
        }
    }

    /// <summary>A matrix with its rows as columns.</summary>
    /// <exception cref="NotSupportedException">It is none.</exception>
    public OnnxConstant Transposed()
    {
        if (Dimensions is not [var rows, var columns]) throw new NotSupportedException($"ImportOnnx: constant '{proto.Name}': expected a matrix to transpose, got [{string.Join('x', Dimensions)}].");
        var turned = new TensorProto { Name = proto.Name, DataType = (int)DataType.Float, Dims = { columns, rows } };
        float[] values = Singles();
        for (int column = 0; column < columns; column++)
            for (int row = 0; row < rows; row++) turned.FloatData.Add(values[row * columns + column]);
        return new OnnxConstant(turned);
    }

    /// <summary>INT64 numbers: shapes, axes.</summary>
    /// <exception cref="NotSupportedException">It has others, or lies in another file.</exception>
    public long[] Integers()
    {
        if ((DataType)proto.DataType != DataType.Int64) throw Unreadable("INT64 numbers");
        return Raw.IsEmpty ? Whole([.. proto.Int64Data]) : BitConverter.IsLittleEndian ? MemoryMarshal.Cast<byte, long>(Raw).ToArray() : throw new PlatformNotSupportedException("Expected a little-endian processor.");
    }

    private ReadOnlySpan<byte> Raw => proto.DataLocation == TensorProto.Types.DataLocation.Default ? proto.RawData.Span : throw Unreadable("its numbers within the file");

    private T[] Whole<T>(T[] values) => values.Length == Length ? values : throw new InvalidDataException($"ImportOnnx: constant '{proto.Name}': expected {Length} numbers for [{string.Join('x', Dimensions)}], got {values.Length}; the file is broken.");

    private NotSupportedException Unreadable(string expected) => new(
        $"ImportOnnx: constant '{proto.Name}': expected {expected}, got {(proto.DataLocation == TensorProto.Types.DataLocation.External ? "a file beside it" : $"numbers of ONNX type {proto.DataType}")}; export the model as one file in FP32 or FP16.");
}
