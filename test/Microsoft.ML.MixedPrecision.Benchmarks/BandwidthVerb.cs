using System.Globalization;
using ILGPU.Runtime;

namespace Microsoft.ML.MixedPrecision.Benchmarks;

/// <summary>
/// The kernels that memory limits, on large tensors of one device: 10^9 bytes a second, and as part of what a copy reaches there.
/// A kernel's bytes are those of the tensors it reads and of those it writes, each once: what it reads again costs it.
/// </summary>
internal static class BandwidthVerb
{
    private const int Width = 1024, Channels = 64, Pixels = 1024;

    public static int Run(string[] args)
    {
        var precision = Enum.Parse<Precision>(args[0], ignoreCase: true);
        int elements = (args.Length > 1 ? int.Parse(args[1], CultureInfo.InvariantCulture) : 64) << 20;
        var chosen = args.Skip(2).ToHashSet();
        double copy = Copy(precision, elements);
        foreach (var (kernel, inputs) in Kernels(elements).Where(kernel => chosen.Count == 0 || chosen.Contains(kernel.Kernel.Name)))
        {
            using var backend = Target.Open(precision);
            Place(backend, [.. inputs, .. kernel.Reads, .. kernel.Writes], inputs);
            Show(backend, kernel, copy);
        }
        if (chosen.Count == 0) Update(precision, elements, copy);
        return 0;
    }

    /// <summary>Bytes a second, read and written, of the driver's copy, or of a kernel's where that is faster.</summary>
    private static double Copy(Precision precision, int elements)
    {
        using var backend = Target.Open(precision);
        Tensor from = Working("from", elements), to = Working("to", elements);
        Place(backend, [from, to], [from]);
        Console.WriteLine($"{backend.Device}, {precision}, {elements >> 20} M elements");
        Console.WriteLine($"{"",-36}{"ms",10}{"GB/s",10}{"of copy",10}");
        double bytes = 2.0 * elements * backend.SizeOf(ElementType.Working), best = bytes / Timing.Seconds(backend, backend.Bind(new CopyKernel(from, to)));
        if (backend is IlgpuBackend gpu) best = Math.Max(best, bytes / Timing.Seconds(backend, gpu.Copy(from, to)));
        Print("Copy", bytes / best, bytes, best);
        return best;
    }

    private static IEnumerable<(Kernel Kernel, Tensor[] Inputs)> Kernels(int elements)
    {
        int rows = elements / Width, batch = elements / (Channels * Pixels);
        Tensor x = Working("x", rows, Width), y = Working("y", rows, Width), dy = Working("dy", rows, Width), dx = Working("dx", rows, Width);
        Tensor weight = Working("weight", Width), bias = Working("bias", Width), statistics = Single("statistics", 2, rows), means = Single("means", 2, rows);
        Tensor dw = Working("dw", Width), db = Working("db", Width), rowParts = Single("parts", RowParts.Of(rows, Width).Count, 2, Width);
        yield return (new LayerNormForward(x, weight, bias, y, statistics, 1e-5f), [x, weight, bias]);
        yield return (new LayerNormBackward(x, dy, weight, statistics, means, dx), [x, dy, weight, statistics]);
        yield return (new LayerNormWeightGradient(x, dy, statistics, rowParts, dw, db), [x, dy, statistics]);
        yield return (new SoftmaxForward(x, y), [x]);
        yield return (new SoftmaxBackward(y, dy, dx), [y, dy]);

        Tensor image = Working("x", batch, Pixels, Channels), normal = Working("y", batch, Pixels, Channels), back = Working("dy", batch, Pixels, Channels), to = Working("dx", batch, Pixels, Channels);
        Tensor scale = Working("weight", Channels), shift = Working("bias", Channels), dScale = Working("dw", Channels), dShift = Working("db", Channels);
        Tensor mean = Single("mean", Channels), inverse = Single("inverse", Channels), runningMean = Single("runningMean", Channels), runningVariance = Single("runningVariance", Channels);
        Tensor sums = Single("sums", 2, Channels), parts = Single("parts", ColumnReader.MostParts(image), 2, Channels);
        var counters = new StepControl().Counters;
        yield return (new BatchNormStatistics(image, parts, mean, inverse, runningMean, runningVariance, counters, 1e-5f, 0.1f), [image, counters]);
        yield return (new BatchNormForward(image, mean, inverse, scale, shift, normal, counters), [image, mean, inverse, scale, shift, counters]);
        yield return (new BatchNormSums(image, back, mean, inverse, parts, sums, dScale, dShift, counters), [image, back, mean, inverse, counters]);
        yield return (new BatchNormBackward(image, back, mean, inverse, sums, scale, to, counters), [image, back, mean, inverse, sums, scale, counters]);
    }

