using System.Buffers.Binary;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>
/// An operand of a warp group's product in shared memory, as a matrix descriptor names it: some lines (rows of A, columns of B), 16 values
/// of k each, all in chunks of 8 halves. The chunks of 128 bytes are swizzled: bits 4 to 6 of an address are exchanged by its bits 7 to 9.
/// <para>
/// Along k, a line has 64 values of k in 128 bytes; eight lines follow each other, and the next eight are a stride away.
/// Across it, a value of k has 64 lines in 128 bytes; eight values of k follow each other, the next eight are a stride away, and
/// the next 64 lines a leading stride.
/// </para>
/// </summary>
internal sealed class PtxMatrix
{
    /// <summary>Values of k in a product.</summary>
    public const int Depth = 16;

    private const int Width = 128, Block = 8 * Width; // bytes of a row, and of the eight that the swizzle mixes
    private const ulong Swizzle128 = 1, Meaning = 3ul << 62 | 0x3FFFul << 32 | 0x3FFFul << 16 | 0x3FFF;

    private readonly bool _alongK;
    private readonly int _start, _leading, _stride;

    public PtxMatrix(ulong descriptor, int lines, bool alongK)
    {
        Lines = lines;
        _alongK = alongK;
        (_start, _leading, _stride) = (Field(descriptor, 0), Field(descriptor, 16), Field(descriptor, 32));
        if (descriptor >> 62 != Swizzle128 || (descriptor & ~Meaning) != 0) throw new PtxFaultException($"PtxMachine knows matrices in rows of 128 bytes, swizzled, with no offset of their base, not descriptor {descriptor:X16}");
        int within = _start % Block;
        if (alongK ? within >= Width || within % (Depth * 2) != 0 : within != 0) throw new PtxFaultException($"misaligned: a matrix {(alongK ? "along" : "across")} k at shared address {_start}; tiles start at multiples of {Block}");
        if (_stride % Block != 0 || (!alongK && lines > Width / 2 && _leading % Block != 0)) throw new PtxFaultException($"misaligned: a matrix of strides {_leading} and {_stride}; blocks start at multiples of {Block}");
        Chunks = [.. Enumerable.Range(0, lines * Depth / 8).Select(Place)];
    }

    /// <summary>Rows of A, or columns of B.</summary>
    public int Lines { get; }

    /// <summary>Where the chunks of 16 bytes lie.</summary>
    public IReadOnlyList<int> Chunks { get; }

    /// <summary>The values, those of one k together.</summary>
    public float[] Read(PtxShared shared)
    {
        var values = new float[Depth * Lines];
        for (int i = 0; i < Chunks.Count; i++)
        {
            var (line, k) = First(i);
            var bytes = shared.Chunk(Chunks[i]);
            for (int j = 0; j < 8; j++) values[_alongK ? (k + j) * Lines + line : k * Lines + line + j] = (float)BinaryPrimitives.ReadHalfLittleEndian(bytes[(2 * j)..]);
        }
        return values;
    }

    private static int Field(ulong descriptor, int bit) => (int)(descriptor >> bit & 0x3FFF) << 4;

    /// <summary>A chunk's first line and value of k.</summary>
    private (int Line, int K) First(int chunk) => _alongK ? (chunk / 2, chunk % 2 * 8) : (chunk % (Lines / 8) * 8, chunk / (Lines / 8));

    private int Place(int chunk)
    {
        var (line, k) = First(chunk);
        int address = _start + (_alongK ? line / 8 * _stride + line % 8 * Width + k * 2 : line / (Width / 2) * _leading + k / 8 * _stride + k % 8 * Width + line % (Width / 2) * 2);
        return address ^ (address / Width % 8 << 4);
    }
}
