namespace Microsoft.ML.MixedPrecision.Tests;

[TestClass]
public sealed class PlanTests
{
    private static readonly Network s_network = Network.Image(6, 6, 3).Conv2d(4, 3, name: "stem").BatchNorm().Relu().MaxPool2d(2).Flatten().Linear(3, name: "head");

    /// <summary>To write them anew after a deliberate change: delete the files, run the test, and look at what git shows.</summary>
    [TestMethod]
    [DataRow(Precision.Mixed)]
    [DataRow(Precision.Single)]
    public void The_print_is_as_it_was(Precision precision)
    {
        string actual = PlanPrinter.Print(Build(s_network, precision, batch: 8));
        string path = Path.Combine(Repository.Root, "test", "Microsoft.ML.MixedPrecision.Tests", "Plan", "Golden", $"small.{precision}.txt".ToLowerInvariant());
        if (!File.Exists(path))
        {
            File.WriteAllText(path, actual);
            Assert.Fail($"Wrote {Path.GetFileName(path)} anew: look at it, and run the test again.");
        }
        Assert.AreEqual(File.ReadAllText(path).ReplaceLineEndings("\n"), actual);
    }

    [TestMethod]
    public void A_mixed_ResNet20_takes_at_most_six_tenths_of_single()
    {
        var network = Architectures.ResNetSmall(Network.Image(32, 32, 3)).Linear(10);
        var mixed = Build(network, Precision.Mixed, batch: 64);
        var single = Build(network, Precision.Single, batch: 64);
        Assert.IsLessThanOrEqualTo(0.60, (double)mixed.TotalBytes / single.TotalBytes);
        Assert.IsLessThanOrEqualTo(0.52, (double)mixed.Bytes[Region.Activations] / single.Bytes[Region.Activations]);
    }

    [TestMethod]
    public void Has_the_steps_that_the_network_needs_and_no_more()
    {
        var plan = Build(s_network, Precision.Mixed, batch: 8);
        CollectionAssert.AreEqual(
            new[] { "PassStart", "Ingest", "Conv2d.Forward", "BatchNorm.Statistics", "BatchNorm.Forward + Relu.Forward", "MaxPool2d.Forward", "Linear.Forward",
                "SoftmaxCrossEntropy.Rows", "LossTotal", "SoftmaxCrossEntropy.Gradient",
                "Linear.WeightGradient", "ColumnSum", "Linear.InputGradient", "MaxPool2d.Backward + Relu.Backward", "BatchNorm.Sums", "BatchNorm.Backward", "Conv2d.WeightGradient", "ColumnSum" },
            plan.Train.Select(s => s.Kernel.Name).ToArray());
        CollectionAssert.AreEqual(new[] { "GradientScan", "StepVerdict", "Adam.Update", "StepAdvance" }, plan.Update.Select(s => s.Kernel.Name).ToArray());
        CollectionAssert.AreEqual(
            new[] { "Ingest", "Conv2d.Forward", "BatchNorm.Running", "BatchNorm.Forward + Relu.Forward", "MaxPool2d.Forward", "Linear.Forward", "SoftmaxCrossEntropy.Rows", "LossTotal" },
            plan.Evaluate.Select(s => s.Kernel.Name).ToArray());
    }

    [TestMethod]
    public void Tensors_that_live_together_never_share_bytes()
    {
        foreach (var network in new[] { s_network, Problems.ConvNet, Architectures.ResNetSmall(Network.Image(8, 8, 3), 1).Linear(4) })
        {
            var plan = Build(network, Precision.Mixed, batch: 5);
            foreach (var section in new[] { plan.Train, plan.Update, plan.Evaluate })
            {
                var lives = MemoryPlanner.Lifetimes(section).Where(l => l.Key.Region == Region.Activations).ToArray();
                for (int i = 0; i < lives.Length; i++)
                {
                    var (a, life) = lives[i];
                    Assert.AreEqual(0, a.ArenaOffset % MemoryPlanner.Alignment, a.Name);
                    Assert.IsLessThanOrEqualTo(plan.Bytes[Region.Activations], a.ArenaOffset + Bytes(a), a.Name);
                    foreach (var (b, other) in lives[(i + 1)..])
                    {
                        bool apart = a.ArenaOffset + Bytes(a) <= b.ArenaOffset || b.ArenaOffset + Bytes(b) <= a.ArenaOffset;
                        Assert.IsTrue(apart || !life.Overlaps(other), $"{a.Name} and {b.Name}");
                    }
                }
            }
        }

        static long Bytes(Tensor tensor) => tensor.Length * (tensor.Element == ElementType.Working ? 2 : 4);
    }

    [TestMethod]
    public void Layers_of_two_branches_with_one_name_are_told_apart()
    {
        var x = Network.Vector(4).Linear(4);
        var plan = Build(x.Linear(3, name: "twin") + x.Linear(3, name: "twin"), Precision.Single, batch: 2);
        CollectionAssert.AreEqual(new[] { "Input", "Linear1", "twin", "twin_2", "Add1" }, plan.Layers.Select(l => l.Name).ToArray());
        CollectionAssert.AllItemsAreUnique(plan.Parameters.Parameters.Select(p => p.Name).ToArray());
    }

    [TestMethod]
    public void The_first_layer_computes_no_gradient_of_the_input()
    {
        var plan = Build(Network.Vector(4).Linear(3), Precision.Single, batch: 2);
        Assert.IsFalse(plan.Train.Any(s => s.Kernel.Name == "Linear.InputGradient"));
    }

    private static ExecutionPlan Build(Network network, Precision precision, int batch) =>
        PlanBuilder.Build(network, new PlanOptions(batch, precision, new SoftmaxCrossEntropy(), new Adam()));
}
