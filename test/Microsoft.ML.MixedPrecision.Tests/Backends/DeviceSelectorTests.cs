using ILGPU.Runtime;

namespace Microsoft.ML.MixedPrecision.Tests;

[TestClass]
public sealed class DeviceSelectorTests
{
    private readonly List<string> _log = [];

    [TestMethod]
    public void Nothing_named_is_the_CPU()
    {
        var choice = Select(null, null, new Machine());
        using var backend = choice.Create(Precision.Mixed);
        Assert.IsInstanceOfType<CpuBackend>(backend);
        Assert.AreEqual("Training on the CPU, because neither Device nor MLContext.GpuDeviceId names a GPU.", choice.Explanation);
    }

    [TestMethod]
    public void Cpu_is_the_CPU_whatever_the_context_says()
    {
        using var backend = Select("cpu", 0, new Machine { Cuda = ["GPU A"] }, threads: 1).Create(Precision.Single);
        Assert.AreEqual(1, Assert.IsInstanceOfType<CpuBackend>(backend).Threads);
        Assert.AreEqual(Precision.Single, backend.Precision);
    }

    [TestMethod]
    [DataRow("cuda:1", null, "Cuda 1")]
    [DataRow("opencl:0", null, "OpenCL 0")]
    [DataRow("opencl:0", 1, "OpenCL 0")]
    [DataRow(null, 1, "Cuda 1")]
    [DataRow(null, 2, "OpenCL 2")]
    public void A_named_GPU_is_opened(string? device, int? gpuDeviceId, string expected)
    {
        var machine = new Machine { Cuda = ["GPU A", "GPU B"], OpenCL = ["GPU C", "GPU D", "GPU E"] };
        var choice = Select(device, gpuDeviceId, machine);
        using var backend = choice.Create(Precision.Mixed);
        Assert.IsInstanceOfType<IlgpuBackend>(backend);
        Assert.AreEqual(expected, machine.Opened);
        Assert.Contains(device is null ? $"MLContext.GpuDeviceId = {gpuDeviceId}" : $"Device = \"{device}\"", choice.Explanation);
        Assert.IsEmpty(_log);
    }

    [TestMethod]
    public void An_absent_GPU_is_one_clear_exception()
    {
        var e = Assert.ThrowsExactly<InvalidOperationException>(() => Select("cuda:0", null, new Machine()));
        Assert.AreEqual(
            "Device = \"cuda:0\": expected that GPU, but it cannot be used. Found no CUDA device. No Cuda driver. " +
            "Or train on the CPU: Device = \"cpu\", or MLContext.FallbackToCpu = true.", e.Message);
    }

    [TestMethod]
    public void A_number_too_high_names_what_there_is()
    {
        var e = Assert.ThrowsExactly<InvalidOperationException>(() => Select(null, 2, new Machine { Cuda = ["GPU A", "GPU B"] }));
        Assert.Contains("Found CUDA 0: GPU A, 1: GPU B; there is no number 2. Found no OpenCL device. No OpenCL driver.", e.Message);
    }

    [TestMethod]
    public void A_device_that_does_not_open_keeps_its_reason()
    {
        var e = Assert.ThrowsExactly<InvalidOperationException>(() => Select("cuda:0", null, new Machine { Cuda = ["GPU A"], Broken = true }));
        Assert.Contains("CUDA 0: GPU A does not open: out of order.", e.Message);
        Assert.IsInstanceOfType<NotSupportedException>(e.InnerException);
    }

    [TestMethod]
    public void An_absent_GPU_falls_back_with_a_line_in_the_log()
    {
        var choice = Select("opencl:0", null, new Machine(), fallback: true);
        using var backend = choice.Create(Precision.Mixed);
        Assert.IsInstanceOfType<CpuBackend>(backend);
        Assert.AreEqual("Device = \"opencl:0\", but the CPU trains, as MLContext.FallbackToCpu allows. Found no OpenCL device. No OpenCL driver.", _log.Single());
        Assert.Contains("MLContext.FallbackToCpu is set", choice.Explanation);
    }

    [TestMethod]
    public void More_threads_than_cores_are_not_made_and_the_log_says_so()
    {
        int cores = Environment.ProcessorCount;
        using var all = Assert.IsInstanceOfType<CpuBackend>(Select("cpu", null, new Machine(), threads: cores).Create(Precision.Mixed));
        Assert.AreEqual(cores, all.Threads);
        Assert.IsEmpty(_log);

        using var more = Assert.IsInstanceOfType<CpuBackend>(Select("cpu", null, new Machine(), threads: cores + 3).Create(Precision.Mixed));
        Assert.AreEqual(cores, more.Threads);
        Assert.Contains($"Threads = {cores + 3}, but this process has {cores} core", _log.Single());
    }

    [TestMethod]
    [DataRow("gpu")]
    [DataRow("")]
    [DataRow("cuda")]
    [DataRow("cuda:")]
    [DataRow("cuda:-1")]
    [DataRow("cuda:+1")]
    [DataRow("cuda:0:1")]
    [DataRow("CUDA:0")]
    [DataRow("opencl:x")]
    public void A_malformed_device_is_an_argument_exception_that_names_the_option(string device)
    {
        var e = Assert.ThrowsExactly<ArgumentException>(() => Select(device, 0, new Machine { Cuda = ["GPU A"] }, fallback: true));
        Assert.AreEqual("device", e.ParamName);
        Assert.Contains($"Device: expected \"cpu\", \"cuda:N\" or \"opencl:N\" with N from 0, or null to go by MLContext.GpuDeviceId; got \"{device}\".", e.Message);
    }

    [TestMethod]
    public void A_negative_number_in_the_context_is_an_argument_exception() =>
        Assert.Contains("MLContext.GpuDeviceId", Assert.ThrowsExactly<ArgumentException>(() => Select(null, -1, new Machine())).Message);

    [TestMethod]
    public void This_machine_says_why_it_lacks_a_device()
    {
        foreach (var type in (ReadOnlySpan<AcceleratorType>)[AcceleratorType.Cuda, AcceleratorType.OpenCL])
        {
            var survey = IlgpuDevice.Survey(type);
            Assert.AreEqual(survey.Names.Count == 0, survey.Missing.Length > 20, survey.Missing);
        }
    }

    [TestMethod]
    public void The_simulator_opens_for_tests()
    {
        using var backend = DeviceSelector.Select("simulator", null, fallbackToCpu: false, _log.Add).Create(Precision.Mixed);
        Assert.AreEqual("ILGPU simulator", backend.Device);
    }

    private DeviceChoice Select(string? device, int? gpuDeviceId, Machine machine, bool fallback = false, int threads = 0) =>
        DeviceSelector.Select(device, gpuDeviceId, fallback, _log.Add, threads, machine);

    /// <summary>A machine with the devices that a test gives it; behind each is the simulator.</summary>
    private sealed class Machine : IDeviceCatalog
    {
        public string[] Cuda { get; init; } = [];
        public string[] OpenCL { get; init; } = [];
        public bool Broken { get; init; }
        public string? Opened { get; private set; }

        public DeviceSurvey Survey(AcceleratorType type) => new(type == AcceleratorType.Cuda ? Cuda : OpenCL, $"No {type} driver.");

        public IlgpuDevice Open(AcceleratorType type, int ordinal)
        {
            if (Broken) throw new NotSupportedException("out of order.");
            Opened = $"{type} {ordinal}";
            return IlgpuDevice.Simulator;
        }
    }
}
