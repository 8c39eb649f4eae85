using ILGPU;
using ILGPU.Runtime;

namespace Microsoft.ML.MixedPrecision;

/// <summary>Four floats that shared memory gives at once.</summary>
internal readonly record struct Quad(float A, float B, float C, float D)
{
    /// <summary>factor * values + sums.</summary>
    public static Quad MultiplyAdd(float factor, Quad values, Quad sums) =>
        new(factor * values.A + sums.A, factor * values.B + sums.B, factor * values.C + sums.C, factor * values.D + sums.D);
}

/// <summary>
/// The matrix product for every device that ILGPU knows: C[m, n] = A[m, k] * B[k, n] + bias[n].
/// A group of 64 threads makes a tile of 32 x 32: 16 values of k at a time go through shared memory as FP32, zeros beyond the
/// matrices, and every thread sums 4 x 4 elements in FP32. An element is one chain of sums in the order of k, whatever the shape.
/// 64 threads, because every device allows that many.
/// </summary>
internal static class PortableProduct
{
    private const int Threads = 64, Tile = 32, Depth = 16;

    /// <summary>Loads of a thread for each operand and each step of k.</summary>
    private const int Loads = Tile * Depth / Threads;

    /// <summary>
    /// Floats from one k to the next in shared memory: four more than the tile, so that threads that write one column for
    /// neighbouring k meet fewer equal banks. A multiple of four, for the quads.
    /// </summary>
    private const int Pitch = Tile + 4, QuadPitch = Pitch / 4;

    internal readonly record struct Arguments<T, TA, TB>(
        ArrayView<T> A, ArrayView<T> B, ArrayView<T> C, ArrayView<T> Bias, TA OperandA, TB OperandB,
        int M, int N, int K, int Start, int Pitch, int HasBias)
        where T : unmanaged where TA : struct, IGpuOperand where TB : struct, IGpuOperand;

    public static Action Bind<T, TStorage>(IlgpuBackend gpu, MatrixProduct product)
        where T : unmanaged where TStorage : struct, IStorage<T>
    {
        foreach (var tensor in (ReadOnlySpan<Tensor>)[product.A.Source, product.B.Source, product.C])
        {
            if (tensor.Length > int.MaxValue)
                throw new ArgumentException($"'{product.Name}': expected at most {int.MaxValue} elements in '{tensor.Name}', got {tensor.Length}; use a smaller batch.");
        }
        return product.A switch
        {
            DenseOperand a => Bind<T, TStorage, GpuDense>(gpu, product, new(a)),
            PatchesOperand { Transposed: false } a => Bind<T, TStorage, GpuPatches>(gpu, product, new(a.Geometry, a.Group)),
            PatchesOperand a => Bind<T, TStorage, GpuTransposed<GpuPatches>>(gpu, product, new(new(a.Geometry, a.Group))),
            GradientPatchesOperand a => Bind<T, TStorage, GpuGradientPatches>(gpu, product, new(a.Geometry, a.Group)),
            _ => throw new NotSupportedException($"'{product.Name}': {product.A.GetType().Name} cannot be the left operand."),
        };
    }

    private static Action Bind<T, TStorage, TA>(IlgpuBackend gpu, MatrixProduct product, TA a)
        where T : unmanaged where TStorage : struct, IStorage<T> where TA : struct, IGpuOperand => product.B switch
        {
            DenseOperand b => Bind<T, TStorage, TA, GpuDense>(gpu, product, a, new(b)),
            ReversedTapsOperand b => Bind<T, TStorage, TA, GpuReversedTaps>(gpu, product, a, new(b.Geometry, b.Group)),
            _ => throw new NotSupportedException($"'{product.Name}': {product.B.GetType().Name} cannot be the right operand."),
        };

    private static Action Bind<T, TStorage, TA, TB>(IlgpuBackend gpu, MatrixProduct product, TA a, TB b)
        where T : unmanaged where TStorage : struct, IStorage<T> where TA : struct, IGpuOperand where TB : struct, IGpuOperand
    {
        var c = gpu.View<T>(product.C);
        // Rows along X: the grid's Y ends at 65,535 on CUDA, and a convolution's rows are the pixels of a batch.
        var groups = new Index3D((product.M + Tile - 1) / Tile, (product.N + Tile - 1) / Tile, 1);
        return gpu.ForGroups(groups, new Index3D(Threads, 1, 1), Run<T, TStorage, TA, TB>, new Arguments<T, TA, TB>(
            gpu.View<T>(product.A.Source), gpu.View<T>(product.B.Source), c, product.Bias is { } bias ? gpu.View<T>(bias) : c, a, b,
            product.M, product.N, product.K, checked((int)product.Start), product.Pitch, product.Bias is null ? 0 : 1));
    }

