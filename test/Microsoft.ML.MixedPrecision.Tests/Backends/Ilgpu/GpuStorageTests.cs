using ILGPU;
using ILGPU.Runtime;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>All 65,536 halves, and every place where rounding turns, through each storage on each device.</summary>
[TestClass]
public sealed class GpuStorageTests
{
    [TestMethod, DynamicData(nameof(BackendMatrix.Gpu), typeof(BackendMatrix))]
    public void Load_gives_every_pattern_its_value(BackendRow row)
    {
        using var backend = (IlgpuBackend)row.Create();
        var (stored, loaded) = Tensors(backend, Patterns.Count);
        var patterns = Patterns.All;
        backend.Upload(stored, [.. patterns.Select(p => (float)BitConverter.UInt16BitsToHalf(p))]);
        backend.Bind(new StorageProbe(stored, loaded, toFloat: true))();
        var values = new float[Patterns.Count];
        backend.Download(loaded, values);
        for (int i = 0; i < values.Length; i++)
        {
            float expected = (float)BitConverter.UInt16BitsToHalf(patterns[i]);
            if (float.IsNaN(expected)) Assert.IsTrue(float.IsNaN(values[i]), $"0x{patterns[i]:X4}");
            else Assert.AreEqual(BitConverter.SingleToUInt32Bits(expected), BitConverter.SingleToUInt32Bits(values[i]), $"0x{patterns[i]:X4}");
        }
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.Gpu), typeof(BackendMatrix))]
    public void Store_rounds_to_nearest_ties_to_even(BackendRow row)
    {
        var values = Patterns.RoundingCases();
        using var backend = (IlgpuBackend)row.Create();
        var (stored, loaded) = Tensors(backend, values.Length);
        backend.Upload(loaded, values);
        backend.Bind(new StorageProbe(stored, loaded, toFloat: false))();
        var results = new float[values.Length];
        backend.Download(stored, results);
        for (int i = 0; i < values.Length; i++)
        {
            float expected = row.Precision == Precision.Single ? values[i] : (float)(System.Half)values[i];
            if (float.IsNaN(expected)) Assert.IsTrue(float.IsNaN(results[i]), $"{values[i]:G9}");
            else Assert.AreEqual(BitConverter.SingleToUInt32Bits(expected), BitConverter.SingleToUInt32Bits(results[i]), $"{values[i]:G9}: got {results[i]:G9}");
        }
    }

    private static (Tensor Stored, Tensor Loaded) Tensors(Backend backend, int count)
    {
        var stored = new Tensor("stored", ElementType.Working, Region.Activations, count) { ArenaOffset = 0 };
        var loaded = new Tensor("loaded", ElementType.Single, Region.Staging, count) { ArenaOffset = 0 };
        backend.Allocate(new Dictionary<Region, long> { [Region.Activations] = 4L * count, [Region.Staging] = 4L * count });
        return (stored, loaded);
    }

    /// <summary>One conversion, element by element, through the working storage.</summary>
    internal sealed class StorageProbe(Tensor stored, Tensor loaded, bool toFloat) : Kernel
    {
        public override string Name => "StorageProbe";
        public override IReadOnlyList<Tensor> Reads => [toFloat ? stored : loaded];
        public override IReadOnlyList<Tensor> Writes => [toFloat ? loaded : stored];

        public override Action BindCpu<T, TStorage>(CpuBackend cpu) => throw new NotSupportedException();

        public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) =>
            gpu.For(stored.Length, toFloat ? Load<T, TStorage> : Store<T, TStorage>, new Arguments<T>(gpu.View<T>(stored), gpu.View<float>(loaded)));

        internal readonly record struct Arguments<T>(ArrayView<T> Stored, ArrayView<float> Loaded) where T : unmanaged;

        private static void Load<T, TStorage>(Index1D i, Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T> =>
            a.Loaded[i] = TStorage.Load(a.Stored[i]);

        private static void Store<T, TStorage>(Index1D i, Arguments<T> a) where T : unmanaged where TStorage : struct, IStorage<T> =>
            a.Stored[i] = TStorage.Store(a.Loaded[i]);
    }
}

/// <summary>Halves and the floats around them.</summary>
internal static class Patterns
{
    public const int Count = 65536;

    public static ushort[] All { get; } = [.. Enumerable.Range(0, Count).Select(i => (ushort)i)];

    /// <summary>Every half; the middle between it and the next; the floats on either side of that; and the ends of FP32.</summary>
    public static float[] RoundingCases()
    {
        var values = new List<float> { float.NaN, float.PositiveInfinity, float.NegativeInfinity, float.MaxValue, float.MinValue, float.Epsilon, -float.Epsilon, 0f, -0f };
        for (int bits = 0; bits < 0x7C00; bits++)
        {
            double low = (double)BitConverter.UInt16BitsToHalf((ushort)bits);
            double high = bits == 0x7BFF ? 65536 : (double)BitConverter.UInt16BitsToHalf((ushort)(bits + 1));
            float middle = (float)((low + high) / 2); // exact: one bit more than a half
            foreach (float value in (ReadOnlySpan<float>)[(float)low, MathF.BitDecrement(middle), middle, MathF.BitIncrement(middle)])
            {
                values.Add(value);
                values.Add(-value);
            }
        }
        return [.. values];
    }
}
