using ILGPU;
using ILGPU.Runtime;
using Half = ILGPU.Half;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// A data set in the memory of a GPU, as it is stored on the host: features in working storage or, where tokens are among them, in FP32, labels, weights. A batch is gathered by
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
    private readonly Tensor _order, _cursor, _features, _labels, _weights;
    private readonly int _count, _batch;

    /// <param name="rows">At least one.</param>
    public ResidentRows(IlgpuBackend gpu, RowStore rows, ExecutionPlan plan)
    {
        (_gpu, _count, _batch) = (gpu, rows.Count, plan.Options.Batch);
        bool classes = plan.Targets.Labels.Element == ElementType.Int32;
        int width = plan.Features.Dimensions[1], values = classes ? 1 : plan.Targets.Labels.Dimensions[1];
        _order = New("Rows.Order", ElementType.Int32, _count);
        _cursor = New("Rows.Cursor", ElementType.Int32, CursorLength);
        _features = New("Rows.Features", plan.HasTokens ? ElementType.Single : ElementType.Working, _count, width);
        _labels = New("Rows.Labels", plan.Targets.Labels.Element, _count, values);
        _weights = New("Rows.Weights", ElementType.Single, _count);
        gpu.CopyIn(_features, rows.Chunks, chunk => chunk.FeatureBytes);
        gpu.CopyIn(_labels, rows.Chunks, chunk => chunk.LabelBytes);
        gpu.CopyIn(_weights, rows.Chunks, chunk => chunk.WeightBytes);

        var order = new OrderArguments(gpu.View<int>(_order), gpu.View<int>(_cursor), _count);
        var (labels, weights) = (plan.Targets.Labels, plan.Targets.Weights);
        Gather =
        [
            new(gpu.For(1, NextBatch, new NextArguments(gpu.View<int>(_cursor), gpu.View<int>(plan.Control.Counters), _batch, _count)), [_cursor], [_cursor, plan.Control.Counters]),
            new((gpu.Format, gpu.IsSimulator) switch
            {
                _ when _features.Element == ElementType.Single || gpu.Precision == Precision.Single => Features<float, SingleStorage>(plan.Features, width, order),
                (HalfFormat.Bits, _) => Features<ushort, HalfBitsStorage>(plan.Features, width, order),
                (_, true) => Features<Half, SimulatedHalfStorage>(plan.Features, width, order),
                _ when gpu.IsCuda => Features<Half, CudaHalfStorage>(plan.Features, width, order),
                _ => Features<Half, HalfStorage>(plan.Features, width, order),
            }, [_order, _cursor, _features], [plan.Features]),
            new(classes
                ? gpu.For(_batch, CopyClasses, new ClassArguments(gpu.View<int>(_labels), gpu.View<float>(_weights), gpu.View<int>(labels), gpu.View<float>(weights), order))
                : gpu.For(_batch, CopyValues, new ValueArguments(gpu.View<float>(_labels), gpu.View<float>(_weights), gpu.View<float>(labels), gpu.View<float>(weights), values, order)), [_order, _cursor, _labels, _weights], [labels, weights]),
        ];
    }

    public IReadOnlyList<Work> Gather { get; }

    /// <summary>Bytes that the rows of a store and their order take on the device.</summary>
    public static long Bytes(RowStore rows) => (long)rows.Count * (rows.RowBytes + sizeof(int));

    public void Begin(ReadOnlySpan<int> order)
    {
        if (order.Length != _count) throw new ArgumentException($"The order has {order.Length} rows; there are {_count}.", nameof(order));
        _gpu.CopyIn(_gpu.View<int>(_order), order);
        _gpu.CopyIn(_gpu.View<int>(_cursor), [0, 0]);
    }

    /// <summary>A tensor in memory of its own, in no region of the plan.</summary>
    private Tensor New(string name, ElementType element, params ReadOnlySpan<int> dimensions)
    {
        var tensor = new Tensor(name, element, Region.Staging, dimensions);
        _gpu.Place(tensor);
        return tensor;
    }

    private Action Features<T, TStorage>(Tensor to, int width, OrderArguments order) where T : unmanaged where TStorage : struct, IStorage<T> =>
        _gpu.For(to.Length, CopyFeatures<T, TStorage>, new FeatureArguments<T>(_gpu.View<T>(_features), _gpu.View<float>(to), width, order));

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