    private static void Run<T, TStorage, TA, TB>(Arguments<T, TA, TB> a)
        where T : unmanaged where TStorage : struct, IStorage<T> where TA : struct, IGpuOperand where TB : struct, IGpuOperand
    {
        var quadsA = SharedMemory.Allocate<Quad>(Depth * QuadPitch);
        var quadsB = SharedMemory.Allocate<Quad>(Depth * QuadPitch);
        var tileA = quadsA.Cast<float>();
        var tileB = quadsB.Cast<float>();

        int thread = Group.IdxX, firstRow = Grid.IdxX * Tile, firstColumn = Grid.IdxY * Tile;
        int threadRow = thread >> 3, threadColumn = thread & 7; // of 8 x 8
        bool alongA = a.OperandA.ColumnsAdjoin != 0, alongB = a.OperandB.ColumnsAdjoin == 0; // neighbouring threads read neighbouring k
        var zero = new Quad(0f, 0f, 0f, 0f);
        Quad sum0 = zero, sum1 = zero, sum2 = zero, sum3 = zero;

        for (int first = 0; first < a.K; first += Depth)
        {
            for (int load = 0; load < Loads; load++)
            {
                int element = thread + load * Threads;
                int inner = alongA ? element & 15 : element >> 5, outer = alongA ? element >> 4 : element & 31;
                float value = 0f;
                if (first + inner < a.K && firstRow + outer < a.M)
                {
                    int place = a.OperandA.Place(a.OperandA.Row(firstRow + outer), a.OperandA.Column(first + inner));
                    if (place >= 0) value = TStorage.Load(a.A[place]);
                }
                tileA[inner * Pitch + outer] = value;
            }
            for (int load = 0; load < Loads; load++)
            {
                int element = thread + load * Threads;
                int inner = alongB ? element & 15 : element >> 5, outer = alongB ? element >> 4 : element & 31;
                float value = 0f;
                if (first + inner < a.K && firstColumn + outer < a.N)
                {
                    int place = a.OperandB.Place(a.OperandB.Row(first + inner), a.OperandB.Column(firstColumn + outer));
                    if (place >= 0) value = TStorage.Load(a.B[place]);
                }
                tileB[inner * Pitch + outer] = value;
            }
            Group.Barrier();
            for (int k = 0; k < Depth; k++)
            {
                Quad rows = quadsA[k * QuadPitch + threadRow], columns = quadsB[k * QuadPitch + threadColumn];
                sum0 = Quad.MultiplyAdd(rows.A, columns, sum0);
                sum1 = Quad.MultiplyAdd(rows.B, columns, sum1);
                sum2 = Quad.MultiplyAdd(rows.C, columns, sum2);
                sum3 = Quad.MultiplyAdd(rows.D, columns, sum3);
            }
            Group.Barrier();
        }

        int row = firstRow + threadRow * 4, column = firstColumn + threadColumn * 4;
        StoreRow<T, TStorage, TA, TB>(a, row, column, sum0);
        StoreRow<T, TStorage, TA, TB>(a, row + 1, column, sum1);
        StoreRow<T, TStorage, TA, TB>(a, row + 2, column, sum2);
        StoreRow<T, TStorage, TA, TB>(a, row + 3, column, sum3);
    }

    private static void StoreRow<T, TStorage, TA, TB>(Arguments<T, TA, TB> a, int row, int column, Quad sums)
        where T : unmanaged where TStorage : struct, IStorage<T> where TA : struct, IGpuOperand where TB : struct, IGpuOperand
    {
        if (row >= a.M) return;
        StoreElement<T, TStorage, TA, TB>(a, row, column, sums.A);
        StoreElement<T, TStorage, TA, TB>(a, row, column + 1, sums.B);
        StoreElement<T, TStorage, TA, TB>(a, row, column + 2, sums.C);
        StoreElement<T, TStorage, TA, TB>(a, row, column + 3, sums.D);
    }

    private static void StoreElement<T, TStorage, TA, TB>(Arguments<T, TA, TB> a, int row, int column, float sum)
        where T : unmanaged where TStorage : struct, IStorage<T> where TA : struct, IGpuOperand where TB : struct, IGpuOperand
    {
        if (column >= a.N) return;
        if (a.HasBias != 0) sum += TStorage.Load(a.Bias[column]);
        a.C[a.Start + row * a.Pitch + column] = TStorage.Store(sum);
    }
}
