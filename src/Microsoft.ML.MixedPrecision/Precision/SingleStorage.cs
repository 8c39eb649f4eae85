using ILGPU;

namespace Microsoft.ML.MixedPrecision;

/// <summary>FP32 on a GPU: nothing is converted.</summary>
internal readonly struct SingleStorage : IStorage<float>
{
    public static float Load(float value) => value;
    public static float Store(float value) => value;

    public static Vector8 Load8(ArrayView<float> from, int place)
    {
        var vectors = from.Cast<Floats4>();
        Floats4 low = vectors[place >> 2], high = vectors[(place >> 2) + 1];
        return new(low.F0, low.F1, low.F2, low.F3, high.F0, high.F1, high.F2, high.F3);
    }

    public static void Store8(ArrayView<float> to, int place, Vector8 values)
    {
        var vectors = to.Cast<Floats4>();
        vectors[place >> 2] = new(values.E0, values.E1, values.E2, values.E3);
        vectors[(place >> 2) + 1] = new(values.E4, values.E5, values.E6, values.E7);
    }
}
