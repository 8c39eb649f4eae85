using ILGPU;

namespace Microsoft.ML.MixedPrecision;

/// <summary>FP32 on a GPU: nothing is converted.</summary>
internal readonly struct SingleStorage : IStorage<float>
{
    public static float Load(float value) => value;
    public static float Store(float value) => value;

    public static Quad Load4(ArrayView<float> from, int place) => from.Cast<Quad>()[place >> 2];

    public static Vector8 Load8(ArrayView<float> from, int place)
    {
        var quads = from.Cast<Quad>();
        Quad low = quads[place >> 2], high = quads[(place >> 2) + 1];
        return new(low.A, low.B, low.C, low.D, high.A, high.B, high.C, high.D);
    }

    public static void Store8(ArrayView<float> to, int place, Vector8 values)
    {
        var quads = to.Cast<Quad>();
        quads[place >> 2] = new(values.E0, values.E1, values.E2, values.E3);
        quads[(place >> 2) + 1] = new(values.E4, values.E5, values.E6, values.E7);
    }
}
