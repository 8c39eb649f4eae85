using System.Globalization;

namespace Microsoft.ML.MixedPrecision;

/// <summary>Whether a plan fits on a device, before anything of it is there; and what would, where it does not.</summary>
internal static class Preflight
{
    /// <exception cref="InvalidOperationException">It does not fit: bytes asked, bytes free, the largest batch that fits.</exception>
    /// <param name="plan">The plan as it was asked for.</param>
    /// <param name="optionsOf">The options of the same training with another batch.</param>
    public static void Check(ExecutionPlan plan, Backend backend, Func<int, PlanOptions> optionsOf)
    {
        if (backend.FreeBytes is { } free && plan.TotalBytes > free) throw DoesNotFit(plan, backend.Device, free, optionsOf, null);
    }

    /// <summary>What a user reads, also where the device refused although the numbers said that it would fit.</summary>
    public static InvalidOperationException DoesNotFit(ExecutionPlan plan, string device, long free, Func<int, PlanOptions> optionsOf, Exception? cause)
    {
        int batch = plan.Options.Batch;
        if (cause is not null && plan.TotalBytes <= free)
        {
            return new InvalidOperationException(
                $"{device}: expected {Number(plan.TotalBytes)} bytes of memory for a batch of {Number(batch)}, but the driver did not give what was asked, although {Number(free)} are free ({cause.Message.TrimEnd('.')}); use a smaller BatchSize, or end what else uses the device.", cause);
        }
        int fits = LargestBatch(plan.Network, batch - 1, free, optionsOf);
        string remedy = fits > 0
            ? $"the largest batch that fits is {Number(fits)}: set BatchSize to that, and GradientAccumulationSteps to {(batch + fits - 1) / fits * plan.Options.AccumulationSteps} for an update of as many rows"
            : "not even a batch of 1 fits: use a smaller network, another device, or the CPU";
        return new InvalidOperationException(
            $"{device}: expected {Number(plan.TotalBytes)} bytes of memory for a batch of {Number(batch)}, but {Number(free)} are free; {remedy}. Memory that other programs hold counts too.", cause);
    }

    /// <summary>By bisection: what a batch takes grows with its rows. 0 where none fits.</summary>
    public static int LargestBatch(Network network, int most, long free, Func<int, PlanOptions> optionsOf)
    {
        int fits = 0, tooLarge = most + 1;
        while (tooLarge - fits > 1)
        {
            int middle = fits + (tooLarge - fits) / 2;
            if (PlanBuilder.Build(network, optionsOf(middle)).TotalBytes <= free) fits = middle;
            else tooLarge = middle;
        }
        return fits;
    }

    private static string Number(long value) => value.ToString("N0", CultureInfo.InvariantCulture);
}
