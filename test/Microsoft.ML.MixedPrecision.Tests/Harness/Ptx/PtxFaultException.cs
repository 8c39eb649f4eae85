namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>A kernel did what it must not do on a GPU, or its PTX is beyond what <see cref="PtxMachine"/> knows. Names thread, instruction and reason.</summary>
internal sealed class PtxFaultException(string message) : Exception(message);
