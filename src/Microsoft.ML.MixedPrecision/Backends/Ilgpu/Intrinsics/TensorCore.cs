using System.Runtime.CompilerServices;
using ILGPU.IR.Intrinsics;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// The instructions of a tensor-core product that C# cannot say, as ordinary static methods with two bodies each.
/// <para>
/// The body here is managed: ILGPU's simulator runs it, so that a kernel is tested without a GPU. For CUDA, <see cref="TensorCorePtx"/>
/// replaces the call by the PTX instruction that the summary names. ILGPU never compiles a method marked
/// <see cref="IntrinsicImplementationAttribute"/>, so these bodies may use all of .NET.
/// </para>
/// Methods marked "warp" are reached by all 32 lanes of a warp together.
/// </summary>
internal static class TensorCore
{
    /// <summary>
    /// Warp: ldmatrix.x4. Four 8 x 8 matrices of halves from shared memory: lane l passes the address of row l % 8 of matrix l / 8,
    /// eight neighbours; word i of the result is a pair of matrix i, its row l / 4, columns 2 (l % 4) and the next.
    /// </summary>
    /// <param name="row">The address.</param>
    /// <param name="offset">Rows of eight to go on from there; a constant, which becomes part of the instruction.</param>
    [IntrinsicImplementation]
    public static LeftFragment LoadLeft(ref Words4 row, int offset) => WarpSimulation.Current.LoadMatrices(ref row, offset, transposed: false);

    /// <summary>Warp: ldmatrix.x4.trans. As <see cref="LoadLeft"/>, each matrix transposed.</summary>
    [IntrinsicImplementation]
    public static LeftFragment LoadLeftTransposed(ref Words4 row, int offset) => WarpSimulation.Current.LoadMatrices(ref row, offset, transposed: true);

    /// <summary>Warp: ldmatrix.x4, for the other operand.</summary>
    [IntrinsicImplementation]
    public static RightFragments LoadRight(ref Words4 row, int offset) => Pairs(LoadLeft(ref row, offset));

    /// <summary>Warp: ldmatrix.x4.trans, for the other operand.</summary>
    [IntrinsicImplementation]
    public static RightFragments LoadRightTransposed(ref Words4 row, int offset) => Pairs(LoadLeftTransposed(ref row, offset));

    /// <summary>Warp: mma.m16n8k16, or twice mma.m16n8k8 before sm_80. sums + left * right, summed in FP32.</summary>
    [IntrinsicImplementation]
    public static Sums MultiplyAdd(Sums sums, LeftFragment left, RightFragment right) => WarpSimulation.Current.MultiplyAdd(sums, left, right);

    /// <summary>
    /// cp.async.cg: starts to copy 16 bytes from global to shared memory, or stores 16 bytes of zeros there. What was copied is there after
    /// <see cref="WaitForCopies"/> and a barrier. Before sm_80 an ordinary load and store.
    /// </summary>
    /// <param name="offset">Chunks of 16 bytes to go on from <paramref name="shared"/>; a constant, which becomes part of the instruction.</param>
    /// <param name="place">Halves to go on from <paramref name="global"/>: a multiple of eight.</param>
    /// <param name="copies">Zeros where it is false; nothing is read then, and the place may be anywhere.</param>
    [IntrinsicImplementation]
    public static void CopyAsync(ref Words4 shared, int offset, ref ushort global, int place, bool copies) =>
        CopySimulation.Current.Enqueue(ref Unsafe.Add(ref shared, offset), ref Unsafe.As<ushort, Words4>(ref Unsafe.Add(ref global, place)), copies);

    /// <summary>cp.async.commit_group: closes the group of the copies started so far.</summary>
    [IntrinsicImplementation]
    public static void CommitCopies() => CopySimulation.Current.Commit();

    /// <summary>cp.async.wait_group: waits until no more than some of this thread's groups are under way.</summary>
    /// <param name="pending">How many; a constant.</param>
    [IntrinsicImplementation]
    public static void WaitForCopies(int pending) => CopySimulation.Current.Wait(pending);

    /// <summary>cvt.rn.f16x2.f32: two floats, rounded to nearest, ties to even.</summary>
    [IntrinsicImplementation]
    public static uint PackHalves(float low, float high) =>
        BitConverter.HalfToUInt16Bits((Half)low) | (uint)BitConverter.HalfToUInt16Bits((Half)high) << 16;

    private static RightFragments Pairs(LeftFragment words) => new(new(words.W0, words.W1), new(words.W2, words.W3));
}
