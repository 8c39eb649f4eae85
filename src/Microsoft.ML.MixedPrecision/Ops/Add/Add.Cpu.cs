using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.MixedPrecision;

internal sealed partial class AddForward
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        var user = new CpuUser<T, TStorage>(cpu, a, b, y);
        return next is null ? user.With(new Unchanged()) : next.Give<T, TStorage>(cpu, user);
    }

    private sealed class CpuUser<T, TStorage>(CpuBackend cpu, Tensor a, Tensor b, Tensor y) : ICpuElementUser
        where T : unmanaged
        where TStorage : struct, ICpuStorage<T>
    {
        public Action With<TElement>(TElement element) where TElement : unmanaged, ICpuElement => cpu.Map<T, TStorage, Sum<TElement>>(a, b, y, new(element));
    }

    private readonly struct Sum<TElement>(TElement next) : ICpuMap where TElement : unmanaged, ICpuElement
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Vector512<float> Apply(Vector512<float> first, Vector512<float> second, long place) => next.Apply(first + second, place);
    }
}
