namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>
/// The values an FP64 reference computes from: what the device was given, rounded to the working storage first, so that only
/// the op's own error shows. Images are NHWC.
/// </summary>
internal sealed record OpValues(int Batch, double[] Input, IReadOnlyList<double[]> Parameters);

/// <summary>
/// Checks a small network on one backend against an FP64 reference: its output, and every gradient against central
/// differences of L = sum of r * y for a random r. The reference is a plain function: [batch, ...input] to [batch, ...output].
/// </summary>
internal static class OpCheck
{
    private const double Step = 1e-5; // central differences in FP64: error about 1e-10 of the scale

    /// <param name="roundings">How often a value is rounded to storage on its way from the input to the output, and back.</param>
    /// <param name="rows">Valid rows; the others are padding, zeros, with no gradient. 0 for all.</param>
    /// <param name="spread">Inputs lie in ±spread.</param>
    /// <param name="input">The input to use in place of a random one, NHWC.</param>
    public static void Run(
        Backend backend, Network network, Func<OpValues, double[]> reference, int batch = 3, int roundings = 2, int rows = 0, double spread = 1, uint seed = 7, float[]? input = null)
    {
        if (rows == 0) rows = batch;
        var options = new PlanOptions(batch, backend.Precision, new PlantedGradient(), new Sgd()) { InputGradient = true, KeepAll = true, Seed = seed };
        // The feature column's order is the inside's here, so that a test need not think about it.
        using var session = new TrainingSession(PlanBuilder.Build(network, options), backend);
        var plan = session.Plan;
        if (backend is IlgpuBackend gpu) PtxCheck.Verify(gpu);
        var random = new CounterRandom(seed, 1000);
        uint drawn = 0;
        float Unit() => CounterRandom.ToUnit(random.Bits(drawn++));
        float Draw(double scale) => Round(backend.Precision, (float)((2 * Unit() - 1) * scale));

        int inputs = network.InputShape.Size, outputs = network.Shape.Size;
        var staged = new Batch(batch, inputs, outputs) { RowCount = rows };
        for (int i = 0; i < rows * inputs; i++) staged.Features[i] = input is not null ? Round(backend.Precision, input[i]) : network.InputFormat.HasTokens ? Round(backend.Precision, Features.Of(network, i, Unit())) : Draw(spread);
        for (int i = 0; i < rows * outputs; i++) staged.Values[i] = Draw(1);
        Array.Fill(staged.Weights, 1f, 0, rows);
        var parameters = new List<float[]>();
        foreach (var parameter in plan.Parameters.Parameters)
        {
            var values = new float[parameter.Spec.Length];
            for (int i = 0; i < values.Length; i++) values[i] = Draw(1);
            session.SetParameter(parameter, values);
            parameters.Add(values);
        }

        session.TrainPass(staged);
        var y = session.Read(plan.TrainOutputs[plan.Layers[^1].Name]);

        var valid = new OpValues(rows, Doubles(staged.Features.AsSpan(0, rows * inputs)), [.. parameters.Select(p => Doubles(p))]);
        var r = Doubles(staged.Values.AsSpan(0, rows * outputs));
        Tolerance.AssertClose(reference(valid), y.AsSpan(0, rows * outputs), backend.Precision, roundings, inputs, "output");

        double Loss() => reference(valid).Zip(r, (a, b) => a * b).Sum();
        double[] Differences(double[] at)
        {
            var gradient = new double[at.Length];
            for (int i = 0; i < at.Length; i++)
            {
                double kept = at[i];
                at[i] = kept + Step;
                double above = Loss();
                at[i] = kept - Step;
                gradient[i] = (above - Loss()) / (2 * Step);
                at[i] = kept;
            }
            return gradient;
        }

        if (plan.InputGradient is { } inputGradient)
            Tolerance.AssertClose(Differences(valid.Input), session.Read(inputGradient).AsSpan(0, rows * inputs), backend.Precision, roundings + 1, inputs * batch, "input gradient");
        foreach (var (i, parameter) in plan.Parameters.Parameters.Index())
            Tolerance.AssertClose(Differences(valid.Parameters[i]), session.Read(parameter.Gradient), backend.Precision, roundings + 1, inputs * batch, $"gradient of {parameter.Name}");
    }

    private static float Round(Precision precision, float value) => precision == Precision.Mixed ? (float)(Half)value : value;

    private static double[] Doubles(ReadOnlySpan<float> values)
    {
        var doubles = new double[values.Length];
        for (int i = 0; i < values.Length; i++) doubles[i] = values[i];
        return doubles;
    }
}
