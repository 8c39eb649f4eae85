using System.Reflection;
using ILGPU;
using Half = ILGPU.Half;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>
/// ILGPU 1.5.3 takes two structures for one type where their scalars and views are the same in the same order, however they nest: {{view, int, int}, int, int} and
/// {view, {int, int, int, int}}. Of the two that a context meets, the second then does not compile, or stays in local memory.
/// </summary>
[TestClass]
public sealed class ArgumentLayoutTests
{
    [TestMethod]
    public void Arguments_of_equal_fields_nest_alike()
    {
        var byFields = KernelCatalog.Kernels.Select(kernel => kernel.Method.GetParameters()[^1].ParameterType).Distinct().Select(type => (Type: type, Nested: Nested(type))).GroupBy(t => t.Nested.Replace("{", "", StringComparison.Ordinal).Replace("}", "", StringComparison.Ordinal)).ToArray();
        Assert.IsGreaterThan(50, byFields.Length);
        string[] confused = [.. byFields.Where(group => group.DistinctBy(t => t.Nested).Count() > 1).Select(group => string.Join(" and ", group.Select(t => t.Type.ToString())))];
        Assert.IsEmpty(confused, string.Join("\n", confused));
    }

    [TestMethod]
    public void Nesting_is_seen()
    {
        Assert.AreEqual("{{Single Single}Int32}", Nested(typeof((ValueTuple<float, float>, int))).Replace(" }", "}", StringComparison.Ordinal).Replace("} ", "}", StringComparison.Ordinal));
        Assert.AreEqual("{Int64 View<Half> }", Nested(typeof((long, ArrayView<Half>))));
    }

    private static string Nested(Type type)
    {
        if (type.IsGenericType && type.GetGenericTypeDefinition() == typeof(ArrayView<>)) return $"View<{type.GetGenericArguments()[0].Name}> ";
        if (type.IsPrimitive || type.IsEnum || type == typeof(Half)) return $"{type.Name} ";
        string[] fields = [.. type.GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic).OrderBy(field => field.MetadataToken).Select(field => Nested(field.FieldType)).Where(field => field.Length > 0)];
        return fields.Length > 1 ? $"{{{string.Concat(fields)}}}" : string.Concat(fields); // what wraps one structure is that structure
    }
}
