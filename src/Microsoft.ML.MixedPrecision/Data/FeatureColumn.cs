using Microsoft.ML.Data;

namespace Microsoft.ML.MixedPrecision;

/// <summary>What a network reads of a row: a vector of Single of its size, or of tokens, which are keys or UInt32, of any length.</summary>
internal static class FeatureColumn
{
    /// <summary>Writes a row's features, and tells the length of the vector in the column. Of numbers nothing is written where that is not the length of <paramref name="to"/>; tokens are cut or filled up with 0.</summary>
    public delegate int Getter(Span<float> to);

    public static Getter GetterOf(DataViewRow row, DataViewSchema.Column column, bool tokens) => tokens
        ? Tokens(row.GetGetter<VBuffer<uint>>(column))
        : Numbers(row.GetGetter<VBuffer<float>>(column));

    private static Getter Numbers(ValueGetter<VBuffer<float>> get)
    {
        VBuffer<float> vector = default;
        return to =>
        {
            get(ref vector);
            if (vector.Length == to.Length) vector.CopyTo(to);
            return vector.Length;
        };
    }

    private static Getter Tokens(ValueGetter<VBuffer<uint>> get)
    {
        VBuffer<uint> vector = default;
        return to =>
        {
            get(ref vector);
            to.Clear();
            ReadOnlySpan<uint> values = vector.GetValues();
            ReadOnlySpan<int> places = vector.GetIndices(); // none where the vector is dense
            for (int i = 0; i < values.Length; i++)
            {
                int place = vector.IsDense ? i : places[i];
                if (place >= to.Length) break;
                to[place] = values[i];
            }
            return vector.Length;
        };
    }
}
