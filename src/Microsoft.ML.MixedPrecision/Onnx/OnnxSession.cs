using System.Runtime.InteropServices;
using Microsoft.ML.OnnxRuntime;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// Runs an ONNX model with ONNX Runtime, many rows at a time. Thread-safe.
/// A row's result can depend on how many rows run with it: ONNX Runtime takes other code for one row than for many. The
/// difference is rounding in the working precision, and the same rows in the same batches always give the same bits.
/// </summary>
internal sealed class OnnxSession : IDisposable
{
    private readonly InferenceSession _session;
    private readonly RunOptions _options = new();
    private readonly string[] _input, _outputs;
    private readonly int[] _columns;

    public OnnxSession(OnnxModel model, int? gpuDeviceId = null, bool fallbackToCpu = false)
    {
        byte[] bytes = model.ToBytes();
        _session = WithRuntime(() => Open(bytes, gpuDeviceId, fallbackToCpu));
        _input = [model.InputName];
        _outputs = [.. _session.OutputNames];
        _columns = [.. _outputs.Select(name => _session.OutputMetadata[name].Dimensions[1])];
        Features = model.Features;
        Layers = model.Layers;
    }

    public int Features { get; }

    /// <summary>Elements in a row of the first output.</summary>
    public int Columns => _columns[0];

    /// <summary>Which layers the outputs after the first one are.</summary>
    public IReadOnlyList<string> Layers { get; }

    /// <summary>The first output of rows [rows, features], written to [rows, columns].</summary>
    public void Run(Memory<float> features, int rows, Memory<float> output)
    {
        using OrtValue input = Tensor(features, rows, Features), result = Tensor(output, rows, Columns);
        _session.Run(_options, _input, [input], [_outputs[0]], [result]);
    }

    /// <summary>Every output of rows [rows, features]: the first one, then the layers.</summary>
    public IReadOnlyList<float[]> RunAll(Memory<float> features, int rows)
    {
        float[][] outputs = Array.ConvertAll(_columns, columns => new float[checked(rows * columns)]);
        OrtValue[] values = [.. outputs.Select((output, i) => Tensor(output, rows, _columns[i]))];
        try
        {
            using OrtValue input = Tensor(features, rows, Features);
            _session.Run(_options, _input, [input], _outputs, values);
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
        catch (Exception e) when (IsRuntimeMissing(e))
        {
            throw new InvalidOperationException(
                "ONNX Runtime's native library was not found. Add the package Microsoft.ML.OnnxRuntime (scores on the CPU) or Microsoft.ML.OnnxRuntime.Gpu " +
                "(scores on an NVIDIA GPU) to the application, in the version of Microsoft.ML.OnnxRuntime.Managed that it uses.", e);
        }
    }

    private static bool IsRuntimeMissing(Exception? e)
    {
        // Thrown by a static constructor, it comes wrapped; ML.NET wraps it once more.
        for (; e is not null; e = e.InnerException)
            if (e is DllNotFoundException or EntryPointNotFoundException) return true;
        return false;
    }

    private static InferenceSession Open(byte[] bytes, int? gpuDeviceId, bool fallbackToCpu)
    {
        if (gpuDeviceId is { } device)
        {
            try
            {
                using SessionOptions gpu = SessionOptions.MakeSessionOptionWithCudaProvider(device);
                return new InferenceSession(bytes, gpu);
            }
            catch (Exception e) when (fallbackToCpu && e is OnnxRuntimeException or EntryPointNotFoundException)
            {
                // What FallbackToCpu asks for; OnnxTransformer does the same.
            }
        }
        using var cpu = new SessionOptions();
        return new InferenceSession(bytes, cpu);
    }

    private static OrtValue Tensor(Memory<float> memory, int rows, int columns) =>
        OrtValue.CreateTensorValueFromMemory(OrtMemoryInfo.DefaultInstance, memory[..checked(rows * columns)], [rows, columns]);
}
