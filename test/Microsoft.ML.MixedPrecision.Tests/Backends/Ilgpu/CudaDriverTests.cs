using System.Diagnostics;
using System.Reflection;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>
/// What a training asks of the CUDA driver, without a GPU: a process of its own trains on a stand-in for libcuda that writes its calls
/// down and applies the driver's rules for captures. ILGPU, its kernels and this library's driver calls are the real ones.
/// </summary>
[TestClass]
public sealed class CudaDriverTests
{
    private static string s_folder = "";
    private static string? s_missing;

    [ClassInitialize]
    public static void BuildDriver(TestContext _)
    {
        s_folder = Directory.CreateTempSubdirectory("fakecuda").FullName;
        if (!OperatingSystem.IsLinux()) s_missing = "The stand-in for the driver is built on Linux only.";
        else if (!File.Exists(Program)) s_missing = "The program that trains on the stand-in for the driver is not beside these tests.";
        else if (Run("gcc", ["-shared", "-fPIC", "-O1", "-o", Path.Combine(s_folder, "libcuda.so.1"), Path.Combine(Path.GetDirectoryName(Program)!, "fakecuda.c")]) is not { } gcc)
            s_missing = "gcc, which builds the stand-in for the driver, is not in the PATH.";
        else Assert.AreEqual(0, gcc.Code, gcc.Output);
    }

    [ClassCleanup]
    public static void Remove() => Directory.Delete(s_folder, recursive: true);

    private static string Program => typeof(CudaDriverTests).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(data => data.Key == "FakeCuda").Value!;

    [TestMethod]
    public void A_step_with_rows_on_the_device_is_captured_once_and_then_one_launch()
    {
        var (code, output, calls) = Train("resident");
        Assert.AreEqual(0, code, output);
        Assert.Contains("waits 0", output);
        string[][] steps = Steps(calls);
        Assert.HasCount(5, steps);

        // The first step runs as launches, one or more for each kernel; drivers load code on first use.
        Assert.IsTrue(steps[0].All(call => call == "cuLaunchKernel"), string.Join(", ", steps[0].Distinct()));
        Assert.IsGreaterThanOrEqualTo(int.Parse(Value(output, "kernels ")), steps[0].Length);

        // The second one is captured: launches alone, the same number, and nothing that a capture forbids.
        string[] captured = [.. steps[1].Where(call => call == "cuLaunchKernel (captured)")], waits = [.. steps[1].Where(call => call.StartsWith("wait for", StringComparison.Ordinal))];
        Assert.HasCount(steps[0].Length, captured);
        Assert.HasCount(int.Parse(Value(output, "kernels ")), waits);
        CollectionAssert.AreEqual(
            new[] { "cuStreamBeginCapture of this thread", "cuStreamEndCapture (captured)", "cuGraphInstantiate", "cuGraphDestroy", "cuGraphLaunch" }, steps[1].Except(captured).Except(waits).ToArray());
        // The first waits for nothing. Some do not wait for the one before them: the gradient of an input does not for that of the weights.
        Assert.AreEqual("wait for (captured)", waits[0]);
        Assert.IsTrue(waits[1..].All(wait => wait != waits[0]), string.Join(", ", waits));
        int[] order = [.. steps[1].Aggregate((Node: 0, Beside: new List<int>()), (at, call) =>
        {
            if (call == "cuLaunchKernel (captured)") return (at.Node + 1, at.Beside);
            if (call.StartsWith("wait for ", StringComparison.Ordinal) && at.Node > 0 && !call.Split(' ').Contains($"{at.Node}")) at.Beside.Add(at.Node);
            return at;
        }).Beside];
        Assert.IsGreaterThan(1, order.Length, string.Join(", ", waits));
        Assert.Contains($"A step is one CUDA graph of {captured.Length} nodes.", output);

        // Every later one is one call. So no step allocates, copies from the host, or waits.
        foreach (string[] step in steps[2..]) CollectionAssert.AreEqual(new[] { "cuGraphLaunch" }, step);
    }

    [TestMethod]
    public void Uploaded_batches_are_copied_without_waiting_and_the_step_is_one_graph()
    {
        var (code, output, calls) = Train("uploaded");
        Assert.AreEqual(0, code, output);
        Assert.Contains("waits 0", output);
        string[][] steps = Steps(calls);
        foreach (string forbidden in (string[])["cuStreamSynchronize", "cuCtxSynchronize", "cuEventSynchronize", "cuMemFree"])
            Assert.IsFalse(steps.Any(step => step.Contains(forbidden)), $"{forbidden} within an epoch");
        foreach (string[] step in steps[2..])
        {
            Assert.AreEqual(1, step.Count(call => call == "cuGraphLaunch"));
            Assert.DoesNotContain("cuLaunchKernel", step);
            // The features cross the bus on one stream; the other one waits for them, and copies within the device. Labels, weights and the number of rows are small.
            string[] order = [.. step.Where(call => call.StartsWith("cuMemcpyAsync", StringComparison.Ordinal) || call is "cuStreamWaitEvent" or "cuGraphLaunch")];
            Assert.HasCount(7, order);
            Assert.AreEqual("cuStreamWaitEvent", order[1]);
            Assert.AreNotEqual(order[0], order[2]);
            CollectionAssert.AreEqual(new[] { order[2], order[2], order[2], "cuGraphLaunch" }, order[3..]);
        }
        Assert.IsFalse(steps[^1].Contains("cuMemHostRegister"), "The ring of page-locked buffers is used again.");
        Assert.IsFalse(steps[^1].Contains("cuMemAlloc"), "So are the buffers on the device.");
    }

