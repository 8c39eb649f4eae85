using System.Globalization;
using System.Reflection;
using Microsoft.ML.Data;

namespace Microsoft.ML.MixedPrecision;

/// <summary>The names of a key column's values, for the exported model.</summary>
internal static class LabelNames
{
    private static readonly MethodInfo Generic = typeof(LabelNames).GetMethod(nameof(Read), BindingFlags.NonPublic | BindingFlags.Static)!;

    /// <summary>One for each key in their order; empty where the column is no key.</summary>
    public static IReadOnlyList<string> Of(DataViewSchema.Column label)
    {
        if (!Has(label)) return [];
        var type = (VectorDataViewType)label.Annotations.Schema["KeyValues"].Type;
        return (string[])Generic.MakeGenericMethod(type.ItemType.RawType).Invoke(null, [label])!;
    }

    /// <summary>Whether a column is a key with values, of any type. ML.NET's own HasKeyValues sees only those of text, unless it is told the type.</summary>
    public static bool Has(DataViewSchema.Column label) =>
        label.Type is KeyDataViewType && label.Annotations.Schema.GetColumnOrNull("KeyValues")?.Type is VectorDataViewType;

    private static string[] Read<T>(DataViewSchema.Column label)
    {
        VBuffer<T> values = default;
        label.GetKeyValues(ref values);
        return [.. values.DenseValues().Select(value => Convert.ToString(value, CultureInfo.InvariantCulture) ?? "")];
    }
}
