using ILGPU;
using ILGPU.Runtime;

namespace Microsoft.ML.MixedPrecision;

internal sealed partial class GradientScan
{
    public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => gradients.Element == ElementType.Single
        ? Bind<float, SingleStorage>(gpu)
        : Bind<T, TStorage>(gpu);

    private Action Bind<T, TStorage>(IlgpuBackend gpu) where T : unmanaged where TStorage : struct, IStorage<T> =>
        gpu.Reduce<Scan<T, TStorage>, Found, Arguments<T>>(Parts, new Arguments<T>(
            gpu.View<T>(gradients), gpu.View<float>(SquareSums), gpu.View<int>(FirstBad), (int)gradients.Length));

    internal readonly record struct Arguments<T>(ArrayView<T> Gradients, ArrayView<float> SquareSums, ArrayView<int> FirstBad, int Length) where T : unmanaged;

    internal readonly record struct Found(float SquareSum, int FirstBad);

    /// <summary>One segment for each part. The smaller index of two is the first bad one, in any order.</summary>
    internal readonly struct Scan<T, TStorage> : IGpuReduction<Found, Arguments<T>> where T : unmanaged where TStorage : struct, IStorage<T>
    {
        public static Found Nothing => new(0f, AllFinite);

        public static int Items(Arguments<T> a, int part) => Math.Min(PartLength, a.Length - part * PartLength);

        public static Found Load(Arguments<T> a, int part, int item)
        {
            int i = part * PartLength + item;
            float g = TStorage.Load(a.Gradients[i]);
            // Not finite: g - g is NaN for infinities and NaN, 0 for all else.
            return new(g * g, g - g == 0f ? AllFinite : i);
        }

        public static Found Combine(Found x, Found y) => new(x.SquareSum + y.SquareSum, Math.Min(x.FirstBad, y.FirstBad));

        public static void Store(Arguments<T> a, int part, Found total)
        {
            a.SquareSums[part] = total.SquareSum;
            a.FirstBad[part] = total.FirstBad;
        }
    }
}
