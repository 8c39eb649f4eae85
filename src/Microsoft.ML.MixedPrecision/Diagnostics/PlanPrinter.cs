using System.Globalization;
using System.Text;

namespace Microsoft.ML.MixedPrecision;

/// <summary>A plan as text: every step with its shapes, storage, offsets and bytes, then what each arena takes. The memory report that users see.</summary>
internal static class PlanPrinter
{
    public static string Print(ExecutionPlan plan)
    {
        var text = new StringBuilder();
        var options = plan.Options;
        text.Append(CultureInfo.InvariantCulture, $"Plan: batch {options.Batch}, {(options.Precision == Precision.Mixed ? "mixed precision: products half x half, sums single; softmax, losses, statistics and updates single" : "single precision")}\n");
        Section(text, plan, "train", plan.Train);
        Section(text, plan, "update", plan.Update);
        Section(text, plan, "evaluate", plan.Evaluate);
        foreach (var (region, bytes) in plan.Bytes.OrderBy(b => b.Key)) text.Append(CultureInfo.InvariantCulture, $"{region,-12}{bytes,15:N0} bytes\n");
        text.Append(CultureInfo.InvariantCulture, $"{"Total",-12}{plan.TotalBytes,15:N0} bytes\n");
        if (options.Precision == Precision.Mixed)
        {
            long single = PlanBuilder.Build(plan.Network, options with { Precision = Precision.Single }).TotalBytes;
            text.Append(CultureInfo.InvariantCulture, $"{"In single",-12}{single,15:N0} bytes\n");
        }
        return text.ToString();
    }

    private static void Section(StringBuilder text, ExecutionPlan plan, string title, IReadOnlyList<PlanStep> steps)
    {
        text.Append(CultureInfo.InvariantCulture, $"{title}: {steps.Count} steps\n");
        foreach (var (i, step) in steps.Index())
        {
            text.Append(CultureInfo.InvariantCulture, $"{i,4} {step.Phase,-10} {(step.Layer.Length > 0 ? step.Layer + ": " : "")}{step.Kernel.Name}\n");
            foreach (var tensor in step.Kernel.Writes)
            {
                string storage = tensor.Element switch { ElementType.Int32 => "int32", ElementType.Working when plan.Options.Precision == Precision.Mixed => "half", _ => "single" };
                long bytes = tensor.Length * (storage == "half" ? 2 : 4);
                text.Append(CultureInfo.InvariantCulture, $"       -> {tensor.Name} [{string.Join('x', tensor.Dimensions)}] {storage} {tensor.Region}+{tensor.ArenaOffset + tensor.Start * (storage == "half" ? 2 : 4)} {bytes:N0} bytes\n");
            }
        }
    }
}
