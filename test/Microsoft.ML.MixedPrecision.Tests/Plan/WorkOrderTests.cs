namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>Which kernels of a captured step wait for which: no fewer than must, and no more.</summary>
[TestClass]
public sealed class WorkOrderTests
{
    private const int Length = 64; // elements: 256 bytes of singles

    private readonly Tensor _a = Placed("a", 0), _b = Placed("b", 1), _c = Placed("c", 2), _d = Placed("d", 3);

    [TestMethod]
    public void A_reader_waits_for_the_writer_before_it() => Expect([Make([], [_a]), Make([_a], [_b])], [[], [0]]);

    [TestMethod]
    public void A_writer_waits_for_the_readers_before_it() => Expect([Make([_a], [_b]), Make([_a], [_c]), Make([], [_a])], [[], [], [1, 0]]);

    [TestMethod]
    public void A_writer_waits_for_the_writer_before_it() => Expect([Make([], [_a]), Make([], [_a])], [[], [0]]);

    [TestMethod]
    public void Readers_of_the_same_bytes_wait_for_nothing() => Expect([Make([_a], [_b]), Make([_a], [_c])], [[], []]);

    [TestMethod]
    public void A_later_writer_does_not_disturb_an_earlier_reader() => Expect([Make([_a], [_b]), Make([_c], [_a]), Make([_b], [_d])], [[], [0], [0]]);

    [TestMethod]
    public void What_others_wait_for_themselves_is_left_out() =>
        Expect([Make([], [_a]), Make([_a], [_b]), Make([_a, _b], [_c]), Make([_a, _b, _c], [_d])], [[], [0], [1], [2]]);

    [TestMethod]
    public void Two_branches_are_both_waited_for_where_they_meet() =>
        Expect([Make([], [_a]), Make([_a], [_b]), Make([_a], [_c]), Make([_a, _b, _c], [_d])], [[], [0], [0], [2, 1]]);

    [TestMethod]
    public void Bytes_that_another_tensor_has_left_are_the_same_bytes()
    {
        var later = Placed("later", 0);
        Expect([Make([], [_a]), Make([_a], [_b]), Make([_c], [later])], [[], [0], [1]]);
        // From the middle of one into the next.
        var across = new Tensor("across", ElementType.Single, Region.Activations, Length) { ArenaOffset = 128 };
        Expect([Make([], [_a]), Make([], [_b]), Make([], [_c]), Make([], [across])], [[], [], [], [1, 0]]);
    }

    [TestMethod]
    public void The_same_offset_in_another_region_is_other_bytes()
    {
        var other = new Tensor("other", ElementType.Single, Region.Parameters, Length) { ArenaOffset = 0 };
        Expect([Make([], [_a]), Make([other], [_b]), Make([], [other])], [[], [], [1]]);
    }

    [TestMethod]
    public void Parts_of_a_tensor_wait_for_each_other_only_where_they_meet()
    {
        Tensor first = _a.Slice("first", 0, 10), second = _a.Slice("second", 10, 54), both = _a.Slice("both", 9, 2);
        Expect([Make([], [first]), Make([], [second]), Make([both], [_b]), Make([_a.Reshape(8, 8)], [_c])], [[], [], [1, 0], [1, 0]]);
    }

    /// <summary>A half has two bytes, so that 64 of them end where a tensor 128 bytes further on starts.</summary>
    [TestMethod]
    public void The_size_of_an_element_is_that_of_the_backend()
    {
        var working = new Tensor("working", ElementType.Working, Region.Activations, Length) { ArenaOffset = 0 };
        var behind = new Tensor("behind", ElementType.Single, Region.Activations, Length) { ArenaOffset = 128 };
        Work[] works = [Make([], [working]), Make([], [behind])];
        using Backend mixed = new CpuBackend(Precision.Mixed), single = new CpuBackend(Precision.Single);
        Assert.IsEmpty(mixed.WaitsOf(works)[1]);
        Assert.AreSequenceEqual((int[])[0], single.WaitsOf(works)[1]);
    }

    [TestMethod]
    public void A_tensor_without_a_place_has_memory_of_its_own()
    {
        Tensor Unplaced(string name) => new(name, ElementType.Int32, Region.Activations, Length);
        var (one, two) = (Unplaced("one"), Unplaced("two"));
        Expect([Make([], [one]), Make([], [two]), Make([], [_a]), Make([one.Slice("part", 5, 1)], [_b])], [[], [], [], [0]]);
    }