    /// <summary>The kernels that end a step of Adam, over the parameters of one large layer.</summary>
    private static void Update(Precision precision, int elements, double copy)
    {
        int side = (int)Math.Sqrt(elements);
        var plan = PlanBuilder.Build(Network.Vector(side).Linear(side), new PlanOptions(1, precision, new SoftmaxCrossEntropy(), new Adam()));
        var backend = Target.Open(precision);
        using var session = new TrainingSession(plan, backend);
        foreach (var step in plan.Update.Where(step => Bytes(backend, step.Kernel) > elements)) Show(backend, step.Kernel, copy);
    }

    private static void Show(Backend backend, Kernel kernel, double copy)
    {
        double bytes = Bytes(backend, kernel), seconds = Timing.Seconds(backend, backend.Bind(kernel));
        Print(kernel.Name, seconds, bytes, copy);
    }

    private static void Print(string name, double seconds, double bytes, double copy)
    {
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{name,-36}{seconds * 1e3,10:F3}{bytes / seconds / 1e9,10:F1}{bytes / seconds / copy,10:F2}"));
        Target.Record(name, seconds, bytes, 0);
    }

    private static double Bytes(Backend backend, Kernel kernel) => kernel.Reads.Concat(kernel.Writes).Sum(t => (double)t.Length * backend.SizeOf(t.Element));

    /// <summary>Gives tensors memory, and the inputs values: zeros cost a device less power, and flatter it.</summary>
    private static void Place(Backend backend, Tensor[] all, Tensor[] inputs)
    {
        backend.Allocate(all.Distinct().GroupBy(t => t.Region).ToDictionary(g => g.Key, g => MemoryPlanner.PlaceInOrder([.. g], t => t.Length * backend.SizeOf(t.Element))));
        var random = new Random(1);
        float[] values = [.. Enumerable.Range(0, 1 << 16).Select(_ => (float)random.NextDouble() - 0.5f)];
        foreach (var tensor in inputs)
        {
            if (tensor.Element == ElementType.Int32)
            {
                var counters = new int[tensor.Length];
                counters[StepControl.Rows] = all.Max(t => t.Dimensions[0] * (t.Dimensions.Count == 3 && t.Element == ElementType.Working ? 1 : 0)); // every example counts
                backend.Upload(tensor, counters);
            }
            else
            {
                for (long start = 0; start < tensor.Length; start += values.Length)
                {
                    int length = (int)Math.Min(values.Length, tensor.Length - start);
                    backend.Upload(tensor.Slice(tensor.Name, start, length), values.AsSpan(0, length));
                }
            }
        }
    }

    private static Tensor Working(string name, params ReadOnlySpan<int> dimensions) => new(name, ElementType.Working, Region.Activations, dimensions);

    private static Tensor Single(string name, params ReadOnlySpan<int> dimensions) => new(name, ElementType.Single, Region.Activations, dimensions);

    /// <summary>y = x, as a kernel of elements would do it.</summary>
    private sealed class CopyKernel(Tensor x, Tensor y) : Kernel
    {
        public override string Name => "Copy";
        public override IReadOnlyList<Tensor> Reads { get; } = [x];
        public override IReadOnlyList<Tensor> Writes { get; } = [y];

        public override unsafe Action BindCpu<T, TStorage>(CpuBackend cpu)
        {
            T* from = cpu.Pointer<T>(x), to = cpu.Pointer<T>(y);
            return cpu.For(x.Length, CpuBackend.ElementGrain, (start, end) => new ReadOnlySpan<T>(from + start, (int)(end - start)).CopyTo(new Span<T>(to + start, (int)(end - start))));
        }

        public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => gpu.Map<T, TStorage, T, TStorage, Unchanged>(x, y, new());
    }
}
