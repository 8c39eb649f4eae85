using System.Collections.Concurrent;
using System.Text;
using ILGPU.Runtime.Cuda;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>
/// What NVIDIA's assembler makes of every kernel: nothing in local memory, 16 bytes in an access where a kernel works by eights,
/// and the tensor cores' instruction where it multiplies matrices with them.
/// </summary>
[TestClass]
public sealed class KernelListingTests
{
    /// <summary>The architecture whose instructions are read, and that the table shows.</summary>
    private const string Shown = "sm_80";

    /// <summary>That of <see cref="WarpGroup"/>'s instructions.</summary>
    private const string Hopper = "sm_90a";

    private const string GroupProduct = @"\bHGMMA\.", WideLoad = @"\bLDG?\.E\.(\w+\.)*128\b", WideStore = @"\bSTG?\.E\.(\w+\.)*128\b", Product = @"\bHMMA\.", AsynchronousCopy = @"\bLDGSTS\.", LocalMemory = @"\b(LDL|STL)\b";

    private static readonly ConcurrentDictionary<(BoundKernel, string), KernelListing> Listings = new();

    public static IEnumerable<TestDataRow<string>> Architectures =>
        ((string[])["sm_75", "sm_80", "sm_86", "sm_89", "sm_90"]).Select(name => new TestDataRow<string>(name) { DisplayName = name, IgnoreMessage = CudaTools.Missing });

    [TestMethod, DynamicData(nameof(Architectures))]
    public void Every_kernel_keeps_to_registers_and_moves_16_bytes(string architecture)
    {
        Parallel.ForEach(KernelCatalog.Kernels, kernel =>
        {
            var listing = Listing(kernel, architecture);
            string name = $"{KernelCatalog.NameOf(kernel)} for {architecture}";
            Assert.AreEqual(0, listing.Spills, $"{name} spills registers");
            Assert.IsLessThanOrEqualTo(48 * 1024, listing.SharedBytes, name);
            if (architecture is "sm_80" or "sm_90" && TileOf(kernel) is { } tile) AssertOccupancy(tile, listing, name);
            if (architecture != Shown) return;
            Assert.AreEqual(0, listing.Count(LocalMemory), $"{name} uses local memory");
            bool multiplies = PtxCheck.Compile(kernel).Contains("mma.sync", StringComparison.Ordinal);
            Assert.AreEqual(multiplies, listing.Count(Product) > 0, $"{name}: {listing.Count(Product)} products on tensor cores");
            if (!WorksByEights(kernel)) return;
            Assert.IsGreaterThan(0, listing.Count(WideLoad), $"{name} loads no 16 bytes");
            if (!IsLossOfRows(kernel.Method.DeclaringType!)) Assert.IsGreaterThan(0, listing.Count(WideStore), $"{name} stores no 16 bytes");
        });
    }

    public static IEnumerable<TestDataRow<string>> OnHopper => [new(Hopper) { DisplayName = Hopper, IgnoreMessage = CudaTools.Missing }];

    /// <summary>Every product of warp groups multiplies 64 values of k in a step without waiting in between, and leaves room for the groups that the cost model counts on.</summary>
    [TestMethod, DynamicData(nameof(OnHopper))]
    public void Products_of_warp_groups_keep_to_registers_and_to_their_place(string architecture)
    {
        Parallel.ForEach(WarpGroupPtxTests.Kernels(), kernel =>
        {
            var listing = Listing(kernel, architecture);
            string name = KernelCatalog.NameOf(kernel);
            var tile = GroupTileOf(kernel);
            Assert.AreEqual(0, listing.Spills + listing.Count(LocalMemory), $"{name} uses local memory");
            Assert.AreEqual(4 * tile.Rows / (tile.Threads / 128 * 64), listing.Count(GroupProduct), $"{name}: products in the listing");
            Assert.IsGreaterThan(0, listing.Count(AsynchronousCopy), name);
            Assert.IsGreaterThan(0, listing.Count(WideStore), name);
            AssertRoom(tile, listing.Registers, tile.SharedBytes, 228 * 1024, name);
        });
    }

    private static TensorTile GroupTileOf(BoundKernel kernel)
    {
        var arguments = kernel.Method.GetGenericArguments();
        return arguments.Contains(typeof(TallGroups)) ? TensorPlan.Tallest : arguments.Contains(typeof(SingleGroup)) ? TensorPlan.Smallest : arguments.Contains(typeof(GroupSums128)) ? TensorPlan.Square : TensorPlan.Narrow;
    }

    public static IEnumerable<TestDataRow<string>> OfTheTable => Architectures.Where(row => row.Value == Shown);

    /// <summary>Writes docs/kernels.md where MIXED_PRECISION_WRITE_KERNELS is set; else sees that the table names the kernels that there are.</summary>
    [TestMethod, DynamicData(nameof(OfTheTable))]
    public void The_table_of_kernels_is_complete(string architecture)
    {
        Assert.AreEqual(Shown, architecture);
        string file = Path.Combine(Repository.Root, "docs", "kernels.md");
        BoundKernel[] kernels = [.. KernelCatalog.Kernels.DistinctBy(KernelCatalog.NameOf)];
        if (Environment.GetEnvironmentVariable("MIXED_PRECISION_WRITE_KERNELS") is not null)
        {
            File.WriteAllText(file, Table(kernels));
        }
        string[] named = [.. File.ReadLines(file).Where(line => line.StartsWith("| `", StringComparison.Ordinal)).Select(line => line.Split('`')[1])];
        Assert.AreSequenceEqual(kernels.Select(KernelCatalog.NameOf), named, "docs/kernels.md is old: set MIXED_PRECISION_WRITE_KERNELS and run this test where ptxas is");
    }

