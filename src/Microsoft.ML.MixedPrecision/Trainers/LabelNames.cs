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
        if (label.Type is not KeyDataViewType || !label.HasKeyValues()) return [];
        var type = (VectorDataViewType)label.Annotations.Schema["KeyValues"].Type;
        return (string[])Generic.MakeGenericMethod(type.ItemType.RawType).Invoke(null, [label])!;
    }

    private static string[] Read<T>(DataViewSchema.Column label)
    {
        VBuffer<T> values = default;
        label.GetKeyValues(ref values);
        return [.. values.DenseValues().Select(value => Convert.ToString(value, CultureInfo.InvariantCulture) ?? "")];
    }
}