    [TestMethod]
    public void Scratch_is_written_and_read_by_its_kernel()
    {
        object memory = new();
        MemoryRange first = new(memory, 0, 100), second = new(memory, 100, 200), across = new(memory, 50, 150);
        Assert.IsFalse(first.Overlaps(second));
        Assert.IsFalse(first.Overlaps(first with { Memory = new() }));
        int[][] waits = WorkOrder.Of([[], [], [], []], [[first], [second], [across], [first]]);
        Assert.AreSequenceEqual((string[])["", "", "1 0", "2"], waits.Select(w => string.Join(' ', w)));
    }

    /// <summary>Products that are cut into parts keep their sums in pieces of one memory, which begin again at its start.</summary>
    [TestMethod]
    public void Products_run_beside_each_other_as_far_as_their_partial_sums_have_room()
    {
        const int Depth = 4096, Largest = 384;
        using var gpu = new IlgpuBackend(Precision.Single, IlgpuDevice.Simulator);
        gpu.Allocate(new Dictionary<Region, long> { [Region.Activations] = Largest * Depth * sizeof(float), [Region.Training] = 4 * Largest * Largest * sizeof(float) });
        var source = new Tensor("source", ElementType.Working, Region.Activations, Largest * Depth) { ArenaOffset = 0 };
        int next = 0;
        Work Product(int size)
        {
            var target = new Tensor("target", ElementType.Working, Region.Training, size * size) { ArenaOffset = next++ * Largest * Largest * sizeof(float) };
            var product = new MatrixProduct("Product", new DenseOperand(source, size, Depth, 0, Depth, false), new DenseOperand(source, Depth, size, 0, Depth, true), target, 0, size);
            return new(gpu.Bind(product), product.Reads, product.Writes);
        }
        Work[] works = [Product(256), Product(256), Product(128), Product(Largest)];
        long[] bytes = [.. works.Select(work => gpu.ScratchOf(work.Run).Sum(range => range.End - range.Start))];
        Assert.AreSequenceEqual((long[])[16 * 256 * 256 * sizeof(float), 16 * 256 * 256 * sizeof(float), 16 * 128 * 128 * sizeof(float), 15 * Largest * Largest * sizeof(float)], bytes);
        Assert.IsTrue(bytes[..3].Sum() <= gpu.BytesBesidePlan && bytes.Sum() > gpu.BytesBesidePlan);
        Assert.AreSequenceEqual((string[])["", "", "", "2 1 0"], gpu.WaitsOf(works).Select(w => string.Join(' ', w)));
    }

    /// <summary>Random works: whatever two of them touch in common, one of them writing, they are in order; and no wait is idle.</summary>
    [TestMethod]
    public void Whatever_touches_is_ordered_and_no_wait_follows_from_others()
    {
        var random = new Random(7);
        for (int trial = 0; trial < 100; trial++)
        {
            var works = Enumerable.Range(0, 14).Select(_ => (Reads: Ranges(2), Writes: Ranges(1))).ToArray();
            int[][] waits = WorkOrder.Of([.. works.Select(w => w.Reads)], [.. works.Select(w => w.Writes)]);
            for (int i = 0; i < works.Length; i++)
            {
                for (int j = 0; j < i; j++)
                {
                    bool touch = Overlap(works[j].Writes, works[i].Reads) || Overlap(works[j].Writes, works[i].Writes) || Overlap(works[j].Reads, works[i].Writes);
                    if (touch) Assert.IsTrue(Reaches(waits, i, j), $"{i} does not wait for {j}");
                    if (waits[i].Contains(j)) Assert.IsTrue(touch && !waits[i].Any(k => k != j && Reaches(waits, k, j)), $"{i} waits for {j} in vain");
                }
            }
        }

        MemoryRange[] Ranges(int count) => [.. Enumerable.Range(0, count).Select(_ => random.Next(40)).Select(start => new MemoryRange(Region.Activations, start, start + 1 + random.Next(6)))];
        static bool Overlap(MemoryRange[] some, MemoryRange[] others) => some.Any(one => others.Any(one.Overlaps));
        static bool Reaches(int[][] waits, int from, int to) => waits[from].Any(next => next == to || Reaches(waits, next, to));
    }

    private static void Expect(Work[] works, int[][] expected)
    {
        using var backend = new CpuBackend(Precision.Single);
        Assert.AreSequenceEqual(expected.Select(w => string.Join(' ', w)), backend.WaitsOf(works).Select(w => string.Join(' ', w)));
    }

    private static Work Make(IReadOnlyList<Tensor> reads, IReadOnlyList<Tensor> writes) => new(() => { }, reads, writes);

    private static Tensor Placed(string name, int block) => new(name, ElementType.Single, Region.Activations, Length) { ArenaOffset = block * Length * sizeof(float) };
}