    private static string Table(BoundKernel[] kernels)
    {
        var text = new StringBuilder($"""
            # Kernels

            What ptxas ({CudaTools.Version}) makes of every kernel that training binds, for {Shown}; registers for sm_90 as well. Generated by
            `KernelListingTests` where `MIXED_PRECISION_WRITE_KERNELS` is set; a test sees that no kernel is missing. Kernels of `Half` are the
            mixed precision's. "Spills" counts the stack frame too. The assembler's words, not a GPU's: nothing here says how fast a kernel is.

            | kernel | registers | on sm_90 | shared bytes | spills | instructions | HMMA | LDGSTS | 16-byte loads | 16-byte stores |
            |---|---|---|---|---|---|---|---|---|---|

            """.ReplaceLineEndings("\n"));
        foreach (var kernel in kernels)
        {
            KernelListing shown = Listing(kernel, Shown), newer = Listing(kernel, "sm_90");
            text.Append($"| `{KernelCatalog.NameOf(kernel)}` | {shown.Registers} | {newer.Registers} | {shown.SharedBytes} | {shown.Spills} | {shown.Assembly.Count} | {shown.Count(Product)} | {shown.Count(AsynchronousCopy)} | {shown.Count(WideLoad)} | {shown.Count(WideStore)} |\n");
        }
        text.Append($"""

            ## On Hopper

            Products of warp groups, for {Hopper}; "shared bytes" is what a launch asks for.

            | product | registers | shared bytes | spills | instructions | HGMMA | LDGSTS | 16-byte stores |
            |---|---|---|---|---|---|---|---|

            """.ReplaceLineEndings("\n"));
        foreach (var kernel in WarpGroupPtxTests.Kernels().OrderBy(KernelCatalog.NameOf, StringComparer.Ordinal))
        {
            var listing = Listing(kernel, Hopper);
            text.Append($"| {KernelCatalog.NameOf(kernel)} | {listing.Registers} | {GroupTileOf(kernel).SharedBytes} | {listing.Spills} | {listing.Assembly.Count} | {listing.Count(GroupProduct)} | {listing.Count(AsynchronousCopy)} | {listing.Count(WideStore)} |\n");
        }
        return text.ToString();
    }

    /// <summary>The tile of a tensor-core product, with the groups that its cost model counts on for one multiprocessor.</summary>
    private static TensorTile? TileOf(BoundKernel kernel)
    {
        var arguments = kernel.Method.GetGenericArguments();
        return arguments.Contains(typeof(LargeShape)) ? TensorPlan.Large : arguments.Contains(typeof(TallShape)) ? TensorPlan.Tall : arguments.Contains(typeof(SmallShape)) ? TensorPlan.Small : null;
    }

    private static void AssertOccupancy(TensorTile tile, KernelListing listing, string name) => AssertRoom(tile, listing.Registers, listing.SharedBytes, 164 * 1024, name); // of sm_80

    private static void AssertRoom(TensorTile tile, int registers, int sharedBytes, int sharedOfMultiprocessor, string name)
    {
        const int RegistersOfMultiprocessor = 65536, RegistersAtATime = 8, SharedOfGroup = 1024; // the last is what the system takes of each group
        int taken = (registers + RegistersAtATime - 1) / RegistersAtATime * RegistersAtATime;
        Assert.IsLessThanOrEqualTo(RegistersOfMultiprocessor, taken * tile.Threads * tile.Resident, $"{name}: {registers} registers for {tile.Resident} groups of {tile.Threads}");
        Assert.IsLessThanOrEqualTo(sharedOfMultiprocessor, (sharedBytes + SharedOfGroup) * tile.Resident, $"{name}: {sharedBytes} bytes of shared memory for {tile.Resident} groups");
    }

    private static bool WorksByEights(BoundKernel kernel) => kernel.Method.GetParameters()[0].Name == "eight" || kernel.Method.GetGenericArguments().Contains(typeof(Vector8));

    /// <summary>What reads scores by eights and stores one value for a row.</summary>
    private static bool IsLossOfRows(Type type) => type == typeof(SoftmaxCrossEntropyRows) || (type.IsGenericType && type.GetGenericTypeDefinition() == typeof(ElementLossRows<>));

    private static KernelListing Listing(BoundKernel kernel, string architecture) => Listings.GetOrAdd((kernel, architecture), static key =>
        CudaTools.Assemble(PtxCheck.Compile(key.Item1, Target(key.Item2)), key.Item2, disassemble: key.Item2 is Shown or Hopper));

    private static CudaArchitecture Target(string name) => name switch
    {
        "sm_75" => CudaArchitecture.SM_75,
        "sm_80" => CudaArchitecture.SM_80,
        "sm_86" => CudaArchitecture.SM_86,
        "sm_89" => CudaArchitecture.SM_89,
        _ => CudaArchitecture.SM_90,
    };
}
