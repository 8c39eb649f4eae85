using ILGPU;
using Half = ILGPU.Half;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// <see cref="HalfStorage"/> as a GPU has it, on ILGPU's simulator: there ILGPU 1.5.3's own conversion drops the low bits
/// instead of rounding to nearest, ties to even.
/// </summary>
internal readonly struct SimulatedHalfStorage : IStorage<Half>, IHalfBits
{
    public static float Load(Half value) => HalfBitsStorage.Load(Interop.FloatAsInt(value));
    public static Half Store(float value) => Interop.IntAsFloat(HalfBitsStorage.Store(value));

    public static Quad Load4(ArrayView<Half> from, int place) => HalfVector.Load4<Half, SimulatedHalfStorage>(from, place);
    public static Vector8 Load8(ArrayView<Half> from, int place) => HalfVector.Load<Half, SimulatedHalfStorage>(from, place);
    public static void Store8(ArrayView<Half> to, int place, Vector8 values) => HalfVector.Store<Half, SimulatedHalfStorage>(to, place, values);
    public static float FromBits(uint bits) => HalfBitsStorage.FromBits(bits);
    public static uint Pack(float low, float high) => HalfBitsStorage.Pack(low, high);
}
