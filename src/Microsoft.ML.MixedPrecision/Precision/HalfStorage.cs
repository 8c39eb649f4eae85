namespace Microsoft.ML.MixedPrecision;

/// <summary>Half precision where the device converts it by itself: CUDA, OpenCL with cl_khr_fp16, ILGPU's simulator.</summary>
internal readonly struct HalfStorage : IStorage<ILGPU.Half>
{
    public static float Load(ILGPU.Half value) => (float)value;
    public static ILGPU.Half Store(float value) => (ILGPU.Half)value;
}
