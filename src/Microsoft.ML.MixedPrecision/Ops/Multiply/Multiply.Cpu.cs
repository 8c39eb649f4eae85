using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.MixedPrecision;

internal sealed partial class ElementProduct
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu) => cpu.Map<T, TStorage, Product>(a, b, y, default);

    private readonly struct Product : ICpuMap
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Vector512<float> Apply(Vector512<float> first, Vector512<float> second, long place) => first * second;
    }
}
