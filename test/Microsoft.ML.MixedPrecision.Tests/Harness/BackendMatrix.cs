using ILGPU.Runtime;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>One way to run a plan: a device, a precision, and how half precision is held there.</summary>
public sealed class BackendRow
{
    private readonly Func<Backend> _create;

    internal BackendRow(string device, Precision precision, Func<Backend> create) => (Device, Precision, _create) = (device, precision, create);

    /// <summary>The device's kind: "cpu", "simulator", "simulator bits", "ptx", "cuda", "opencl".</summary>
    public string Device { get; }

    public Precision Precision { get; }

    /// <summary>A fresh backend, nothing allocated; the caller disposes it (a <see cref="TrainingSession"/> does).</summary>
    internal Backend Create() => _create();

    public override string ToString() => $"{Device}, {Precision}";
}

/// <summary>
/// Every backend that a kernel must be right on. Use it on a test that takes a <see cref="BackendRow"/>:
/// <code>
/// [TestMethod, DynamicData(nameof(BackendMatrix.All), typeof(BackendMatrix))]
/// public void Relu_matches_its_reference(BackendRow row) => OpCheck.Run(row.Create(), network, reference);
/// </code>
/// A device that this machine lacks is a row that is skipped, with the reason shown.
/// </summary>
public static class BackendMatrix
{
    /// <summary>{CPU, simulator, interpreted PTX, CUDA, OpenCL} x {mixed, single}; the simulator's mixed twice, with native halves and with raw bits.</summary>
    public static IEnumerable<TestDataRow<BackendRow>> All => [.. Cpu, .. Gpu];

    /// <summary>The rows that need nothing but the machine's own cores and its SIMD path.</summary>
    public static IEnumerable<TestDataRow<BackendRow>> Cpu =>
    [
        Row("cpu", Precision.Mixed, p => new CpuBackend(p)),
        Row("cpu", Precision.Single, p => new CpuBackend(p)),
    ];

    /// <summary>The rows that run ILGPU kernels.</summary>
    public static IEnumerable<TestDataRow<BackendRow>> Gpu => [.. Simulator, .. Ptx, .. Device("cuda", AcceleratorType.Cuda), .. Device("opencl", AcceleratorType.OpenCL)];

    /// <summary>The rows that run ILGPU kernels on any machine.</summary>
    public static IEnumerable<TestDataRow<BackendRow>> Simulator =>
    [
        Row("simulator", Precision.Mixed, p => new IlgpuBackend(p, IlgpuDevice.Simulator, HalfFormat.Native)),
        Row("simulator bits", Precision.Mixed, p => new IlgpuBackend(p, IlgpuDevice.Simulator, HalfFormat.Bits)),
        Row("simulator", Precision.Single, p => new IlgpuBackend(p, IlgpuDevice.Simulator)),
    ];

    /// <summary>The rows that run what ILGPU generates for CUDA, on any machine: see <see cref="PtxMachine"/>.</summary>
    public static IEnumerable<TestDataRow<BackendRow>> Ptx =>
    [
        Ampere,
        Row("ptx", Precision.Single, p => new IlgpuBackend(p, PtxDevice.Ampere)),
    ];

    /// <summary>PTX in mixed precision, with products on tensor cores.</summary>
    public static TestDataRow<BackendRow> Ampere => Row("ptx", Precision.Mixed, p => new IlgpuBackend(p, PtxDevice.Ampere, HalfFormat.Native));

    /// <summary>PTX in mixed precision, with products of warp groups.</summary>
    public static TestDataRow<BackendRow> Hopper => Row("ptx sm_90", Precision.Mixed, p => new IlgpuBackend(p, PtxDevice.Hopper, HalfFormat.Native));

    private static TestDataRow<BackendRow>[] Device(string name, AcceleratorType type)
    {
        var survey = IlgpuDevice.Survey(type);
        string? absent = survey.Names.Count > 0 ? null : $"No {name} device: {survey.Missing}";
        return [.. new[] { Precision.Mixed, Precision.Single }.Select(precision => Row(name, precision, p => new IlgpuBackend(p, IlgpuDevice.Open(type, 0)), absent))];
    }

    private static TestDataRow<BackendRow> Row(string device, Precision precision, Func<Precision, Backend> create, string? absent = null)
    {
        var row = new BackendRow(device, precision, () => create(precision));
        return new(row) { DisplayName = row.ToString(), IgnoreMessage = absent };
    }
}
