using ILGPU;
using Half = ILGPU.Half;

namespace Microsoft.ML.MixedPrecision;

/// <summary>Half precision where the device converts it by itself: OpenCL with cl_khr_fp16.</summary>
internal readonly struct HalfStorage : IStorage<Half>, IHalfBits
{
    public static float Load(Half value) => (float)value;
    public static Half Store(float value) => (Half)value;

    public static Quad Load4(ArrayView<Half> from, int place) => HalfVector.Load4<Half, HalfStorage>(from, place);
    public static Vector8 Load8(ArrayView<Half> from, int place) => HalfVector.Load<Half, HalfStorage>(from, place);
    public static void Store8(ArrayView<Half> to, int place, Vector8 values) => HalfVector.Store<Half, HalfStorage>(to, place, values);
    public static float FromBits(uint bits) => Load(Interop.IntAsFloat((ushort)bits));
    public static uint Pack(float low, float high) => Interop.FloatAsInt(Store(low)) | (uint)Interop.FloatAsInt(Store(high)) << 16;
}
