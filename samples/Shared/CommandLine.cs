namespace Samples;

/// <summary>What the samples' command lines have in common.</summary>
internal static class CommandLine
{
    /// <summary>Takes <c>--device NAME</c> out of the arguments.</summary>
    /// <returns>"cpu", "cuda:0", "opencl:0"; null where it is not there, which is the CPU.</returns>
    public static string? TakeDevice(ref string[] args)
    {
        int place = Array.IndexOf(args, "--device");
        if (place < 0) return null;
        if (place + 1 == args.Length) throw new ArgumentException("--device: expected cpu, cuda:N or opencl:N behind it, found nothing.");
        string device = args[place + 1];
        args = [.. args[..place], .. args[(place + 2)..]];
        return device;
    }
}
