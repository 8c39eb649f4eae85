using System.Reflection;
using System.Reflection.Emit;
using ILGPU;
using ILGPU.Backends.EntryPoints;
using ILGPU.Backends.PTX;
using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>
/// What ILGPU 1.5.3 translates wrongly: each trap shown to be there, by a kernel that falls into it, and each kernel of the
/// library shown to keep clear of it. Where a later ILGPU has mended one, its first test fails, and the rule can go.
/// </summary>
[TestClass]
public sealed class HazardTests
{
    private const int Threads = 256, Tiles = 8;

    /// <summary>The textbook's loop over tiles. O2 moves the read behind the second barrier.</summary>
    internal static void TiledSum(ArrayView<float> input, ArrayView<float> output)
    {
        var tile = SharedMemory.Allocate<float>(Threads);
        int thread = Group.IdxX;
        float sum = 0;
        for (int i = 0; i < Tiles; i++)
        {
            tile[thread] = input[thread + i * Threads];
            Group.Barrier();
            sum += tile[Threads - 1 - thread];
            Group.Barrier();
        }
        output[thread] = sum;
    }

    /// <summary>O2 declares the second branch uniform, and one lane of 32 takes it.</summary>
    internal static void DivergentFlag(ArrayView<float> input, ArrayView<float> output)
    {
        int thread = Group.IdxX, flag;
        if (thread == 3)
        {
            output[thread] = 7;
            flag = 1;
        }
        else
        {
            output[thread] = 9;
            flag = 2;
        }
        Group.Barrier();
        if (flag == 1) output[thread] = input[thread];
    }

    /// <summary>C# rounds -7 / 8 to 0; a shift rounds it to -1.</summary>
    internal static void SignedDivision(ArrayView<float> input, ArrayView<float> output) => output[Group.IdxX] = (Group.IdxX - 128) / 8;

    /// <summary>0x0001 in place of 0x3C00.</summary>
    internal static void HalfOne(ArrayView<float> input, ArrayView<float> output) => output[Group.IdxX] = ILGPU.Half.One;

    /// <summary>An array, however small, is local memory.</summary>
    internal static void SmallArray(ArrayView<float> input, ArrayView<float> output)
    {
        var last = new float[2];
        for (int i = 0; i < Tiles; i++) last[i & 1] = input[Group.IdxX + i * Threads];
        output[Group.IdxX] = last[Group.IdxX & 1];
    }

    [TestMethod]
    public void O2_moves_reads_of_shared_memory_across_barriers()
    {
        AssertRight(nameof(TiledSum), OptimizationLevel.O1, (input, t) => Enumerable.Range(0, Tiles).Sum(i => input[Threads - 1 - t + i * Threads]));
        Assert.Contains("race", Assert.ThrowsExactly<PtxFaultException>(() => Run(nameof(TiledSum), OptimizationLevel.O2)).Message);
    }

    [TestMethod]
    public void O2_branches_uniformly_where_lanes_diverge()
    {
        AssertRight(nameof(DivergentFlag), OptimizationLevel.O1, (input, t) => t == 3 ? input[3] : 9);
        Assert.Contains("divergent bra.uni", Assert.ThrowsExactly<PtxFaultException>(() => Run(nameof(DivergentFlag), OptimizationLevel.O2)).Message);
    }

    [TestMethod]
    public void The_devices_compile_at_O1() => Assert.AreEqual(OptimizationLevel.O1, IlgpuDevice.Simulator.Accelerator.Context.Properties.OptimizationLevel);

    [TestMethod]
    public void Division_by_a_power_of_two_shifts_negative_values()
    {
        var (_, output) = Run(nameof(SignedDivision), OptimizationLevel.O1);
        for (int t = 0; t < Threads; t++) Assert.AreEqual((t - 128) >> 3, output[t], $"thread {t}");
        Assert.AreNotEqual((1 - 128) / 8, output[1]);
        Assert.AreSequenceEqual((string[])["HazardTests.SignedDivision divides by a constant"], Findings([Own(nameof(SignedDivision))]));
    }

    [TestMethod]
    public void Half_One_is_not_one()
    {
        var (_, output) = Run(nameof(HalfOne), OptimizationLevel.O1);
        Assert.AreEqual(MathF.Pow(2, -24), output[0]);
        Assert.AreSequenceEqual((string[])["HazardTests.HalfOne uses Half.One"], Findings([Own(nameof(HalfOne))]));
    }

