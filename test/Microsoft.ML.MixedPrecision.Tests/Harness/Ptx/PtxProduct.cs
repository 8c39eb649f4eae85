using System.Numerics;
using System.Runtime.InteropServices;
using static System.BitConverter;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>
/// A product of a warp group under way: D[64, n] = A[64, 16] * B[16, n], added to D or not. Warp w of the four has rows 16 w to
/// 16 w + 15: its lane l has in register i row l / 4, plus 8 where i % 4 is 2 or 3, of column 8 (i / 4) + 2 (l % 4) + i % 2.
/// Summed in k's order; hardware adds in an order of its own.
/// </summary>
/// <param name="Shape">"m64n128k16".</param>
/// <param name="Sums">n / 2 registers.</param>
/// <param name="Adds">Whether D counts, or is only written.</param>
internal sealed record PtxProduct(string Shape, PtxOperand[] Sums, PtxMatrix Left, PtxMatrix Right, bool Adds)
{
    /// <summary>Rows of A.</summary>
    public const int Rows = 64;

    public void Compute(PtxWarp[] warps, PtxShared shared)
    {
        int columns = Right.Lines;
        float[] left = Left.Read(shared), right = Right.Read(shared), sums = new float[Rows * columns];
        if (Adds) Exchange(warps, (ref ulong register, ref float sum) => sum = UInt32BitsToSingle((uint)register), sums);
        for (int row = 0; row < Rows; row++)
        {
            var to = MemoryMarshal.Cast<float, Vector<float>>(sums.AsSpan(row * columns, columns));
            for (int k = 0; k < PtxMatrix.Depth; k++)
            {
                var factor = new Vector<float>(left[k * Rows + row]);
                var from = MemoryMarshal.Cast<float, Vector<float>>(right.AsSpan(k * columns, columns));
                for (int i = 0; i < to.Length; i++) to[i] += factor * from[i];
            }
        }
        Exchange(warps, (ref ulong register, ref float sum) => register = SingleToUInt32Bits(sum), sums);
    }

    private delegate void Exchanger(ref ulong register, ref float sum);

    private void Exchange(PtxWarp[] warps, Exchanger exchange, float[] sums)
    {
        for (int i = 0; i < Sums.Length; i++)
        {
            for (int w = 0; w < warps.Length; w++)
            {
                var register = warps[w][Sums[i]];
                for (int lane = 0; lane < 32; lane++)
                {
                    int row = w * 16 + lane / 4 + i % 4 / 2 * 8, column = i / 4 * 8 + lane % 4 * 2 + i % 2;
                    exchange(ref register[lane], ref sums[row * Right.Lines + column]);
                }
            }
        }
    }
}
