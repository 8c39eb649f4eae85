using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using ILGPU;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// The matrix instructions of a warp on ILGPU's simulator, where each lane is an OS thread. The lanes share a board: each writes its
/// words there, waits for the others and computes its own results.
/// </summary>
internal sealed class WarpSimulation
{
    private const int Lanes = 32;

    private static readonly ConcurrentDictionary<int, Board[]> Boards = new();
    private static int _lastBoards;

    [ThreadStatic]
    private static WarpSimulation? _current;

    private readonly Board[] _boards;
    private readonly int _lane;
    private int _turn;

    private WarpSimulation(Board[] boards, int lane) => (_boards, _lane) = (boards, lane);

    /// <summary>That of the calling lane. Simulated threads live as long as their simulator, and each stays the lane it is.</summary>
    public static WarpSimulation Current => _current ??= Join();

    // The first use in a thread is an instruction of the whole warp: lane 0 makes the boards and tells their number.
    private static WarpSimulation Join()
    {
        if (Warp.WarpSize != Lanes) throw new NotSupportedException($"Tensor-core kernels: expected warps of {Lanes} lanes, got {Warp.WarpSize}; use another simulator.");
        int number = 0;
        if (Warp.LaneIdx == 0)
        {
            number = Interlocked.Increment(ref _lastBoards);
            Boards[number] = [new(), new()];
        }
        number = Warp.Shuffle(number, 0);
        return new(Boards[number], Warp.LaneIdx);
    }

    public LeftFragment LoadMatrices(ref Words4 row, int offset, bool transposed)
    {
        var rows = Turn().Rows;
        rows[_lane] = Unsafe.Add(ref row, offset);
        Warp.Barrier();
        return new(Pair(rows, 0, transposed), Pair(rows, 1, transposed), Pair(rows, 2, transposed), Pair(rows, 3, transposed));
    }

    public Sums MultiplyAdd(Sums sums, LeftFragment left, RightFragment right)
    {
        var board = Turn();
        int group = _lane / 4, pair = _lane % 4 * 2;
        Publish(board.Left, group * 16 + pair, left.W0);
        Publish(board.Left, (group + 8) * 16 + pair, left.W1);
        Publish(board.Left, group * 16 + pair + 8, left.W2);
        Publish(board.Left, (group + 8) * 16 + pair + 8, left.W3);
        Publish(board.Right, group * 16 + pair, right.W0);
        Publish(board.Right, group * 16 + pair + 8, right.W1);
        Warp.Barrier();
        return new(sums.C0 + board.Dot(group, pair), sums.C1 + board.Dot(group, pair + 1), sums.C2 + board.Dot(group + 8, pair), sums.C3 + board.Dot(group + 8, pair + 1));
    }

    private uint Pair(Words4[] rows, int matrix, bool transposed)
    {
        int group = _lane / 4, pair = _lane % 4 * 2;
        return transposed
            ? Element(rows, matrix * 8 + pair, group) | (uint)Element(rows, matrix * 8 + pair + 1, group) << 16
            : Element(rows, matrix * 8 + group, pair) | (uint)Element(rows, matrix * 8 + group, pair + 1) << 16;
    }

    private static ushort Element(Words4[] rows, int row, int column) => Unsafe.Add(ref Unsafe.As<Words4, ushort>(ref rows[row]), column);

    private static void Publish(float[] target, int place, uint pair)
    {
        target[place] = (float)BitConverter.UInt16BitsToHalf((ushort)pair);
        target[place + 1] = (float)BitConverter.UInt16BitsToHalf((ushort)(pair >> 16));
    }

    // Two boards in turn, so that one barrier an instruction is enough: nobody writes a board again before all have passed the next barrier.
    private Board Turn() => _boards[_turn ^= 1];

    private sealed class Board
    {
        public readonly Words4[] Rows = new Words4[Lanes];
        public readonly float[] Left = new float[16 * 16], Right = new float[8 * 16];

        public float Dot(int row, int column)
        {
            float sum = 0f;
            for (int k = 0; k < 16; k++) sum += Left[row * 16 + k] * Right[column * 16 + k];
            return sum;
        }
    }
}
