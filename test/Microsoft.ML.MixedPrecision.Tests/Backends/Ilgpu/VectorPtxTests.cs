using System.Text.RegularExpressions;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>What limits a kernel that memory limits: it moves 16 bytes in an instruction, and keeps to registers.</summary>
[TestClass]
public sealed partial class VectorPtxTests
{
    [GeneratedRegex(@"\bld(\.global)?\.v4\.[bfu]32")]
    private static partial Regex WideLoad();

    [GeneratedRegex(@"\bst(\.global)?\.v4\.[bfu]32")]
    private static partial Regex WideStore();

    private static readonly Func<Network, Network>[] Networks =
    [
        x => x.Relu(), x => x.Gelu(), x => (x.Relu() + x).Tanh(), x => x.Multiply(x.Silu()), x => x.Dropout(), x => x.BatchNorm(), x => x.BatchNorm().Relu(), x => x.LayerNorm(), x => x.Softmax(), x => x.MaxPool2d(2), x => x.AvgPool2d(3, 2, 1), x => x.GlobalAvgPool2d(),
    ];

    [TestMethod, DynamicData(nameof(BackendMatrix.Simulator), typeof(BackendMatrix))]
    public void Losses_of_elements_become_clean_PTX(BackendRow row)
    {
        foreach (int outputs in (int[])[3, 8])
        {
            foreach (Loss loss in (Loss[])[new MeanSquaredError(), new Huber(), new SigmoidCrossEntropy()])
            {
                using var backend = (IlgpuBackend)row.Create();
                using var session = new TrainingSession(PlanBuilder.Build(Network.Vector(outputs), new PlanOptions(2, row.Precision, loss, new Sgd()) { InputGradient = true }), backend);
                PtxCheck.Verify(backend);
            }
        }
    }

    [TestMethod, DynamicData(nameof(BackendMatrix.Simulator), typeof(BackendMatrix))]
    public void Kernels_of_elements_move_16_bytes_at_a_time(BackendRow row)
    {
        var kernels = new HashSet<BoundKernel>();
        foreach (var layer in Networks)
        {
            var options = new PlanOptions(2, row.Precision, new SoftmaxCrossEntropy(), new Adam()) { AccumulationSteps = 2, InputGradient = true };
            using var backend = (IlgpuBackend)row.Create();
            using var session = new TrainingSession(PlanBuilder.Build(layer(Network.Image(4, 4, 8)).Flatten(), options), backend);
            kernels.UnionWith(backend.Kernels);
            PtxCheck.Verify(backend);
        }
        BoundKernel[] wide = [.. kernels.Where(k => k.Method.GetParameters()[0].Name == "eight" || k.Method.GetGenericArguments().Contains(typeof(Vector8)))];
        Assert.IsGreaterThan(10, wide.Length);
        foreach (var kernel in wide)
        {
            string ptx = PtxCheck.Compile(kernel), name = $"{kernel.Method.DeclaringType?.Name}.{kernel.Method.Name}\n{ptx}";
            Assert.MatchesRegex(WideLoad(), ptx, name);
            if (kernel.Method.DeclaringType != typeof(SoftmaxCrossEntropyRows)) Assert.MatchesRegex(WideStore(), ptx, name); // that stores a loss for a row
        }
    }
}
