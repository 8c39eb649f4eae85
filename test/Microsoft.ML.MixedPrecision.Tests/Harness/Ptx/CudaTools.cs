using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>What a kernel became for one architecture.</summary>
/// <param name="Spills">Bytes that registers had no room for, with the stack frame.</param>
/// <param name="Assembly">The instructions, one a line; empty where they were not asked for.</param>
internal sealed record KernelListing(int Registers, int SharedBytes, int Spills, IReadOnlyList<string> Assembly)
{
    /// <summary>Instructions whose name and modifiers match.</summary>
    public int Count(string pattern) => Assembly.Count(line => Regex.IsMatch(line, pattern, RegexOptions.CultureInvariant));
}

/// <summary>
/// NVIDIA's assembler and disassembler, which need no GPU: from the folder that MIXED_PRECISION_CUDA_TOOLS names, or from the PATH.
/// They come with the CUDA toolkit.
/// </summary>
internal static partial class CudaTools
{
    private static readonly string? Ptxas = Find("ptxas"), Nvdisasm = Find("nvdisasm");

    /// <summary>Why nothing can be assembled here, or null where it can.</summary>
    public static string? Missing => Ptxas is not null && Nvdisasm is not null ? null
        : $"No {(Ptxas is null ? "ptxas" : "nvdisasm")} on the PATH: install the CUDA toolkit, or name its folder in MIXED_PRECISION_CUDA_TOOLS.";

    /// <summary>The assembler's version: "release 12.4, V12.4.131".</summary>
    public static string Version => Release().Match(Run(Ptxas!, "--version")).Value;

    [GeneratedRegex(@"release [^\r\n]*")]
    private static partial Regex Release();

    [GeneratedRegex(@"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")]
    private static partial Regex Spilled();

    [GeneratedRegex(@"Used (\d+) registers(?:.*?(\d+) bytes smem)?")]
    private static partial Regex Used();

    [GeneratedRegex(@"/\*[0-9a-f]{4,}\*/\s+([^;]*;)")]
    private static partial Regex Instruction();

    /// <param name="architecture">"sm_80".</param>
    public static KernelListing Assemble(string ptx, string architecture, bool disassemble)
    {
        string source = Path.GetTempFileName(), binary = Path.GetTempFileName();
        try
        {
            File.WriteAllText(source, ptx);
            string log = Run(Ptxas!, "-v", $"-arch={architecture}", "-o", binary, source);
            var spilled = Spilled().Match(log);
            var used = Used().Match(log);
            Assert.IsTrue(spilled.Success && used.Success, log);
            string[] assembly = disassemble ? [.. Instruction().Matches(Run(Nvdisasm!, "-c", binary)).Select(m => m.Groups[1].Value)] : [];
            return new(Number(used.Groups[1]), used.Groups[2].Success ? Number(used.Groups[2]) : 0, spilled.Groups.Values.Skip(1).Sum(Number), assembly);
        }
        finally
        {
            File.Delete(source);
            File.Delete(binary);
        }
    }

    private static int Number(Group group) => int.Parse(group.ValueSpan, CultureInfo.InvariantCulture);

    private static string Run(string tool, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(tool, arguments) { RedirectStandardError = true, RedirectStandardOutput = true })!;
        var errors = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.AreEqual(0, process.ExitCode, errors.Result);
        return output + errors.Result;
    }

    private static string? Find(string tool)
    {
        string[] folders = [Environment.GetEnvironmentVariable("MIXED_PRECISION_CUDA_TOOLS") ?? "", .. (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator)];
        return folders.Where(folder => folder.Length > 0).Select(folder => Path.Combine(folder, OperatingSystem.IsWindows() ? tool + ".exe" : tool)).FirstOrDefault(File.Exists);
    }
}
