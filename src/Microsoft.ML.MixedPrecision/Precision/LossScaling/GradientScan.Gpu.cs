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
            gpu.Vectors<T>(gradients), gpu.View<float>(SquareSums), gpu.View<int>(FirstBad), (int)gradients.Length, PartLength));

    internal readonly record struct Arguments<T>(ArrayView<T> Gradients, ArrayView<float> SquareSums, ArrayView<int> FirstBad, int Length, int PartLength) where T : unmanaged;

    internal readonly record struct Found(float SquareSum, int FirstBad);

    /// <summary>One segment for each part. The smaller index of two is the first bad one, in any order.</summary>
    internal readonly struct Scan<T, TStorage> : IGpuReduction<Found, Arguments<T>> where T : unmanaged where TStorage : struct, IStorage<T>
    {
        public static Found Nothing => new(0f, AllFinite);

        /// <summary>An item is eight gradients; the last may be fewer.</summary>
        public static int Items(Arguments<T> a, int part) => (Math.Min(a.PartLength, a.Length - part * a.PartLength) + 7) >> 3;

        public static Found Load(Arguments<T> a, int part, int item)
        {
            int i = part * a.PartLength + item * 8;
            if (i + 8 > a.Length) return Rest(a, i);
            var g = TStorage.Load8(a.Gradients, i);
            var squares = g * g;
            // Not finite: a square may overflow, but g - g is NaN for infinities and NaN, 0 for all else.
            float bad = Vector8.Sum(g - g);
            return new(Vector8.Sum(squares), bad == 0f ? AllFinite : FirstOf(a, i, i + 8));
        }

        private static Found Rest(Arguments<T> a, int start)
        {
            float sum = 0f;
            for (int i = start; i < a.Length; i++)
            {
                float g = TStorage.Load(a.Gradients[i]);
                sum += g * g;
            }
            return new(sum, FirstOf(a, start, a.Length));
        }

        private static int FirstOf(Arguments<T> a, int start, int end)
        {
            int first = AllFinite;
            for (int i = end - 1; i >= start; i--)
            {
                float g = TStorage.Load(a.Gradients[i]);
                if (g - g != 0f) first = i;
            }
            return first;
        }

        public static Found Combine(Found x, Found y) => new(x.SquareSum + y.SquareSum, Math.Min(x.FirstBad, y.FirstBad));

        public static void Store(Arguments<T> a, int part, Found total)
        {
            a.SquareSums[part] = total.SquareSum;
            a.FirstBad[part] = total.FirstBad;
        }
    }
}
