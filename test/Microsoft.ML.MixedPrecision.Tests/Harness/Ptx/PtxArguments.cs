using System.Reflection;
using System.Runtime.InteropServices;
using ILGPU;
using ILGPU.Runtime;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>
/// A kernel's parameter block as ILGPU's launcher lays it out: parameters in order, each aligned; structs as C lays them out,
/// padded at their end; a view as address and length, 8 bytes each; an empty struct as a byte. Every parameter's size, and every
/// load of one, is checked against this.
/// </summary>
internal sealed class PtxArguments
{
    private readonly byte[] _bytes;
    private readonly Dictionary<int, int> _sizes = []; // offset of a value, bytes of it
    private readonly PtxMemory _memory;

    public PtxArguments(PtxProgram program, IReadOnlyList<object> arguments, PtxMemory memory)
    {
        var parameters = program.Parameters;
        if (parameters.Count != arguments.Count) throw new PtxFaultException($"{program.Name} has {parameters.Count} parameters, and {arguments.Count} arguments were given.");
        _memory = memory;
        _bytes = new byte[parameters.Count == 0 ? 0 : parameters[^1].Offset + parameters[^1].Size + 16];
        foreach (var (parameter, argument) in parameters.Zip(arguments))
        {
            int end = Put(argument, parameter.Offset);
            if (end != parameter.Offset + parameter.Size)
                throw new PtxFaultException($"{program.Name}: parameter {parameter.Name} has {parameter.Size} bytes, and the argument of type {argument.GetType()} takes {end - parameter.Offset}.");
        }
    }

    public ulong Load(ulong offset, int width)
    {
        if (_sizes.GetValueOrDefault((int)offset) != width) throw new PtxFaultException($"no parameter of {width} bytes lies at {offset}");
        ulong value = 0;
        for (int i = width - 1; i >= 0; i--) value = value << 8 | _bytes[(int)offset + i];
        return value;
    }

    /// <summary>Puts a value at the next place that suits it, and returns the place after it.</summary>
    private int Put(object value, int offset) => value switch
    {
        IPtxView view => PutView(offset, view.Address, view.Length, view.Bytes),
        IContiguousArrayView view => PutView(offset, view.IsValid ? (ulong)view.Buffer.NativePtr + (ulong)view.IndexInBytes : 0, view.Length, view.LengthInBytes),
        int v => PutBits(offset, (uint)v, 4),
        uint v => PutBits(offset, v, 4),
        float v => PutBits(offset, BitConverter.SingleToUInt32Bits(v), 4),
        long v => PutBits(offset, (ulong)v, 8),
        ulong v => PutBits(offset, v, 8),
        double v => PutBits(offset, BitConverter.DoubleToUInt64Bits(v), 8),
        ushort v => PutBits(offset, v, 2),
        short v => PutBits(offset, (ushort)v, 2),
        byte v => PutBits(offset, v, 1),
        sbyte v => PutBits(offset, (byte)v, 1),
        System.Half v => PutBits(offset, BitConverter.HalfToUInt16Bits(v), 2),
        ILGPU.Half v => PutBits(offset, Interop.FloatAsInt(v), 2),
        Enum v => Put(Convert.ChangeType(v, Enum.GetUnderlyingType(v.GetType()), System.Globalization.CultureInfo.InvariantCulture), offset),
        ValueType v when v.GetType() is { IsPrimitive: false } type => PutFields(v, type, offset),
        _ => throw new PtxFaultException($"A kernel has no arguments of type {value.GetType()}."),
    };

    private int PutFields(object value, Type type, int offset)
    {
        var fields = type.GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic);
        if (fields.Length == 0) return PutBits(offset, 0, 1);
        int alignment = AlignmentOf(value);
        offset = Align(offset, alignment);
        foreach (var field in fields.OrderBy(f => f.MetadataToken)) offset = Put(field.GetValue(value)!, offset);
        return Align(offset, alignment);
    }

    /// <summary>Of a scalar its size, of a struct the largest of its fields'.</summary>
    private static int AlignmentOf(object value) => value switch
    {
        IContiguousArrayView => 8,
        ValueType v when v.GetType() is { IsPrimitive: false, IsEnum: false } type =>
            type.GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic).Select(f => AlignmentOf(f.GetValue(v)!)).DefaultIfEmpty(1).Max(),
        Enum v => Marshal.SizeOf(Enum.GetUnderlyingType(v.GetType())),
        _ => Marshal.SizeOf(value),
    };

    private static int Align(int offset, int to) => (offset + to - 1) / to * to;

    private int PutView(int offset, ulong address, long length, long bytes)
    {
        _memory.Allow(address, bytes);
        return PutBits(PutBits(offset, address, 8), (ulong)length, 8);
    }

    private int PutBits(int offset, ulong bits, int width)
    {
        offset = Align(offset, width);
        for (int i = 0; i < width && offset + i < _bytes.Length; i++) _bytes[offset + i] = (byte)(bits >> (8 * i));
        _sizes[offset] = width;
        return offset + width;
    }
}
