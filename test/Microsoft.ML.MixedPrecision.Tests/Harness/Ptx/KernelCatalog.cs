namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>Every GPU kernel that training binds, from networks that hold every op, loss and optimizer.</summary>
internal static class KernelCatalog
{
    private static readonly Lazy<(BoundKernel[] Kernels, Type[] Bound)> Everything = new(Bind);

    private static readonly Func<Network, Network>[] Layers =
    [
        x => x.Relu(), x => x.Gelu(), x => x.Silu().Multiply(x.LeakyRelu()), x => (x.Sigmoid() + x).Tanh(), x => x.Dropout(), x => x.Relu6(), x => x.Hardswish().Multiply(x.GlobalAvgPool2d().Hardsigmoid()), x => x.Augment(1, flip: true), x => x.BatchNorm().Relu(), x => x.BatchNorm(),
        x => x.LayerNorm(), x => x.Softmax(), x => x.MaxPool2d(2), x => x.AvgPool2d(3, 2, 1), x => x.GlobalAvgPool2d(), x => Network.Concat(x, x.Relu()), x => x.Conv2d(8, 3), x => x.Conv2d(x.Shape.Channels, 3, groups: x.Shape.Channels), x => x.Flatten().Linear(300),
        x => x.Conv2d(8, 3, stride: 2, padding: 1), x => x.AvgPool2d(2).Reshape(4, x.Shape.Channels).PositionalEmbedding().SelfAttention(1), x => x.Reshape(16, x.Shape.Channels).Linear(3 * x.Shape.Channels).SelfAttention(3),
        x => x.Reshape(4, 4 * x.Shape.Channels).Lstm(x.Shape.Channels).Lstm(x.Shape.Channels, returnSequence: false),
        x => Network.Tokens(6, 5).Embedding(x.Shape.Channels), x => Masked(Network.Tokens(x.Shape.Channels, 5), x.Shape.Channels), x => OfTable(Network.Table(x.Shape.Channels, 3, 5)),
    ];

    private static Network OfTable(TableInput table) => Network.Concat(table.Numbers, table.Tokens.Embedding(table.Numbers.Shape.Size).Flatten());

    private static Network Masked(TokenInput tokens, int features)
    {
        var x = tokens.Embedding(features).SelfAttention(1, mask: tokens, causal: true);
        return Network.Concat(x.GlobalAvgPool1d(tokens), x.LastToken(tokens));
    }

    private static readonly Loss[] Losses = [new SoftmaxCrossEntropy(), new SigmoidCrossEntropy(), new MeanSquaredError(), new Huber()];

    /// <summary>As the simulator binds them, in both precisions; each once.</summary>
    public static IReadOnlyList<BoundKernel> Kernels => Everything.Value.Kernels;

    /// <summary>The kernels of plans that they came from, open where generic.</summary>
    public static IReadOnlyCollection<Type> Bound => Everything.Value.Bound;

    /// <summary>A plan for each layer, with losses and optimizers in turn: together all that a plan can hold.</summary>
    /// <param name="channels">Of the images: 8 for vectors of eight, 3 for single elements.</param>
    public static IEnumerable<ExecutionPlan> Plans(Precision precision, int channels)
    {
        foreach (var (i, layer) in Layers.Index())
        {
            Optimizer optimizer = ((Optimizer[])[new Adam(), new Sgd(), new AdamW()])[i % 3];
            var options = new PlanOptions(2, precision, Losses[i % Losses.Length], optimizer)
            {
                AccumulationSteps = 2, ClipNorm = 1f, InputGradient = true, LossScale = LossScale.Dynamic(initial: 8f),
            };
            yield return PlanBuilder.Build(layer(Network.Image(4, 4, channels)).Flatten(), options);
        }
    }

    /// <summary>A kernel in words: "Softmax: SoftmaxForward.Run&lt;Half, Vector8&gt;".</summary>
    public static string NameOf(BoundKernel kernel)
    {
        string type = Plain(kernel.Method.DeclaringType!);
        string[] arguments = [.. kernel.Method.GetGenericArguments().Where(a => !a.Name.Contains("Storage", StringComparison.Ordinal) && !a.Name.StartsWith("Arguments", StringComparison.Ordinal)).Select(Plain)];
        return $"{type}.{kernel.Method.Name}{(arguments.Length == 0 ? "" : $"<{string.Join(", ", arguments)}>")}";
    }

    private static string Plain(Type type)
    {
        string name = type.Name.Split('`')[0];
        if (type.DeclaringType is { } outer && !type.IsGenericParameter) name = $"{outer.Name.Split('`')[0]}.{name}";
        Type[] arguments = [.. type.GetGenericArguments().Where(a => !a.Name.Contains("Storage", StringComparison.Ordinal))];
        return arguments.Length == 0 ? name : $"{name}<{string.Join(", ", arguments.Select(Plain))}>";
    }

    private static (BoundKernel[] Kernels, Type[] Bound) Bind()
    {
        var kernels = new HashSet<BoundKernel>();
        var bound = new HashSet<Type>();
        foreach (var precision in (Precision[])[Precision.Mixed, Precision.Single])
        {
            kernels.UnionWith(OfResidentRows(precision));
            if (precision == Precision.Mixed) kernels.UnionWith(TensorPtxTests.Kernels());
            kernels.UnionWith(PortableProductTests.Kernels(precision));
            kernels.UnionWith(OfLargeBatches(precision));
            foreach (int channels in (int[])[8, 3])
            {
                foreach (var plan in Plans(precision, channels))
                {
                    using var backend = new IlgpuBackend(precision, IlgpuDevice.Simulator);
                    using var session = new TrainingSession(plan, backend, poison: true);
                    kernels.UnionWith(backend.Kernels);
                    foreach (var step in (IEnumerable<PlanStep>)[.. plan.Train, .. plan.Update, .. plan.Evaluate]) bound.Add(Open(step.Kernel.GetType()));
                }
            }
        }
        return ([.. kernels.OrderBy(NameOf, StringComparer.Ordinal)], [.. bound]);
    }

    /// <summary>What only large batches take: the joining of columns' sums of many rows, of runs of a token, and of chunks of an order.</summary>
    private static IEnumerable<BoundKernel> OfLargeBatches(Precision precision)
    {
        foreach (var network in (Network[])[Network.Vector(8).LayerNorm().BatchNorm(), Network.Tokens(1, 5).Embedding(8), Network.Tokens(1, 5).Embedding(3)])
        {
            using var backend = new IlgpuBackend(precision, IlgpuDevice.Simulator);
            using var session = new TrainingSession(PlanBuilder.Build(network.Flatten().Linear(3), new PlanOptions(1 << 14, precision, new SoftmaxCrossEntropy(), new Sgd())), backend);
            foreach (var kernel in backend.Kernels) yield return kernel;
        }
    }

    /// <summary>What gathers batches from rows that lie on the device; not a plan's.</summary>
    private static IEnumerable<BoundKernel> OfResidentRows(Precision precision)
    {
        foreach (var task in (ScoringTask[])[ScoringTask.Multiclass, ScoringTask.VectorRegression])
        {
            using var backend = new IlgpuBackend(precision, IlgpuDevice.Simulator);
            using var session = new TrainingSession(ResidentRowsTests.Plan(precision, task), backend);
            Assert.IsTrue(session.Keep(ResidentRowsTests.Set(precision, task).Store!));
            foreach (var kernel in backend.Kernels) yield return kernel;
        }
    }

    private static Type Open(Type type) => type.IsGenericType ? type.GetGenericTypeDefinition() : type;
}
