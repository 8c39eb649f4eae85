using System.Diagnostics;

namespace Microsoft.ML.MixedPrecision.Build;

/// <summary>Runs a program with its output on ours.</summary>
internal static class Command
{
    public static int Dotnet(params IEnumerable<string> arguments) => Run("dotnet", Repository.Root, null, arguments);

    public static int Run(string program, string folder, IReadOnlyDictionary<string, string>? environment, IEnumerable<string> arguments)
    {
        var start = new ProcessStartInfo(program) { WorkingDirectory = folder, UseShellExecute = false };
        foreach (string argument in arguments) start.ArgumentList.Add(argument);
        foreach (var (name, value) in environment ?? new Dictionary<string, string>()) start.Environment[name] = value;
        using Process process = Process.Start(start) ?? throw new BuildException($"'{program}' did not start.");
        process.WaitForExit();
        return process.ExitCode;
    }

    /// <summary>Runs a step under a heading and says how long it took.</summary>
    public static bool Step(string name, Func<int> step)
    {
        Console.WriteLine($"--- {name}");
        var watch = Stopwatch.StartNew();
        int status = step();
        Console.WriteLine($"--- {name}: {(status == 0 ? "done" : "FAILED")} in {watch.Elapsed.TotalSeconds:F0} s");
        return status == 0;
    }
}
