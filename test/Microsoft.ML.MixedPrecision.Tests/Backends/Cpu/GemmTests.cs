namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>What the CPU's product promises beyond being right: one chain of fused multiply-adds for each element, whatever the blocking and the threads.</summary>
[TestClass, TestCategory("VectorWidth")]
public sealed unsafe class GemmTests
{
    // Around the register tiles (8x48, 12x32, 6x16), the depth of a block (256), and beyond several blocks.
    private static readonly (int M, int N, int K)[] s_sizes = [(1, 1, 1), (7, 47, 255), (8, 48, 256), (9, 49, 257), (13, 33, 3), (128, 10, 256), (20, 64, 257), (61, 130, 611), (300, 70, 530)];

    [TestMethod]
    public void An_element_is_one_chain_of_fused_multiply_adds_in_the_order_of_k()
    {
        foreach (var (m, n, k) in s_sizes)
        {
            var (a, b) = (Random(m * k, 1), Random(k * n, 2));
            var c = Multiply<float, CpuSingleStorage>(Precision.Single, m, n, k, a, b, threads: 2);
            for (int i = 0; i < m; i++)
            {
                for (int j = 0; j < n; j++)
                {
                    float sum = 0f;
                    for (int l = 0; l < k; l++) sum = MathF.FusedMultiplyAdd(a[i * k + l], b[l * n + j], sum);
                    Assert.AreEqual(sum, c[i * n + j], $"[{i}, {j}] of {m} x {n} x {k}");
                }
            }
        }
    }

    [TestMethod]
    [DataRow(Precision.Mixed)]
    [DataRow(Precision.Single)]
    public void One_thread_and_two_give_the_same_bits(Precision precision)
    {
        foreach (var (m, n, k) in s_sizes)
        {
            var (a, b) = (Random(m * k, 3), Random(k * n, 4));
            CollectionAssert.AreEqual(Product(precision, m, n, k, a, b, threads: 1), Product(precision, m, n, k, a, b, threads: 2), $"{m} x {n} x {k}");
        }
    }

    [TestMethod]
    public void Callers_at_the_same_time_do_not_disturb_each_other()
    {
        var (a, b) = (Random(128 * 300, 5), Random(300 * 96, 6));
        var alone = Product(Precision.Mixed, 128, 96, 300, a, b, threads: 2);
        Parallel.For(0, 8, _ => CollectionAssert.AreEqual(alone, Product(Precision.Mixed, 128, 96, 300, a, b, threads: 2)));
    }

    [TestMethod]
    public void A_threads_buffers_are_freed_after_its_end()
    {
        const int threads = 60;
        var (a, b) = (Random(64, 7), Random(64, 8));
        void RunThreads(int count)
        {
            for (int i = 0; i < count; i++)
            {
                var thread = new Thread(() => Product(Precision.Single, 8, 8, 8, a, b, threads: 1));
                thread.Start();
                thread.Join();
                GC.Collect();
                GC.WaitForPendingFinalizers();
            }
        }
        RunThreads(5);
        long before = Environment.WorkingSet;
        RunThreads(threads);
        long perThread = 4L * (Blocking.ACapacity + Blocking.BCapacity + Blocking.SumCapacity + Blocking.LineCapacity);
        Assert.IsLessThan(threads / 2 * perThread, Environment.WorkingSet - before);
    }

    private static float[] Product(Precision precision, int m, int n, int k, float[] a, float[] b, int threads) => precision == Precision.Mixed
        ? Multiply<Half, CpuHalfStorage>(precision, m, n, k, a, b, threads)
        : Multiply<float, CpuSingleStorage>(precision, m, n, k, a, b, threads);

    private static float[] Multiply<T, TStorage>(Precision precision, int m, int n, int k, float[] a, float[] b, int threads)
        where T : unmanaged
        where TStorage : struct, ICpuStorage<T>
    {
        using var backend = new CpuBackend(precision, threads);
        Tensor ta = new("A", ElementType.Working, Region.Staging, m, k), tb = new("B", ElementType.Working, Region.Staging, k, n), tc = new("C", ElementType.Working, Region.Staging, m, n);
        backend.Allocate(new Dictionary<Region, long> { [Region.Staging] = MemoryPlanner.PlaceInOrder([ta, tb, tc], t => t.Length * sizeof(T)) });
        backend.Upload(ta, a);
        backend.Upload(tb, b);
        backend.Gemm<T, TStorage>(new MatrixProduct("Test", new DenseOperand(ta, m, k, 0, k, false), new DenseOperand(tb, k, n, 0, n, false), tc, 0, n))();
        var c = new float[m * n];
        backend.Download(tc, c);
        return c;
    }

    private static float[] Random(int length, int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, length).Select(_ => (float)(random.NextDouble() * 2 - 1))];
    }
}
