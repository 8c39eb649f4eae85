using ILGPU;
using Half = ILGPU.Half;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// <see cref="HalfStorage"/> on CUDA, where two floats become halves in one instruction of the arithmetic units. A conversion of one is
/// done by the unit of exponentials and roots, at 16 a cycle: 64 M of them take an H200 18 us of the 66 in which it copies as many halves.
/// </summary>
internal readonly struct CudaHalfStorage : IStorage<Half>, IHalfBits
{
    public static float Load(Half value) => HalfStorage.Load(value);
    public static Half Store(float value) => HalfStorage.Store(value);

    public static Quad Load4(ArrayView<Half> from, int place) => HalfVector.Load4<Half, CudaHalfStorage>(from, place);
    public static Vector8 Load8(ArrayView<Half> from, int place) => HalfVector.Load<Half, CudaHalfStorage>(from, place);
    public static void Store8(ArrayView<Half> to, int place, Vector8 values) => HalfVector.Store<Half, CudaHalfStorage>(to, place, values);
    public static float FromBits(uint bits) => HalfStorage.FromBits(bits);
    public static uint Pack(float low, float high) => TensorCore.PackHalves(low, high);
}
