using System.Numerics.Tensors;
using System.Runtime.InteropServices;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// Rows in memory, up to a number. In mixed precision features are kept as halves, unless there are tokens among them: the network's first step rounds them to
/// that anyway, so a run has the same bits whether its data fit in here or not.
/// </summary>
internal sealed class RowStore
{
    private const int ChunkBytes = 1 << 20;

    private readonly List<RowChunk> _chunks = [];
    private readonly int _features, _labelValues, _chunkRows;
    private readonly bool _half, _classes;

    /// <param name="bytes">The most that the rows may take; at least one chunk's worth is there.</param>
    public RowStore(TrainingColumns columns, Precision precision, long bytes)
    {
        _features = columns.FeatureCount;
        _classes = columns.Task == ScoringTask.Multiclass;
        _labelValues = _classes ? 0 : columns.Outputs;
        _half = precision == Precision.Mixed && !columns.Format.HasTokens;
        long row = (long)_features * (_half ? 2 : 4) + (_classes ? 4 : 4 * _labelValues) + 4;
        RowBytes = checked((int)row);
        _chunkRows = (int)Math.Clamp(Math.Min(ChunkBytes, bytes) / row, 1, 65536);
        Capacity = (int)Math.Clamp(bytes / row, 1, Array.MaxLength);
    }

    /// <summary>Rows that may be added.</summary>
    public int Capacity { get; }

    public int Count { get; private set; }

    public bool IsFull => Count == Capacity;

    /// <summary>All rows in their order: <see cref="Count"/> of them, each chunk full but the last.</summary>
    public IReadOnlyList<RowChunk> Chunks => _chunks;

    /// <summary>Bytes of one row's features, label and weight, as they are stored.</summary>
    public int RowBytes { get; }

    public void Clear() => Count = 0; // the chunks are used again

    /// <summary>Removes all rows and gives their memory back.</summary>
    public void Release()
    {
        Count = 0;
        _chunks.Clear();
    }

    public void Add(RowReader row) => Set(NewSlot(), row);

    /// <summary>Adds a row of a batch with other features.</summary>
    public void Add(ReadOnlySpan<float> features, Batch batch, int index) =>
        Set(NewSlot(), features, _classes ? batch.Classes[index] : 0, _classes ? [] : batch.Values.AsSpan(index * _labelValues, _labelValues), batch.Weights[index]);

    /// <summary>Puts a row into the place of another.</summary>
    public void Set(int slot, RowReader row) => Set(slot, row.Features, row.Class, row.Values, row.Weight);

    private void Set(int slot, ReadOnlySpan<float> features, int label, ReadOnlySpan<float> values, float weight)
    {
        var (chunk, i) = Find(slot);
        if (_half) TensorPrimitives.ConvertToHalf(features, chunk.Halves.AsSpan(i * _features, _features));
        else features.CopyTo(chunk.Singles.AsSpan(i * _features, _features));
        if (_classes) chunk.Classes[i] = label;
        else values.CopyTo(chunk.Values.AsSpan(i * _labelValues, _labelValues));
        chunk.Weights[i] = weight;
    }

    private int NewSlot()
    {
        if (IsFull) throw new InvalidOperationException($"The store holds its {Capacity} rows already.");
        if (Count == _chunks.Count * _chunkRows) _chunks.Add(new RowChunk(_chunkRows, _features, _labelValues, _half, _classes));
        return Count++;
    }

    /// <summary>Moves the last row into the place of another, and is one row smaller.</summary>
    public void RemoveAt(int slot)
    {
        int last = --Count;
        if (slot == last) return;
        var (from, i) = Find(last);
        var (to, j) = Find(slot);
        if (_half) from.Halves.AsSpan(i * _features, _features).CopyTo(to.Halves.AsSpan(j * _features, _features));
        else from.Singles.AsSpan(i * _features, _features).CopyTo(to.Singles.AsSpan(j * _features, _features));
        if (_classes) to.Classes[j] = from.Classes[i];
        else from.Values.AsSpan(i * _labelValues, _labelValues).CopyTo(to.Values.AsSpan(j * _labelValues, _labelValues));
        to.Weights[j] = from.Weights[i];
    }

    public void CopyTo(int slot, Batch batch, int index)
    {
        var (chunk, i) = Find(slot);
        var features = batch.Features.AsSpan(index * _features, _features);
        if (_half) TensorPrimitives.ConvertToSingle(chunk.Halves.AsSpan(i * _features, _features), features);
        else chunk.Singles.AsSpan(i * _features, _features).CopyTo(features);
        if (_classes) batch.Classes[index] = chunk.Classes[i];
        else chunk.Values.AsSpan(i * _labelValues, _labelValues).CopyTo(batch.Values.AsSpan(index * _labelValues, _labelValues));
        batch.Weights[index] = chunk.Weights[i];
    }

    private (RowChunk Chunk, int Index) Find(int slot) => (_chunks[slot / _chunkRows], slot % _chunkRows);
}

/// <summary>Some rows in memory, one array for each thing that a row has.</summary>
internal sealed class RowChunk(int rows, int features, int labelValues, bool half, bool classes)
{
    public Half[] Halves { get; } = half ? new Half[rows * features] : [];
    public float[] Singles { get; } = half ? [] : new float[rows * features];
    public int[] Classes { get; } = classes ? new int[rows] : [];
    public float[] Values { get; } = new float[rows * labelValues];
    public float[] Weights { get; } = new float[rows];

    /// <summary>The features as they are stored: halves in mixed precision.</summary>
    public ReadOnlySpan<byte> FeatureBytes => half ? MemoryMarshal.AsBytes<Half>(Halves) : MemoryMarshal.AsBytes<float>(Singles);

    /// <summary>The labels as they are stored: class numbers, or values.</summary>
    public ReadOnlySpan<byte> LabelBytes => classes ? MemoryMarshal.AsBytes<int>(Classes) : MemoryMarshal.AsBytes<float>(Values);

    public ReadOnlySpan<byte> WeightBytes => MemoryMarshal.AsBytes<float>(Weights);
}
