using ILGPU;
using ILGPU.Runtime;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>Memory, copies and launches of the GPU backend.</summary>
[TestClass]
public sealed class IlgpuBackendTests
{
    private const int Length = 1000;

    [TestMethod, DynamicData(nameof(BackendMatrix.Gpu), typeof(BackendMatrix))]
    public void What_is_uploaded_is_downloaded(BackendRow row)
    {
        using var backend = (IlgpuBackend)row.Create();
        backend.Allocate(new Dictionary<Region, long> { [Region.Parameters] = 8192, [Region.Staging] = 8192 });
        foreach (var region in (ReadOnlySpan<Region>)[Region.Parameters, Region.Staging])
        {
            var floats = new Tensor("floats", ElementType.Working, region, Length) { ArenaOffset = 256 };
            var expected = new float[Length];
            for (int i = 0; i < Length; i++) expected[i] = i / 3f;
            backend.Upload(floats, expected);
            var actual = new float[Length];
            backend.Download(floats, actual);
            if (row.Precision == Precision.Mixed) expected = [.. expected.Select(v => (float)(System.Half)v)];
            CollectionAssert.AreEqual(expected, actual);

            // A slice that starts at an odd element, and nothing around it.
            var slice = floats.Slice("slice", 7, 3);
            backend.Upload(slice, [-1f, -2f, -3f]);
            backend.Download(floats, actual);
            (expected[7], expected[8], expected[9]) = (-1f, -2f, -3f);
            CollectionAssert.AreEqual(expected, actual);

            var integers = new Tensor("integers", ElementType.Int32, region, 3) { ArenaOffset = 4608 };
            backend.Upload(integers, [int.MinValue, 16_777_217, -1]);
            var read = new int[3];
            backend.Download(integers, read);
            CollectionAssert.AreEqual(new[] { int.MinValue, 16_777_217, -1 }, read);
        }
    }

