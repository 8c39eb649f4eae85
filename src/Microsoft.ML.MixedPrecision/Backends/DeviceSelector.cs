using System.Globalization;
using ILGPU;
using ILGPU.Runtime;

namespace Microsoft.ML.MixedPrecision;

/// <summary>The device that a training runs on.</summary>
/// <param name="Create">A fresh backend there, nothing allocated.</param>
/// <param name="Explanation">One sentence: what was chosen, and why.</param>
internal sealed record DeviceChoice(Func<Precision, Backend> Create, string Explanation);

/// <summary>The devices of one kind on a machine.</summary>
/// <param name="Names">In the order of their numbers.</param>
/// <param name="Missing">Where there are none: why, and what to install. One or more sentences.</param>
internal sealed record DeviceSurvey(IReadOnlyList<string> Names, string Missing);

/// <summary>Which devices there are: the machine's own, or a test's.</summary>
internal interface IDeviceCatalog
{
    DeviceSurvey Survey(AcceleratorType type);

    IlgpuDevice Open(AcceleratorType type, int ordinal);
}

/// <summary>
/// Turns what the user asked for into a device. The option decides; where it is null, <c>MLContext.GpuDeviceId</c> does, as
/// elsewhere in ML.NET: null is the CPU, a number is that CUDA device, or that OpenCL device where there is no such CUDA device.
/// </summary>
internal static class DeviceSelector
{
    /// <param name="device">null, "cpu", "cuda:N" or "opencl:N".</param>
    /// <param name="gpuDeviceId"><c>MLContext.GpuDeviceId</c>; matters only where <paramref name="device"/> is null.</param>
    /// <param name="fallbackToCpu">Whether an absent GPU means the CPU, with a line in the log, and no exception.</param>
    /// <param name="log">Takes that line.</param>
    /// <param name="threads">Of the CPU, where it is chosen; 0 for one per core. More than one per core are not made: <paramref name="log"/> says so.</param>
    /// <param name="catalog">The devices to choose from; null for this machine's.</param>
    /// <exception cref="ArgumentException"><paramref name="device"/> is none of the forms above.</exception>
    /// <exception cref="InvalidOperationException">The device is not there or does not open, and there is no fallback.</exception>
    public static DeviceChoice Select(
        string? device, int? gpuDeviceId, bool fallbackToCpu, Action<string> log, int threads = 0, IDeviceCatalog? catalog = null)
    {
        catalog ??= new ThisMachine();
        var (kinds, ordinal) = Parse(device, gpuDeviceId);
        string asked = device is not null ? $"Device = \"{device}\""
            : gpuDeviceId is { } id ? $"MLContext.GpuDeviceId = {id}"
            : "neither Device nor MLContext.GpuDeviceId names a GPU";
        if (kinds.Length == 0) return Cpu(threads, $"because {(device is null ? asked : $"{asked} says so")}", log);

        var surveys = kinds.Select(kind => (Kind: kind, Survey: catalog.Survey(kind))).ToArray();
        Exception? cause = null;
        string problem = "";
        foreach (var (kind, survey) in surveys)
        {
            if (ordinal >= survey.Names.Count)
            {
                problem += survey.Names.Count == 0
                    ? $"Found no {Name(kind)} device. {survey.Missing} "
                    : $"Found {Name(kind)} {string.Join(", ", survey.Names.Select((name, i) => $"{i}: {name}"))}; there is no number {ordinal}. ";
                continue;
            }
            try
            {
                var opened = catalog.Open(kind, ordinal);
                return new(precision => new IlgpuBackend(precision, opened), $"Training on {opened.Name}, because of {asked}.");
            }
            // A driver that is there and does not work. What it throws is its own affair; it becomes one message.
            catch (Exception e) when (e is AcceleratorException or CapabilityNotSupportedException or NotSupportedException)
            {
                cause = e;
                problem += $"{Name(kind)} {ordinal}: {survey.Names[ordinal]} does not open: {e.Message.TrimEnd('.')}. ";
            }
        }
        problem = problem.TrimEnd();
        if (!fallbackToCpu)
        {
            throw new InvalidOperationException(
                $"{asked}: expected that GPU, but it cannot be used. {problem} Or train on the CPU: Device = \"cpu\", or MLContext.FallbackToCpu = true.", cause);
        }
        log($"{asked}, but the CPU trains, as MLContext.FallbackToCpu allows. {problem}");
        return Cpu(threads, $"because the GPU of {asked} is not there and MLContext.FallbackToCpu is set", log);
    }

    private static DeviceChoice Cpu(int threads, string reason, Action<string> log)
    {
        int most = WorkerPool.Shared.Threads;
        if (threads > most) log(FormattableString.Invariant($"Threads = {threads}, but this process has {most} core{(most == 1 ? "" : "s")}: {most} train, because more would wait for each other."));
        int used = Math.Min(threads, most);
        return new(precision => new CpuBackend(precision, used), $"Training on the CPU, {reason}.");
    }

    private static string Name(AcceleratorType kind) => kind == AcceleratorType.Cuda ? "CUDA" : kind.ToString();

    /// <summary>The kinds to look for, in order, and the number within them; no kind for the CPU.</summary>
    /// <exception cref="ArgumentException"><paramref name="device"/> is neither null nor the name of a device.</exception>
    public static void Validate(string? device) => Parse(device, null);

    private static (AcceleratorType[] Kinds, int Ordinal) Parse(string? device, int? gpuDeviceId)
    {
        if (device is null)
        {
            if (gpuDeviceId is not { } id) return ([], 0);
            if (id < 0) throw new ArgumentException($"MLContext.GpuDeviceId: expected a number from 0, or null for the CPU; got {id}.", nameof(gpuDeviceId));
            return ([AcceleratorType.Cuda, AcceleratorType.OpenCL], id);
        }
        if (device == "cpu") return ([], 0);
        if (device == "simulator") return ([AcceleratorType.CPU], 0); // for tests: correct, and a thousand times too slow to train on
        string[] parts = device.Split(':');
        AcceleratorType? kind = parts[0] switch { "cuda" => AcceleratorType.Cuda, "opencl" => AcceleratorType.OpenCL, _ => null };
        if (parts.Length == 2 && kind is { } found && int.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out int ordinal)) return ([found], ordinal);
        throw new ArgumentException(
            $"Device: expected \"cpu\", \"cuda:N\" or \"opencl:N\" with N from 0, or null to go by MLContext.GpuDeviceId; got \"{device}\".", nameof(device));
    }

    private sealed class ThisMachine : IDeviceCatalog
    {
        public DeviceSurvey Survey(AcceleratorType type) => IlgpuDevice.Survey(type);
        public IlgpuDevice Open(AcceleratorType type, int ordinal) => IlgpuDevice.Open(type, ordinal);
    }
}
