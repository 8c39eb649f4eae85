namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>The default values of a layer's arguments, as a caller's compiler sees them.</summary>
internal static class Defaults
{
    public static void AssertEqual(string method, params (string Argument, object? Value)[] expected) => AssertEqual(typeof(Network), method, expected);

    public static void AssertEqual(Type type, string method, params (string Argument, object? Value)[] expected)
    {
        var arguments = type.GetMethod(method)!.GetParameters();
        foreach (var (argument, value) in expected)
            Assert.AreEqual(value, arguments.Single(a => a.Name == argument).DefaultValue, $"{method}({argument})");
    }
}