    /// <summary>CUDA's grid ends at 65,535 along Z, where tensor cores have their products: 8,192 examples of eight heads are more.</summary>
    [TestMethod]
    public void More_products_than_a_grid_has_room_for_take_the_portable_kernel()
    {
        Assert.Contains("TensorProduct", Kernel(65_535));
        Assert.Contains("PortableProduct", Kernel(65_536));

        static string Kernel(int products)
        {
            using var backend = new IlgpuBackend(Precision.Mixed, PtxDevice.Ampere);
            var tensor = new Tensor("all", ElementType.Working, Region.Activations, products * 64) { ArenaOffset = 0 };
            backend.Allocate(new Dictionary<Region, long> { [Region.Activations] = 2 * tensor.Length });
            var operand = new DenseOperand(tensor, 8, 8, 0, 8, Transposed: false, Step: 64);
            backend.Bind(new MatrixProduct("Test", operand, operand, tensor, 0, 8, count: products, step: 64));
            return KernelCatalog.NameOf(backend.Kernels.Single());
        }
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.Gpu), typeof(BackendMatrix))]
    public void Memory_starts_as_zeros(BackendRow row)
    {
        using var backend = (IlgpuBackend)row.Create();
        backend.Allocate(new Dictionary<Region, long> { [Region.Activations] = 4 * Length });
        var values = new float[Length];
        Array.Fill(values, 1f);
        backend.Download(new Tensor("x", ElementType.Single, Region.Activations, Length) { ArenaOffset = 0 }, values);
        Assert.IsTrue(values.All(v => v == 0f));
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.Gpu), typeof(BackendMatrix))]
    public void An_upload_does_not_overtake_the_steps_before_it(BackendRow row)
    {
        using var backend = (IlgpuBackend)row.Create();
        backend.Allocate(new Dictionary<Region, long> { [Region.Staging] = 4 * Length, [Region.Parameters] = 4 * Length });
        var from = new Tensor("from", ElementType.Single, Region.Staging, Length) { ArenaOffset = 0 };
        var sum = new Tensor("sum", ElementType.Single, Region.Parameters, Length) { ArenaOffset = 0 };
        var step = backend.For(Length, AddTo, new AddArguments(backend.View<float>(from), backend.View<float>(sum)));
        var values = new float[Length];
        const int Steps = 23; // more than the ring of host buffers holds
        for (int i = 1; i <= Steps; i++)
        {
            Array.Fill(values, i);
            backend.Upload(from, values);
            step();
        }
        backend.Download(sum, values);
        Assert.IsTrue(values.All(v => v == Steps * (Steps + 1) / 2));
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.Gpu), typeof(BackendMatrix))]
    public void Warm_launches_and_uploads_allocate_nothing(BackendRow row)
    {
        using var backend = (IlgpuBackend)row.Create();
        backend.Allocate(new Dictionary<Region, long> { [Region.Staging] = 4 * Length, [Region.Parameters] = 4 * Length });
        var from = new Tensor("from", ElementType.Single, Region.Staging, Length) { ArenaOffset = 0 };
        var sum = new Tensor("sum", ElementType.Single, Region.Parameters, Length) { ArenaOffset = 0 };
        var values = new float[Length];
        Assert.AreEqual(0L, AllocatedByEach(() => backend.Upload(from, values)), "upload");
        if (row.Device == "ptx") return; // launches there are an interpreter's, which is no part of the library
        // ILGPU's simulator makes an object of its own for each launch: the arguments and a few words.
        long objects = row.Device.StartsWith("simulator", StringComparison.Ordinal) ? 160 : 0;
        long launch = AllocatedByEach(backend.For(Length, AddTo, new AddArguments(backend.View<float>(from), backend.View<float>(sum))));
        Assert.IsLessThanOrEqualTo(objects, launch, "launch");
    }

    private static long AllocatedByEach(Action action)
    {
        const int Times = 20;
        for (int i = 0; i < Times; i++) action();
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < Times; i++) action();
        return (GC.GetAllocatedBytesForCurrentThread() - before) / Times;
    }

    [TestMethod]
    public void A_view_of_the_wrong_width_is_refused()
    {
        using var backend = new IlgpuBackend(Precision.Mixed, IlgpuDevice.Simulator);
        backend.Allocate(new Dictionary<Region, long> { [Region.Staging] = 256 });
        var tensor = new Tensor("x", ElementType.Working, Region.Staging, 4) { ArenaOffset = 0 };
        Assert.Contains("2-byte elements", Assert.ThrowsExactly<ArgumentException>(() => backend.View<float>(tensor)).Message);
    }

    [TestMethod]
    public void Memory_that_a_device_lacks_is_refused_with_its_numbers()
    {
        using var backend = new IlgpuBackend(Precision.Mixed, IlgpuDevice.Simulator.WithMemory(10_000));
        var e = Assert.ThrowsExactly<DeviceMemoryException>(() => backend.Allocate(new Dictionary<Region, long> { [Region.Activations] = 9_900, [Region.Staging] = 300 }));
        Assert.AreEqual("ILGPU simulator: expected 10,496 bytes of memory, but 10,000 are free.", e.Message);
        Assert.AreEqual((10_496L, 10_000L), (e.Asked, e.Free));
    }

    [TestMethod]
    public void Memory_is_free_again_when_the_backend_is_disposed()
    {
        var device = IlgpuDevice.Simulator.WithMemory(10_000);
        for (int i = 0; i < 3; i++)
        {
            using var backend = new IlgpuBackend(Precision.Mixed, device);
            backend.Allocate(new Dictionary<Region, long> { [Region.Activations] = 9_000 });
            Assert.AreEqual(10_000 - 9_216, backend.FreeBytes);
        }
        Assert.AreEqual(10_000, device.FreeBytes);
    }

    [TestMethod]
    public void A_group_that_is_too_large_for_the_device_is_refused()
    {
        using var backend = new IlgpuBackend(Precision.Mixed, IlgpuDevice.Simulator);
        var e = Assert.ThrowsExactly<NotSupportedException>(() => backend.ForGroups(new Index3D(1, 1, 1), new Index3D(257, 1, 1), Nothing, default(AddArguments)));
        Assert.Contains("expected a device with groups of 257 threads, but ILGPU simulator allows 256", e.Message);
    }

    private static void Nothing(AddArguments a) { }

    [TestMethod]
    public void A_kernel_that_is_no_static_method_is_refused()
    {
        using var backend = new IlgpuBackend(Precision.Mixed, IlgpuDevice.Simulator);
        int captured = backend.Kernels.Count;
        var e = Assert.ThrowsExactly<ArgumentException>(() => backend.For<AddArguments>(1, (i, a) => a.To[i] = a.From[i] + captured, default(AddArguments)));
        Assert.Contains("expected a static method", e.Message);
    }

    [TestMethod]
    public void The_same_device_is_opened_once_and_compiles_a_kernel_once()
    {
        Assert.AreSame(IlgpuDevice.Simulator, IlgpuDevice.Open(AcceleratorType.CPU, 0));
        Assert.AreSame(IlgpuDevice.Simulator.Load<AddArguments>(AddTo), IlgpuDevice.Simulator.Load<AddArguments>(AddTo));
    }

    [TestMethod]
    public void Nothing_to_do_launches_nothing()
    {
        using var backend = new IlgpuBackend(Precision.Mixed, IlgpuDevice.Simulator);
        backend.For<AddArguments>(0, AddTo, default)();
    }

    internal readonly record struct AddArguments(ArrayView<float> From, ArrayView<float> To);

    private static void AddTo(Index1D i, AddArguments a) => a.To[i] += a.From[i];
}
