using ILGPU;
using ILGPU.Runtime;

namespace Microsoft.ML.MixedPrecision;

internal sealed partial class ColumnSum
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu)
    {
        var parts = gpu.View<float>(_parts);
        var sumParts = gpu.For(_parts.Length, SumPart<T, TStorage>, new PartArguments<T>(gpu.View<T>(_x), parts, _rows, _columns));
        var sum = gpu.For(_columns, SumColumn<T, TStorage>, new ColumnArguments<T>(parts, gpu.View<T>(_y), Parts, _columns));
        return () => { sumParts(); sum(); };
    }

    internal readonly record struct PartArguments<T>(ArrayView<T> X, ArrayView<float> Parts, int Rows, int Columns) where T : unmanaged;

    internal readonly record struct ColumnArguments<T>(ArrayView<float> Parts, ArrayView<T> Y, int PartCount, int Columns) where T : unmanaged;

    /// <summary>One thread for each part and column: neighbours read neighbouring columns.</summary>
    private static void SumPart<T, TStorage>(Index1D i, PartArguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T>
    {
        int part = i / a.Columns, column = i - part * a.Columns;
        int end = Math.Min(a.Rows, (part + 1) * RowsPerPart);
        float sum = 0f;
        for (int r = part * RowsPerPart; r < end; r++) sum += TStorage.Load(a.X[(long)r * a.Columns + column]);
        a.Parts[i] = sum;
    }

    private static void SumColumn<T, TStorage>(Index1D column, ColumnArguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T>
    {
        float sum = 0f;
        for (int part = 0; part < a.PartCount; part++) sum += a.Parts[part * a.Columns + column];
        a.Y[column] = TStorage.Store(sum);
    }
}
