namespace Microsoft.ML.MixedPrecision;

/// <summary>Writes an ONNX model.</summary>
internal static class OnnxFile
{
    /// <inheritdoc cref="WholeFile.Write"/>
    public static void Save(OnnxModel model, string path) => WholeFile.Write(path, "ONNX model", model.WriteTo);

    public static void Save(OnnxModel model, Stream stream) => model.WriteTo(stream);
}
