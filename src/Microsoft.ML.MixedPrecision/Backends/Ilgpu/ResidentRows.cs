using ILGPU;
using ILGPU.Runtime;
using Half = ILGPU.Half;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// A data set in the memory of a GPU, as it is stored on the host: features in working storage, labels, weights. A batch is gathered by
/// index: to[n] = rows[order[start + n]], zeros behind the last row, as the host clears a short batch. The start is a counter on the device,
/// so that each batch is the same launches with the same arguments, and can be part of a captured step.
/// </summary>
internal sealed class ResidentRows : IResidentRows
{
    /// <summary>
    /// Of the memory that is free once the plan has its own. The rest is for other programs, the screen, and what drivers take as they go.
    /// </summary>
    public const double ShareOfFreeMemory = 0.75;

    // Elements of the cursor: where this batch starts in the order, and where the next one does.
    private const int Start = 0, Next = 1, CursorLength = 2;

    private readonly IlgpuBackend _gpu;
    private readonly MemoryBuffer1D<byte, Stride1D.Dense> _features, _labels, _weights;
    private readonly ArrayView<int> _order, _cursor;
    private readonly int _count, _batch;

    /// <param name="rows">At least one.</param>
    public ResidentRows(IlgpuBackend gpu, RowStore rows, ExecutionPlan plan)
    {
        (_gpu, _count, _batch) = (gpu, rows.Count, plan.Options.Batch);
        bool classes = plan.Targets.Labels.Element == ElementType.Int32;
        int width = plan.Features.Dimensions[1], values = classes ? 1 : plan.Targets.Labels.Dimensions[1];
        _order = Of<int>(gpu.AllocateBytes((long)_count * sizeof(int)));
        _cursor = Of<int>(gpu.AllocateBytes(CursorLength * sizeof(int)));
        _features = gpu.CopyOf(rows.Chunks, rows.Count, width * gpu.SizeOf(ElementType.Working), chunk => chunk.FeatureBytes);
        _labels = gpu.CopyOf(rows.Chunks, rows.Count, values * sizeof(float), chunk => chunk.LabelBytes);
        _weights = gpu.CopyOf(rows.Chunks, rows.Count, sizeof(float), chunk => chunk.WeightBytes);

        var order = new OrderArguments(_order, _cursor, _count);
        Gather =
        [
            gpu.For(1, NextBatch, new NextArguments(_cursor, gpu.View<int>(plan.Control.Counters), _batch, _count)),
            (gpu.Precision, gpu.Format, gpu.IsSimulator) switch
            {
                (Precision.Single, _, _) => Features<float, SingleStorage>(plan.Features, width, order),
                (_, HalfFormat.Bits, _) => Features<ushort, HalfBitsStorage>(plan.Features, width, order),
                (_, _, true) => Features<Half, SimulatedHalfStorage>(plan.Features, width, order),
                _ when gpu.IsCuda => Features<Half, CudaHalfStorage>(plan.Features, width, order),
                _ => Features<Half, HalfStorage>(plan.Features, width, order),
            },
            classes
                ? gpu.For(_batch, CopyClasses, new ClassArguments(Of<int>(_labels), Of<float>(_weights), gpu.View<int>(plan.Targets.Labels), gpu.View<float>(plan.Targets.Weights), order))
                : gpu.For(_batch, CopyValues, new ValueArguments(Of<float>(_labels), Of<float>(_weights), gpu.View<float>(plan.Targets.Labels), gpu.View<float>(plan.Targets.Weights), values, order)),
        ];
    }

    public IReadOnlyList<Action> Gather { get; }

    /// <summary>Bytes that the rows of a store and their order take on the device.</summary>
    public static long Bytes(RowStore rows) => (long)rows.Count * (rows.RowBytes + sizeof(int));

    public void Begin(ReadOnlySpan<int> order)
    {
        if (order.Length != _count) throw new ArgumentException($"The order has {order.Length} rows; there are {_count}.", nameof(order));
        _gpu.CopyIn(_order, order);
        _gpu.CopyIn(_cursor, [0, 0]);
    }

    private static ArrayView<T> Of<T>(MemoryBuffer1D<byte, Stride1D.Dense> buffer) where T : unmanaged => ((ArrayView<byte>)buffer.View).Cast<T>();

    private Action Features<T, TStorage>(Tensor to, int width, OrderArguments order) where T : unmanaged where TStorage : struct, IStorage<T> =>
        _gpu.For(to.Length, CopyFeatures<T, TStorage>, new FeatureArguments<T>(Of<T>(_features), _gpu.View<float>(to), width, order));

    internal readonly record struct NextArguments(ArrayView<int> Cursor, ArrayView<int> Counters, int Batch, int Count);

    internal readonly record struct OrderArguments(ArrayView<int> Order, ArrayView<int> Cursor, int Count);

    internal readonly record struct FeatureArguments<T>(ArrayView<T> From, ArrayView<float> To, int Width, OrderArguments Order) where T : unmanaged;

    internal readonly record struct ClassArguments(ArrayView<int> Labels, ArrayView<float> Weights, ArrayView<int> ToLabels, ArrayView<float> ToWeights, OrderArguments Order);

    internal readonly record struct ValueArguments(ArrayView<float> Labels, ArrayView<float> Weights, ArrayView<float> ToLabels, ArrayView<float> ToWeights, int Width, OrderArguments Order);

    private static void NextBatch(Index1D _, NextArguments a)
    {
        int start = a.Cursor[Next];
        a.Cursor[Start] = start;
        a.Cursor[Next] = start + a.Batch;
        a.Counters[StepControl.Rows] = Math.Min(a.Batch, a.Count - start);
    }

    private static void CopyFeatures<T, TStorage>(Index1D i, FeatureArguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T>
    {
        int n = i / a.Width, place = a.Order.Cursor[Start] + n;
        float value = 0f;
        if (place < a.Order.Count) value = TStorage.Load(a.From[(long)a.Order.Order[place] * a.Width + (i - n * a.Width)]);
        a.To[i] = value;
    }

    private static void CopyClasses(Index1D n, ClassArguments a)
    {
        int place = a.Order.Cursor[Start] + n, label = 0;
        float weight = 0f;
        if (place < a.Order.Count)
        {
            int row = a.Order.Order[place];
            label = a.Labels[row];
            weight = a.Weights[row];
        }
        a.ToLabels[n] = label;
        a.ToWeights[n] = weight;
    }

    private static void CopyValues(Index1D n, ValueArguments a)
    {
        int place = a.Order.Cursor[Start] + n, row = place < a.Order.Count ? a.Order.Order[place] : -1;
        for (int i = 0; i < a.Width; i++)
        {
            float value = 0f;
            if (row >= 0) value = a.Labels[(long)row * a.Width + i];
            a.ToLabels[n * a.Width + i] = value;
        }
        float weight = 0f;
        if (row >= 0) weight = a.Weights[row];
        a.ToWeights[n] = weight;
    }
}
