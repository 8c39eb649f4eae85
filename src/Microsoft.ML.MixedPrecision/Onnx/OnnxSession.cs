using System.Globalization;
using System.Numerics.Tensors;
using Microsoft.ML.OnnxRuntime;
using Microsoft.ML.OnnxRuntime.Tensors;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// Runs an ONNX model with ONNX Runtime, many rows at a time. Thread-safe.
/// ONNX Runtime does not promise that a row's bits are the same in every batch. Its CPU code kept them the same for linear and
/// convolutional networks in both precisions, in batches of 1 to 512 (x64 with AVX-512); where it does not, the difference is
/// rounding in the working precision. The same rows in the same batches give the same bits.
/// </summary>
internal sealed class OnnxSession : IDisposable
{
    private readonly InferenceSession _session;
    private readonly RunOptions _options = new();
    private readonly string[] _inputs, _outputs;
    private readonly int[] _columns;

    /// <param name="path">A model's file. It is read here, and not needed any more.</param>
    public OnnxSession(string path, int? gpuDeviceId = null, bool fallbackToCpu = false)
    {
        (_session, GpuDeviceId) = WithRuntime(() => Open(path, gpuDeviceId, fallbackToCpu));
        _inputs = [.. _session.InputNames];
        _outputs = [.. _session.OutputNames];
        _columns = [.. _outputs.Select(name => _session.OutputMetadata[name].Dimensions[1])];
        foreach (string name in _inputs)
        {
            var input = _session.InputMetadata[name];
            if (input.ElementDataType != TensorElementType.UInt32) Features = input.Dimensions[1];
            else if (input.Dimensions[1] > 0) Tokens = input.Dimensions[1];
            else Tokens = int.Parse(_session.ModelMetadata.CustomMetadataMap[OnnxModel.LengthProperty], CultureInfo.InvariantCulture); // what is beyond would be cut off
        }
    }

    /// <summary>Through a file, because ONNX Runtime would take a copy of an array of the model, and the array be garbage.</summary>
    public static OnnxSession Of(OnnxModel model)
    {
        using var file = new TemporaryFile(model.WriteTo, ".onnx");
        return new OnnxSession(file.Name) { Layers = model.Layers };
    }

    /// <summary>The GPU that is used; null where it is the CPU.</summary>
    public int? GpuDeviceId { get; }

    /// <summary>Numbers of a row; 0 where it has tokens only.</summary>
    public int Features { get; }

    /// <summary>Tokens of a row, or as many as are read of one of any length; 0 where it has none.</summary>
    public int Tokens { get; }

    /// <summary>Numbers and tokens of a row.</summary>
    public int RowWidth => Features + Tokens;

    /// <summary>Elements in a row of the first output.</summary>
    public int Columns => _columns[0];

    /// <summary>Which layers the outputs after the first one are.</summary>
    public IReadOnlyList<string> Layers { get; private init; } = [];

    /// <summary>The first output of rows [rows, numbers and behind them tokens], written to [rows, columns].</summary>
    public void Run(Memory<float> features, int rows, Memory<float> output)
    {
        OrtValue[] inputs = Inputs(features, rows);
        try
        {
            using OrtValue result = Tensor(output, rows, Columns);
            _session.Run(_options, _inputs, inputs, [_outputs[0]], [result]);
        }
        finally
        {
            foreach (OrtValue value in inputs) value.Dispose();
        }
    }

    /// <summary>Every output of rows [rows, numbers and behind them tokens]: the first one, then the layers.</summary>
    public IReadOnlyList<float[]> RunAll(Memory<float> features, int rows)
    {
        float[][] outputs = Array.ConvertAll(_columns, columns => new float[checked(rows * columns)]);
        OrtValue[] values = [.. outputs.Select((output, i) => Tensor<float>(output, rows, _columns[i])), .. Inputs(features, rows)];
        try
        {
            _session.Run(_options, _inputs, values[_outputs.Length..], _outputs, values[.._outputs.Length]);
            return outputs;
        }
        finally
        {
            foreach (OrtValue value in values) value.Dispose();
        }
    }

    public void Dispose()
    {
        _options.Dispose();
        _session.Dispose();
    }

    /// <summary>Runs what needs ONNX Runtime's native library, and says what to install where it is missing.</summary>
    public static T WithRuntime<T>(Func<T> call)
    {
        try
        {
            return call();
        }
        catch (Exception e) when (e is not InvalidOperationException && IsRuntimeMissing(e)) // that one already says what is wrong
        {
            throw new InvalidOperationException(
                "ONNX Runtime's native library was not found. Add the package Microsoft.ML.OnnxRuntime (scores on the CPU) or Microsoft.ML.OnnxRuntime.Gpu " +
                "(scores on an NVIDIA GPU) to the application, in the version of Microsoft.ML.OnnxRuntime.Managed that it uses.", e);
        }
    }

    private static bool IsRuntimeMissing(Exception? e)
    {
        for (; e is not null; e = e.InnerException) // a static constructor throws it, so it comes wrapped
            if (e is DllNotFoundException or EntryPointNotFoundException) return true;
        return false;
    }

    private static (InferenceSession Session, int? GpuDeviceId) Open(string path, int? gpuDeviceId, bool fallbackToCpu)
    {
        using var cpu = new SessionOptions(); // first: without the native library this throws, and the GPU is not to blame
        if (gpuDeviceId is { } device)
        {
            try
            {
                using SessionOptions gpu = SessionOptions.MakeSessionOptionWithCudaProvider(device);
                return (new InferenceSession(path, gpu), device);
            }
            catch (Exception e) when (e is OnnxRuntimeException or EntryPointNotFoundException or DllNotFoundException)
            {
                // The CPU package has no entry point for CUDA; the GPU package reports what is wrong with driver or device.
                if (!fallbackToCpu)
                    throw new InvalidOperationException(
                        $"ONNX Runtime cannot score on GPU {device}: {e.Message.TrimEnd('.')}. Expected the package Microsoft.ML.OnnxRuntime.Gpu in place of Microsoft.ML.OnnxRuntime, " +
                        "and the CUDA libraries that it names; or set MLContext.FallbackToCpu, or MLContext.GpuDeviceId to null.", e);
            }
        }
        return (new InferenceSession(path, cpu), null);
    }

    private OrtValue[] Inputs(Memory<float> features, int rows)
    {
        if (Tokens == 0) return [Tensor(features, rows, Features)];
        var tokens = new uint[checked(rows * Tokens)];
        var numbers = new float[checked(rows * Features)];
        for (int row = 0; row < rows; row++)
        {
            ReadOnlySpan<float> values = features.Span.Slice(row * RowWidth, RowWidth);
            values[..Features].CopyTo(numbers.AsSpan(row * Features));
            TensorPrimitives.ConvertTruncating(values[Features..], tokens.AsSpan(row * Tokens));
        }
        var tokenInput = Tensor<uint>(tokens, rows, Tokens);
        return Features == 0 ? [tokenInput] : [Tensor<float>(numbers, rows, Features), tokenInput];
    }

    private static OrtValue Tensor<T>(Memory<T> memory, int rows, int columns) where T : unmanaged =>
        OrtValue.CreateTensorValueFromMemory(OrtMemoryInfo.DefaultInstance, memory[..checked(rows * columns)], [rows, columns]);
}
