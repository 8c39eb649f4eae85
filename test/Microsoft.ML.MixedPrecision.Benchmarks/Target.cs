using System.Globalization;
using System.Text.Json;
using ILGPU.Runtime;

namespace Microsoft.ML.MixedPrecision.Benchmarks;

/// <summary>What holds for every verb: the device, a batch size other than the workload's, and a file that takes what is measured as lines of JSON.</summary>
internal static class Target
{
    public const string Usage = "--device cpu|simulator|cuda:N|opencl:N   --batch N   --json FILE (a line for each kernel that gemm and bandwidth measure)   --in-order (a step on CUDA as one chain)";

    private static string s_device = "cpu";
    private static string? s_json;
    private static bool s_inOrder;

    /// <summary>Rows of a batch, where the workload's own number is not wanted.</summary>
    public static int? Batch { get; private set; }

    public static bool IsCpu => s_device == "cpu";

    /// <summary>What another process needs to measure the same.</summary>
    public static string[] Arguments => ["--device", s_device, .. Batch is { } batch ? (string[])["--batch", batch.ToString(CultureInfo.InvariantCulture)] : []];

    /// <summary>Takes its options out of the arguments, wherever they stand.</summary>
    public static string[] Take(string[] args)
    {
        var rest = new List<string>();
        for (int i = 0; i < args.Length; i++)
        {
            if (args[i] == "--in-order")
            {
                s_inOrder = true;
                continue;
            }
            if (args[i] is not ("--device" or "--batch" or "--json"))
            {
                rest.Add(args[i]);
                continue;
            }
            if (i + 1 == args.Length) throw new ArgumentException($"Expected a value after {args[i]}. {Usage}");
            string option = args[i++];
            if (option == "--device") s_device = args[i];
            else if (option == "--json") s_json = args[i];
            else Batch = int.Parse(args[i], CultureInfo.InvariantCulture);
        }
        return [.. rest];
    }

    /// <param name="threads">Of the CPU; 0 for one a core.</param>
    public static Backend Open(Precision precision, int threads = 0) => s_device.Split(':') switch
    {
        ["cpu"] => new CpuBackend(precision, threads),
        ["simulator"] => new IlgpuBackend(precision, IlgpuDevice.Simulator),
        ["cuda", var ordinal] => new IlgpuBackend(precision, IlgpuDevice.Open(AcceleratorType.Cuda, int.Parse(ordinal, CultureInfo.InvariantCulture))) { InOrder = s_inOrder },
        ["opencl", var ordinal] => new IlgpuBackend(precision, IlgpuDevice.Open(AcceleratorType.OpenCL, int.Parse(ordinal, CultureInfo.InvariantCulture))),
        _ => throw new ArgumentException($"--device: expected cpu, simulator, cuda:N or opencl:N, got '{s_device}'."),
    };

    /// <summary>A line of JSON, at once: a run that is cut off keeps what it measured.</summary>
    /// <param name="bytes">0 where arithmetic limits.</param>
    /// <param name="flop">0 where memory limits.</param>
    public static void Record(string name, double seconds, double bytes, double flop)
    {
        if (s_json is not null) File.AppendAllText(s_json, JsonSerializer.Serialize(new { name, seconds, bytes, flop }) + "\n");
    }
}
