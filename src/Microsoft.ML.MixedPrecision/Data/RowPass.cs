namespace Microsoft.ML.MixedPrecision;

/// <summary>One pass over a set of rows in some order, cut into batches. Used by one thread.</summary>
internal abstract class RowPass : IDisposable
{
    /// <summary>Writes the next row to a place in a batch.</summary>
    /// <returns>False after the last row.</returns>
    protected abstract bool Next(Batch batch, int index);

    /// <summary>Fills a batch; the last one of a pass may be short, and its rest is cleared.</summary>
    /// <returns>False where no row was left.</returns>
    public bool Fill(Batch batch, CancellationToken token)
    {
        int rows = batch.Weights.Length, count = 0;
        while (count < rows && Next(batch, count))
        {
            count++;
            token.ThrowIfCancellationRequested();
        }
        batch.RowCount = count;
        if (count == 0) return false;
        int rest = rows - count;
        if (rest > 0)
        {
            Clear(batch.Features, rest, rows);
            Clear(batch.Classes, rest, rows);
            Clear(batch.Values, rest, rows);
            Clear(batch.Weights, rest, rows);
        }
        return true;
    }

    public virtual void Dispose() { }

    private static void Clear<T>(T[] values, int rest, int rows)
    {
        int each = values.Length / rows;
        Array.Clear(values, values.Length - rest * each, rest * each);
    }
}

/// <summary>All rows are in memory: in their order, or a permutation that is a function of seed and epoch.</summary>
/// <param name="order">Takes the permutation; empty for the order of the store.</param>
internal sealed class CachedPass(RowStore store, ShuffleOrder? shuffle, int[] order) : RowPass
{
    private int _next;

    protected override bool Next(Batch batch, int index)
    {
        if (_next == store.Count) return false;
        if (_next == 0) shuffle?.Permute(order);
        store.CopyTo(shuffle is null ? _next : order[_next], batch, index);
        _next++;
        return true;
    }
}

/// <summary>Rows as they come from the reader, in their order.</summary>
internal sealed class StreamedPass(RowReader reader, Func<long, bool> accepts) : RowPass
{
    protected override bool Next(Batch batch, int index)
    {
        while (reader.Read())
        {
            if (!accepts(reader.Row)) continue;
            reader.Features.CopyTo(batch.Features.AsSpan(index * reader.Features.Length));
            if (batch.Classes.Length > 0) batch.Classes[index] = reader.Class;
            else reader.Values.CopyTo(batch.Values.AsSpan(index * reader.Values.Length));
            batch.Weights[index] = reader.Weight;
            return true;
        }
        return false;
    }

    public override void Dispose()
    {
        reader.Dispose();
        base.Dispose();
    }
}

/// <summary>
/// More rows than memory has room for, shuffled within a window: the window is filled, then each row that is handed out is a
/// random one of it, and the next of the data takes its place.
/// </summary>
internal sealed class WindowPass(RowReader reader, Func<long, bool> accepts, RowStore window, ShuffleOrder shuffle) : RowPass
{
    private bool _filled, _more = true;
    private long _drawn;

    protected override bool Next(Batch batch, int index)
    {
        if (!_filled)
        {
            window.Clear();
            while (!window.IsFull && ReadAccepted()) window.Add(reader);
            _filled = true;
        }
        if (window.Count == 0) return false;
        int slot = shuffle.Below(window.Count, _drawn++);
        window.CopyTo(slot, batch, index);
        if (_more && ReadAccepted()) window.Set(slot, reader);
        else window.RemoveAt(slot);
        return true;
    }

    public override void Dispose()
    {
        reader.Dispose();
        base.Dispose();
    }

    private bool ReadAccepted()
    {
        while (reader.Read())
            if (accepts(reader.Row)) return true;
        return _more = false;
    }
}

/// <summary>The random order of one epoch: a function of seed and epoch.</summary>
internal sealed class ShuffleOrder(uint seed, int epoch)
{
    /// <summary>Streams that no layer and no parameter draws from.</summary>
    private readonly uint _stream = 0xE000_0000 + (uint)epoch;

    /// <summary>The draw-th number in [0, count).</summary>
    public int Below(int count, long draw)
    {
        uint bits = CounterRandom.Philox((uint)draw, (uint)(draw >> 32), seed, _stream).W0;
        return (int)((ulong)bits * (uint)count >> 32);
    }

    /// <summary>Fills an array with a permutation of its indices.</summary>
    public void Permute(Span<int> order)
    {
        for (int i = 0; i < order.Length; i++)
        {
            int j = Below(i + 1, i); // inside-out Fisher-Yates
            order[i] = order[j];
            order[j] = i;
        }
    }
}
