namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>The default values of a layer's arguments, as a caller's compiler sees them.</summary>
internal static class Defaults
{
    public static void AssertEqual(string method, params (string Argument, object Value)[] expected)
    {
        var arguments = typeof(Network).GetMethod(method)!.GetParameters();
        foreach (var (argument, value) in expected)
            Assert.AreEqual(value, arguments.Single(a => a.Name == argument).DefaultValue, $"{method}({argument})");
    }
}
