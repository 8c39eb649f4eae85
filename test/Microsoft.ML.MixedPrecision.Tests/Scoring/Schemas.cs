using System.Globalization;
using Microsoft.ML.Data;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>A schema as text: names, types and every annotation with its values, so that two of them can be compared and a difference read.</summary>
internal static class Schemas
{
    public static string Describe(DataViewSchema schema)
    {
        var lines = new List<string>();
        foreach (DataViewSchema.Column column in schema.Where(column => !column.IsHidden))
        {
            lines.Add($"{column.Name}: {column.Type}");
            foreach (DataViewSchema.Column annotation in column.Annotations.Schema.OrderBy(annotation => annotation.Name, StringComparer.Ordinal))
                lines.Add($"  {annotation.Name}: {annotation.Type} = {Read(column.Annotations, annotation)}");
        }
        return string.Join('\n', lines);
    }

    private static string Read(DataViewSchema.Annotations annotations, DataViewSchema.Column annotation)
    {
        DataViewType type = annotation.Type;
        if (type is VectorDataViewType vector)
        {
            return vector.ItemType.RawType == typeof(ReadOnlyMemory<char>) ? Vector<ReadOnlyMemory<char>>()
                : vector.ItemType.RawType == typeof(float) ? Vector<float>()
                : vector.ItemType.RawType == typeof(int) ? Vector<int>()
                : vector.ItemType.RawType == typeof(double) ? Vector<double>()
                : throw new NotSupportedException($"{annotation.Name}: {type}");
        }
        return type.RawType == typeof(ReadOnlyMemory<char>) ? Scalar<ReadOnlyMemory<char>>()
            : type.RawType == typeof(uint) ? Scalar<uint>()
            : type.RawType == typeof(bool) ? Scalar<bool>()
            : throw new NotSupportedException($"{annotation.Name}: {type}");

        string Vector<T>()
        {
            VBuffer<T> value = default;
            annotations.GetValue(annotation.Name, ref value);
            return string.Join('|', value.DenseValues().Select(item => Convert.ToString(item, CultureInfo.InvariantCulture)));
        }

        string Scalar<T>()
        {
            T value = default!;
            annotations.GetValue(annotation.Name, ref value);
            return Convert.ToString(value, CultureInfo.InvariantCulture)!;
        }
    }
}
