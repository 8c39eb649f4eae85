namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>
/// Checks that a network's ONNX graph computes what its training forward pass computes, layer by layer, in both precisions of
/// the export. For every op: <c>ExportHarness.Run(backend, network)</c>.
/// </summary>
internal static class ExportHarness
{
    /// <param name="rows">Sample rows.</param>
    /// <param name="spread">Features and parameters lie in ±spread.</param>
    public static void Run(Backend backend, Network network, int rows = 3, double spread = 1, uint seed = 11)
    {
        using TrainingSession session = NewSession(backend, network, rows, spread, seed, out Batch sample);
        var trained = TrainedNetwork.From(session);
        ExportCheck.Verify(trained, OnnxPrecision.Single, session, sample);
        ExportCheck.Verify(trained, OnnxPrecision.Half, session, sample);
    }

    public static TrainingSession NewSession(Backend backend, Network network, int rows, double spread, uint seed, out Batch sample)
    {
        int inputs = network.InputShape.Size, outputs = network.Shape.Size;
        var options = new PlanOptions(rows, backend.Precision, new PlantedGradient(), new Sgd()) { KeepAll = true, Seed = seed };
        var session = new TrainingSession(PlanBuilder.Build(network, options), backend);
        var random = new CounterRandom(seed, 2000);
        uint drawn = 0;
        float Unit() => CounterRandom.ToUnit(random.Bits(drawn++));

        sample = new Batch(rows, inputs, outputs) { RowCount = rows };
        for (int i = 0; i < sample.Features.Length; i++) sample.Features[i] = Features.Of(network, i, Unit(), spread);
        Array.Fill(sample.Weights, 1f);
        foreach (var parameter in session.Plan.Parameters.Parameters)
        {
            var values = new float[parameter.Spec.Length];
            for (int i = 0; i < values.Length; i++) values[i] = (float)((2 * Unit() - 1) * spread);
            session.SetParameter(parameter, values);
        }
        session.TrainPass(sample); // moves running statistics off their initial values
        return session;
    }
}
