using ILGPU;
using ILGPU.Runtime;

namespace Microsoft.ML.MixedPrecision;

internal sealed partial class ColumnCopy
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => gpu.For(Rows * count, Run, new Arguments<T>(
        gpu.View<T>(from), gpu.View<T>(to), from.Dimensions[^1], to.Dimensions[^1], fromColumn, toColumn, count));

    internal readonly record struct Arguments<T>(ArrayView<T> From, ArrayView<T> To, int FromPitch, int ToPitch, int FromColumn, int ToColumn, int Count) where T : unmanaged;

    private static void Run<T>(Index1D i, Arguments<T> a) where T : unmanaged
    {
        int row = i / a.Count, c = i - row * a.Count;
        a.To[row * a.ToPitch + a.ToColumn + c] = a.From[row * a.FromPitch + a.FromColumn + c];
    }
}
