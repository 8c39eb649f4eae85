using System.Globalization;

namespace Microsoft.ML.MixedPrecision.Benchmarks;

/// <summary>The memory of a workload's plan in both precisions.</summary>
internal static class PlanVerb
{
    public static int Run(string[] args)
    {
        var workload = Workload.Named(args[0]);
        var mixed = workload.Plan(Precision.Mixed);
        var single = workload.Plan(Precision.Single);
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{workload.Name}, batch {workload.Batch}: {workload.Network().ParameterCount:N0} parameters"));
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{"",-12}{"mixed",16}{"single",16}  ratio"));
        foreach (var region in mixed.Bytes.Keys.Order()) Row(region.ToString(), mixed.Bytes[region], single.Bytes[region]);
        Row("Total", mixed.TotalBytes, single.TotalBytes);
        return 0;

        static void Row(string name, long a, long b) =>
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{name,-12}{a,16:N0}{b,16:N0}  {(double)a / b:F3}"));
    }
}