    [TestMethod]
    public void Arrays_are_local_memory()
    {
        Assert.Contains(".local", Compile(nameof(SmallArray), OptimizationLevel.O1));
        Assert.AreSequenceEqual((string[])["HazardTests.SmallArray makes an array"], Findings([Own(nameof(SmallArray))]));
    }

    [TestMethod]
    public void No_kernel_of_the_library_falls_into_a_trap()
    {
        var reached = KernelIl.Reach(KernelCatalog.Kernels.Select(k => k.Method));
        Assert.IsGreaterThan(100, reached.Count);
        Assert.AreSequenceEqual((string[])[], Findings(reached));
    }

    /// <summary>So that a kernel cannot be forgotten: whatever a plan can hold is in the catalogue.</summary>
    [TestMethod]
    public void The_catalogue_has_every_kernel()
    {
        var all = typeof(Kernel).Assembly.GetTypes().Where(type => type.IsSubclassOf(typeof(Kernel)) && !type.IsAbstract);
        Assert.AreSequenceEqual((string[])[], all.Except(KernelCatalog.Bound).Select(type => type.Name).Where(name => name != nameof(Poison)));
        Assert.Contains(kernel => kernel.Method.DeclaringType == typeof(Poison), KernelCatalog.Kernels);
    }

    private static string[] Findings(IEnumerable<MethodBase> methods) => [.. methods.SelectMany(Findings).Distinct().Order(StringComparer.Ordinal)];

    private static IEnumerable<string> Findings(MethodBase method)
    {
        string name = $"{method.DeclaringType!.Name}.{method.Name}";
        IlInstruction before = default;
        foreach (var instruction in KernelIl.Read(method))
        {
            if (instruction.Code == OpCodes.Newarr) yield return $"{name} makes an array";
            if (instruction.Operand is MemberInfo { Name: "One" or "get_One" } member && member.DeclaringType == typeof(ILGPU.Half)) yield return $"{name} uses Half.One";
            bool divides = instruction.Code == OpCodes.Div || instruction.Code == OpCodes.Rem || instruction.Code == OpCodes.Div_Un || instruction.Code == OpCodes.Rem_Un;
            if (divides && IsIntegerConstant(before)) yield return $"{name} divides by a constant";
            before = instruction;
        }
    }

    /// <summary>A literal, or a call that can become one: a static property such as a vector's width.</summary>
    private static bool IsIntegerConstant(IlInstruction instruction) =>
        instruction.Code.Name!.StartsWith("ldc.i", StringComparison.Ordinal)
        || instruction.Operand is MethodInfo { IsStatic: true, IsSpecialName: true } called && called.GetParameters().Length == 0 && (called.ReturnType == typeof(int) || called.ReturnType == typeof(long));

    private static MethodInfo Own(string name) => typeof(HazardTests).GetMethod(name, BindingFlags.Static | BindingFlags.NonPublic)!;

    private static void AssertRight(string name, OptimizationLevel level, Func<float[], int, float> expected)
    {
        var (input, output) = Run(name, level);
        for (int t = 0; t < Threads; t++) Assert.AreEqual(expected(input, t), output[t], $"thread {t}");
    }

    private static (float[] Input, float[] Output) Run(string name, OptimizationLevel level)
    {
        var input = new PtxBuffer<float>([.. Enumerable.Range(0, Threads * Tiles).Select(i => (float)i)]);
        var output = new PtxBuffer<float>(Threads);
        PtxMachine.Run(Compile(name, level), null, new(1, 1, 1), new(Threads, 1, 1), 0, input, output);
        return (input.Values.ToArray(), output.Values.ToArray());
    }

    private static string Compile(string name, OptimizationLevel level)
    {
        using var context = Context.Create(builder => builder.Optimize(level).Cuda(_ => false));
        using var backend = new PTXBackend(context, new CudaCapabilityContext(CudaArchitecture.SM_80), CudaArchitecture.SM_80, CudaInstructionSet.ISA_80, null);
        return ((PTXCompiledKernel)backend.Compile(EntryPointDescription.FromExplicitlyGroupedKernel(Own(name)), new KernelSpecialization(Threads, null))).PTXAssembly;
    }
}
