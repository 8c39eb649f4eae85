using ILGPU;
using Half = ILGPU.Half;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// <see cref="HalfStorage"/> as a GPU has it, on ILGPU's simulator: there ILGPU 1.5.3's own conversion drops the low bits
/// instead of rounding to nearest, ties to even.
/// </summary>
internal readonly struct SimulatedHalfStorage : IStorage<Half>
{
    public static float Load(Half value) => HalfBitsStorage.Load(Interop.FloatAsInt(value));
    public static Half Store(float value) => Interop.IntAsFloat(HalfBitsStorage.Store(value));
}
