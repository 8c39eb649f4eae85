using System.Globalization;

namespace Microsoft.ML.MixedPrecision;

/// <summary>Whether a plan fits on a device, before anything of it is there; and what would, where it does not.</summary>
internal static class Preflight
{
    /// <exception cref="InvalidOperationException">It does not fit: bytes asked, bytes free, the largest batch that fits.</exception>
    /// <param name="plan">The plan as it was asked for.</param>
    /// <param name="optionsOf">The options of the same training with another batch.</param>
    public static void Check(ExecutionPlan plan, DeviceRoom room, Func<int, PlanOptions> optionsOf)
    {
        if (!room.Holds(plan)) throw DoesNotFit(plan, room, optionsOf, null);
    }

    /// <summary>What a user reads, also where the device refused although the numbers said that it would fit.</summary>
    public static InvalidOperationException DoesNotFit(ExecutionPlan plan, DeviceRoom room, Func<int, PlanOptions> optionsOf, Exception? cause)
    {
        int batch = plan.Options.Batch;
        string wanted = $"{room.Device}: expected {Number(room.BytesOf(plan))} bytes of memory for a batch of {Number(batch)}, but", free = $"{Number(room.Free ?? 0)} are free";
        if (cause is not null && room.Holds(plan))
            return new InvalidOperationException($"{wanted} the driver did not give what was asked, although {free} ({cause.Message.TrimEnd('.')}); use a smaller BatchSize, or end what else uses the device.", cause);
        int fits = LargestBatch(plan.Network, batch - 1, room, optionsOf);
        string remedy = fits > 0
            ? $"the largest batch that fits is {Number(fits)}: set BatchSize to that, and GradientAccumulationSteps to {(batch + fits - 1) / fits * plan.Options.AccumulationSteps} for an update of as many rows"
            : "not even a batch of 1 fits: use a smaller network, another device, or the CPU";
        return new InvalidOperationException($"{wanted} {free}; {remedy}. Memory that other programs hold counts too.", cause);
    }

    /// <summary>By bisection: what a batch takes grows with its rows. 0 where none fits.</summary>
    public static int LargestBatch(Network network, int most, DeviceRoom room, Func<int, PlanOptions> optionsOf)
    {
        int fits = 0, tooLarge = most + 1;
        while (tooLarge - fits > 1)
        {
            int middle = fits + (tooLarge - fits) / 2;
            if (room.Holds(PlanBuilder.Build(network, optionsOf(middle)))) fits = middle;
            else tooLarge = middle;
        }
        return fits;
    }

    private static string Number(long value) => value.ToString("N0", CultureInfo.InvariantCulture);
}

/// <summary>What room there is on a device before a plan is there.</summary>
/// <param name="Device">In words.</param>
/// <param name="Free">Bytes; null where it is the host's memory, which is not judged.</param>
/// <param name="Beside">Bytes that kernels take beside a plan.</param>
internal readonly record struct DeviceRoom(string Device, long? Free, long Beside)
{
    public static DeviceRoom Of(Backend backend) => new(backend.Device, backend.FreeBytes, backend.BytesBesidePlan);

    public long BytesOf(ExecutionPlan plan) => plan.TotalBytes + Beside;

    public bool Holds(ExecutionPlan plan) => Free is not { } free || BytesOf(plan) <= free;
}
