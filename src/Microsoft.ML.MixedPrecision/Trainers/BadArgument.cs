namespace Microsoft.ML.MixedPrecision;

/// <summary>The exceptions for options and columns: ML.NET's own kind, with the name of the field or of the argument.</summary>
internal static class BadArgument
{
    /// <param name="name">The field of the options, or the argument of the public method.</param>
    /// <param name="message">What was expected, what was found, and what to do.</param>
    public static ArgumentOutOfRangeException Of(string name, string message) => new(name, message);
}
