using System.Runtime.InteropServices;
using ILGPU.Runtime;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MixedPrecision;

// Trains on a CUDA driver that only writes down what it is asked for: libcuda.so.1 must be the one of fakecuda.c.
// Kernels do nothing there: what is looked at is which calls the driver gets, in which order.
const int Rows = 40, Batch = 8, Steps = 5;

try
{
    return args switch
    {
        ["resident"] => Train(resident: true),
        ["uploaded"] => Train(resident: false),
        ["fit"] => Fit(),
        _ => throw new ArgumentException("resident, uploaded or fit."),
    };
}
catch (Exception e) when (e is InvalidOperationException or NotSupportedException)
{
    Console.WriteLine($"{e.GetType().Name}: {e.Message}");
    if (e is DeviceLostException { Model: { } model })
    {
        Console.WriteLine($"kept: epoch {model.Report.ModelEpoch}, {model.Report.StopReason}, scores {model.Transform(Data(new MLContext(seed: 1))).GetColumn<float[]>("Score").Count()} rows");
        model.Dispose();
    }
    return 1;
}

static int Train(bool resident)
{
    var device = IlgpuDevice.Open(AcceleratorType.Cuda, 0);
    int side = resident ? 4 : 32; // 64 KB of features a batch: enough for the copy stream
    var network = Network.Image(side, side, 2).Conv2d(8, 3, padding: 1).BatchNorm().Relu().MaxPool2d(2).Flatten().Linear(3);
    var plan = PlanBuilder.Build(network, new PlanOptions(Batch, Precision.Mixed, new SoftmaxCrossEntropy(), new Adam()) { TotalUpdates = Steps });
    var backend = new IlgpuBackend(Precision.Mixed, device);
    using var session = new TrainingSession(plan, backend, poison: false);
    var batch = new Batch(Batch, 2 * side * side, 0) { RowCount = Batch };
    if (resident)
    {
        session.Keep(RowsInMemory());
        session.BeginPass([.. Enumerable.Range(0, Rows)]);
    }
    Driver.Mark("epoch");
    long waits = backend.HostWaits;
    for (int step = 0; step < Steps; step++)
    {
        Driver.Mark("step");
        session.Step(resident ? null : batch, update: true);
    }
    Driver.Mark("end of epoch");
    Console.WriteLine($"waits {backend.HostWaits - waits}");
    Console.WriteLine($"kernels {(resident ? 3 : 0) + plan.Train.Count + plan.Update.Count}");
    Console.WriteLine(session.StepNote);
    session.ReadReport();
    return 0;
}

static RowStore RowsInMemory()
{
    var ml = new MLContext(seed: 1);
    var columns = new TrainingColumns("Features", "Label", null, ScoringTask.Multiclass, 32, 3);
    var view = Data(ml);
    var set = new RowSet(view, columns, Precision.Mixed, null, _ => true, 1 << 20, "");
    using var reader = new RowReader(view, columns, Precision.Mixed, null, "");
    while (reader.Read()) set.Admit(reader);
    return set.Store!;
}

static IDataView Data(MLContext ml)
{
    var rows = Enumerable.Range(0, Rows).Select(i => new Row { Features = [.. Enumerable.Range(0, 32).Select(j => (float)((i * j) % 7))], Name = $"{i % 3}" });
    var data = ml.Data.LoadFromEnumerable(rows);
    return ml.Transforms.Conversion.MapValueToKey("Label", nameof(Row.Name)).Fit(data).Transform(data);
}

static int Fit()
{
    var ml = new MLContext(seed: 1);
    new MixedPrecisionTrainer(ml, new() { Network = Network.Vector(32).Linear(8).Relu(), Device = "cuda:0", BatchSize = Batch, Epochs = 1000 }).Fit(Data(ml));
    return 0;
}

internal sealed class Row
{
    [VectorType(32)]
    public float[] Features { get; set; } = [];

    public string Name { get; set; } = "";
}

internal static partial class Driver
{
    [LibraryImport("libcuda.so.1", EntryPoint = "fakeMark", StringMarshalling = StringMarshalling.Utf8)]
    public static partial void Mark(string text);
}