    [TestMethod]
    public void A_driver_that_refuses_the_capture_gets_launches_and_the_log_says_why()
    {
        var (code, output, calls) = Train("resident", ("FAKECUDA_NO_CAPTURE", "1"));
        Assert.AreEqual(0, code, output);
        Assert.Contains("launches: the driver made no CUDA graph of it (operation failed due to a previous error during capture).", output);
        foreach (string[] step in Steps(calls)[2..]) Assert.IsTrue(step.All(call => call == "cuLaunchKernel") && step.Length > 20);
    }

    [TestMethod]
    public void A_driver_that_cannot_load_the_PTX_gets_an_older_version()
    {
        var (code, output, calls) = Train("resident", ("FAKECUDA_NEWEST_PTX", "82"));
        Assert.AreEqual(0, code, output);
        CollectionAssert.AreEqual(new[] { "PTX 8.4", "PTX 8.3", "PTX 8.2" }, calls.Where(call => call.StartsWith("cuModuleLoad ", StringComparison.Ordinal)).Select(call => call["cuModuleLoad ".Length..]).Distinct().ToArray());
    }

    [TestMethod]
    public void A_driver_that_loads_no_PTX_at_all_is_named_with_the_remedy()
    {
        var (code, output, _) = Train("fit", ("FAKECUDA_NEWEST_PTX", "50"));
        Assert.AreEqual(1, code, output);
        Assert.Contains("CUDA 0: Fake GPU does not open: CUDA device 0: Fake GPU (SM_90): its driver (CUDA 12.4) loads no kernel", output);
        Assert.Contains("install a newer NVIDIA driver", output);
    }

    [TestMethod]
    public void Memory_that_the_driver_refuses_in_spite_of_its_numbers_is_one_clear_error()
    {
        var (code, output, _) = Train("fit", ("FAKECUDA_MOST_BYTES", "5000"));
        Assert.AreEqual(1, code, output);
        Assert.Contains("the driver did not give what was asked, although 17,179,869,184 are free", output);
        Assert.Contains("out of memory", output);
    }

    /// <summary>The first two steps are some 20 launches each, and the rest one each, five an epoch: the 500th comes after some 90 epochs of 1,000.</summary>
    [TestMethod]
    public void A_device_that_is_lost_leaves_the_model_of_the_last_epoch()
    {
        var (code, output, _) = Train("fit", ("FAKECUDA_LAUNCHES", "500"));
        Assert.AreEqual(1, code, output);
        Assert.Contains("DeviceLostException: CUDA device 0: Fake GPU (SM_90): lost in epoch ", output);
        Assert.Contains("(unspecified launch failure)", output);
        Assert.MatchesRegex("kept: epoch [0-9]+, DeviceLost, scores 40 rows", output);
    }

    private static (int Code, string Output, string[] Calls) Train(string scenario, params (string Name, string Value)[] settings)
    {
        if (s_missing is not null) Assert.Inconclusive(s_missing);
        string log = Path.Combine(s_folder, Path.GetRandomFileName());
        var (code, output) = Run(DotnetHost.Program, [Program, scenario], [("LD_LIBRARY_PATH", s_folder), ("FAKECUDA_LOG", log), .. settings])!.Value;
        return (code, output, File.Exists(log) ? File.ReadAllLines(log) : []);
    }

    private static (int Code, string Output)? Run(string program, string[] arguments, (string Name, string Value)[]? environment = null)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var (name, value) in environment ?? []) start.Environment[name] = value;
        try
        {
            using var process = Process.Start(start)!;
            var errors = process.StandardError.ReadToEndAsync();
            string output = process.StandardOutput.ReadToEnd();
            process.WaitForExit();
            return (process.ExitCode, output + errors.Result);
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return null; // there is no such program
        }
    }

    /// <summary>The calls of each step of the epoch.</summary>
    private static string[][] Steps(string[] calls)
    {
        string[] epoch = calls[(Array.IndexOf(calls, "epoch") + 1)..Array.IndexOf(calls, "end of epoch")];
        int[] starts = [.. epoch.Index().Where(call => call.Item == "step").Select(call => call.Index), epoch.Length];
        return [.. starts.Zip(starts.Skip(1), (from, to) => epoch[(from + 1)..to])];
    }

    private static string Value(string output, string name) => output.Split('\n').Single(line => line.StartsWith(name, StringComparison.Ordinal))[name.Length..].Trim();
}
