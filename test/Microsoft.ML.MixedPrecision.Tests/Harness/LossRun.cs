namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>The two kernels of a loss, run once without a network: scores in, rows and gradient out.</summary>
internal sealed class LossRun
{
    /// <param name="scores">[batch, outputs]; halves, so that nothing is rounded on the way in.</param>
    /// <param name="labels">int[batch] classes, or float[batch, outputs] values.</param>
    /// <param name="weights">[batch].</param>
    /// <param name="valid">Rows that are not padding.</param>
    /// <param name="seed">What the gradient is multiplied with.</param>
    public LossRun(BackendRow row, Loss loss, float[] scores, Array labels, float[] weights, int valid, float seed)
    {
        int batch = weights.Length, outputs = scores.Length / batch;
        using var backend = row.Create();
        var x = new Tensor("X", ElementType.Working, Region.Activations, batch, outputs);
        var dx = new Tensor("Gradient", ElementType.Working, Region.Activations, batch, outputs);
        var (targets, rows, control) = (loss.NewTargets(batch, Shape.Vector(outputs)), new LossRows(batch), new StepControl());
        Allocate(backend, [x, dx, .. targets.All, rows.Losses, rows.Weights, rows.Metrics, control.Counters, control.Scales, control.Log]);

        var counters = new int[StepControl.CounterCount];
        counters[StepControl.Rows] = valid;
        var scales = new float[StepControl.ScaleCount];
        scales[StepControl.LossSeed] = seed;
        backend.Upload(x, scores);
        if (labels is int[] classes) backend.Upload(targets.Labels, classes);
        else backend.Upload(targets.Labels, (float[])labels);
        backend.Upload(targets.Weights, weights);
        backend.Upload(control.Counters, counters);
        backend.Upload(control.Scales, scales);
        backend.Bind(loss.Rows(x, targets, rows, control))();
        backend.Bind(loss.Gradient(x, targets, rows, dx, control))();
        (Losses, Weights, Metrics, Gradient) = (Read(backend, rows.Losses), Read(backend, rows.Weights), Read(backend, rows.Metrics), Read(backend, dx));
    }

    public float[] Losses { get; }
    public float[] Weights { get; }
    public float[] Metrics { get; }
    public float[] Gradient { get; }

    /// <summary>Places tensors one after the other, and gives them memory.</summary>
    public static void Allocate(Backend backend, IEnumerable<Tensor> tensors) => backend.Allocate(tensors.GroupBy(t => t.Region)
        .ToDictionary(g => g.Key, g => MemoryPlanner.PlaceInOrder(g, t => t.Length * backend.SizeOf(t.Element))));

    public static float[] Read(Backend backend, Tensor tensor)
    {
        var values = new float[tensor.Length];
        backend.Download(tensor, values);
        return values;
    }
}
