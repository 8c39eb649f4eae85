using System.Diagnostics;
using System.Text.Json;
using Microsoft.ML.OnnxRuntime;

namespace OnnxScoring;

/// <summary>
/// One exported model over many rows, some at a time. Memory and tensors are made once and lie where the program keeps its numbers: on a CPU
/// nothing is copied in or out.
/// </summary>
internal sealed class ScoringRun : IDisposable
{
    private readonly InferenceSession _session;
    private readonly RunOptions _options = new();
    private readonly string[] _input, _output, _classes;
    private readonly float[] _scores;
    private readonly List<(OrtValue Input, OrtValue Output, bool Whole)> _calls = [];
    private readonly List<double> _seconds = [];

    /// <param name="device">cpu, cuda:N, or null for the CPU.</param>
    /// <param name="features">All rows, one behind the other.</param>
    public ScoringRun(string model, string? device, float[] features, int batch)
    {
        (Model, Batch) = (model, batch);
        _session = Open(model, device);
        (_input, _output) = ([_session.InputNames[0]], [_session.OutputNames[0]]);
        _classes = JsonSerializer.Deserialize<string[]>(_session.ModelMetadata.CustomMetadataMap["labels"])!; // what each column of the output stands for
        int width = _session.InputMetadata[_input[0]].Dimensions[1], rows = features.Length / width;
        _scores = new float[rows * _classes.Length];
        for (int first = 0; first < rows; first += batch)
        {
            int count = Math.Min(batch, rows - first);
            _calls.Add((Tensor(features, first, count, width), Tensor(_scores, first, count, _classes.Length), count == batch));
        }
    }

    public string Model { get; }

    public int Batch { get; }

    public void Pass()
    {
        foreach (var (input, output, _) in _calls) _session.Run(_options, _input, [input], _output, [output]);
    }

    public void TimedPass()
    {
        foreach (var (input, output, whole) in _calls)
        {
            long start = Stopwatch.GetTimestamp();
            _session.Run(_options, _input, [input], _output, [output]);
            if (whole) _seconds.Add(Stopwatch.GetElapsedTime(start).TotalSeconds);
        }
    }

    /// <summary>The time that a share of the timed calls stayed within: 0.5 is the median.</summary>
    public double Seconds(double share) => _seconds.Order().ElementAt((int)(share * (_seconds.Count - 1)));

    /// <summary>The class of each row. Scores are logits: the largest names the class, and softmax would make them probabilities.</summary>
    public IEnumerable<string> Classes() => _scores.Chunk(_classes.Length).Select(row => _classes[Array.IndexOf(row, row.Max())]);

    public void Dispose()
    {
        foreach (var (input, output, _) in _calls)
        {
            input.Dispose();
            output.Dispose();
        }
        _options.Dispose();
        _session.Dispose();
    }

    private static InferenceSession Open(string model, string? device)
    {
        using var options = new SessionOptions();
        options.AddSessionConfigEntry("session.intra_op.allow_spinning", "0"); // A thread that waits sleeps: sessions, and whatever else a service does, share the cores.
        if (device is not (null or "cpu")) AddGpu(options, device);
        return new InferenceSession(model, options);
    }

    private static void AddGpu(SessionOptions options, string device)
    {
        if (!device.StartsWith("cuda:", StringComparison.Ordinal) || !int.TryParse(device.AsSpan(5), out int gpu)) throw new ArgumentException($"--device: expected cpu or cuda:N, got {device}.");
        try
        {
            options.AppendExecutionProvider_CUDA(gpu);
        }
        catch (EntryPointNotFoundException e)
        {
            throw new InvalidOperationException($"--device {device}: expected ONNX Runtime for NVIDIA GPUs, found the build for CPUs; add -p:UseOnnxRuntimeGpu=true to 'dotnet run'.", e);
        }
    }

    private static OrtValue Tensor(float[] all, int first, int count, int width) =>
        OrtValue.CreateTensorValueFromMemory(OrtMemoryInfo.DefaultInstance, all.AsMemory(first * width, count * width), [count, width]);
}
