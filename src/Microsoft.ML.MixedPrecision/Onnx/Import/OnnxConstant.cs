using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using Google.Protobuf;
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
        switch ((DataType)proto.DataType)
        {
            case DataType.Float:
                return Whole([.. proto.FloatData]);
            case DataType.Float16:
                var halves = Whole<Half>([.. proto.Int32Data.Select(bits => BitConverter.Int16BitsToHalf((short)bits))]);
                var values = new float[halves.Length];
                TensorPrimitives.ConvertToSingle(halves, values);
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
        float[] values = Singles(), turned = new float[values.Length];
        for (int column = 0; column < columns; column++)
            for (int row = 0; row < rows; row++) turned[column * rows + row] = values[row * columns + column];
        return new OnnxConstant(new TensorProto { Name = proto.Name, DataType = (int)DataType.Float, Dims = { columns, rows }, RawData = UnsafeByteOperations.UnsafeWrap(new FloatBytes(LittleEndian.Of(turned)).Memory) });
    }

    /// <summary>INT64 numbers: shapes, axes.</summary>
    /// <exception cref="NotSupportedException">It has others, or lies in another file.</exception>
    public long[] Integers()
    {
        return (DataType)proto.DataType == DataType.Int64 ? Whole([.. proto.Int64Data]) : throw Unreadable("INT64 numbers");
    }

    /// <summary>All numbers, from the file's bytes where it has them as such.</summary>
    /// <param name="listed">The numbers that it has one by one; none where it has bytes.</param>
    private T[] Whole<T>(T[] listed) where T : unmanaged
    {
        if (proto.DataLocation != TensorProto.Types.DataLocation.Default) throw Unreadable("its numbers within the file");
        T[] values = listed;
        if (!proto.RawData.IsEmpty)
        {
            values = MemoryMarshal.Cast<byte, T>(proto.RawData.Span).ToArray();
            LittleEndian.Turn<T>(values);
        }
        return values.Length == Length ? values : throw new InvalidDataException($"ImportOnnx: constant '{proto.Name}': expected {Length} numbers for [{string.Join('x', Dimensions)}], got {values.Length}; the file is broken.");
    }

    private NotSupportedException Unreadable(string expected) => new(
        $"ImportOnnx: constant '{proto.Name}': expected {expected}, got {(proto.DataLocation == TensorProto.Types.DataLocation.External ? "a file beside it" : $"numbers of ONNX type {proto.DataType}")}; export the model as one file in FP32 or FP16.");
}
