namespace Microsoft.ML.MixedPrecision;

/// <summary>FP32 on a GPU: nothing is converted.</summary>
internal readonly struct SingleStorage : IStorage<float>
{
    public static float Load(float value) => value;
    public static float Store(float value) => value;
}
