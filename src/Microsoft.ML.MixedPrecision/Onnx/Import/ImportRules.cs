namespace Microsoft.ML.MixedPrecision;

/// <summary>What each ONNX operator becomes. Meanings and defaults are those of the ONNX specification.</summary>
internal static class ImportRules
{
    public delegate ImportedValue Rule(ImportScope node);

    /// <summary>By the operator's name.</summary>
    public static IReadOnlyDictionary<string, Rule> All { get; } = new Dictionary<string, Rule>(StringComparer.Ordinal)
    {
        ["Conv"] = Conv,
        ["BatchNormalization"] = BatchNormalization,
        ["LayerNormalization"] = LayerNormalization,
        ["Gemm"] = Gemm,
        ["MatMul"] = MatMul,
        ["Add"] = Add,
        ["Mul"] = Mul,
        ["Relu"] = node => Elementwise(node, x => x.Relu(node.Name)),
        ["LeakyRelu"] = node => Elementwise(node, x => x.LeakyRelu(node.Number("alpha", 0.01f), node.Name)),
        ["Sigmoid"] = node => Elementwise(node, x => x.Sigmoid(node.Name)),
        ["Clip"] = Clip,
        ["HardSigmoid"] = HardSigmoid,
        ["HardSwish"] = node => Elementwise(node, x => x.Hardswish(node.Name)),
        ["Tanh"] = node => Elementwise(node, x => x.Tanh(node.Name)),
        ["Gelu"] = Gelu,
        ["Dropout"] = Dropout,
        ["Softmax"] = Softmax,
        ["MaxPool"] = node => Pool(node, (x, window) => x.MaxPool2d(window.Kernel, window.Stride, window.Padding, node.Name)),
        ["AveragePool"] = AveragePool,
        ["Pad"] = Pad,
        ["GlobalAveragePool"] = node => Pooled(node, node.Image(0)),
        ["ReduceMean"] = ReduceMean,
        ["Concat"] = Concat,
        ["Flatten"] = Flatten,
        ["Reshape"] = Reshape,
        ["Squeeze"] = Squeeze,
        ["Unsqueeze"] = Unsqueeze,
        ["Transpose"] = Transpose,
        ["Identity"] = node => node.Value(0),
        ["Cast"] = node => node.Value(0), // between FP16 and FP32: precision is the trainer's choice
    };

    private static ImportedValue Conv(ImportScope node)
    {
        var x = node.Image(0);
        var weights = node.Constant(1);
        if (weights.Dimensions is not [var filters, var groupChannels, var height, var width]) throw node.Misfit("filters in two dimensions", $"[{string.Join('x', weights.Dimensions)}]");
        int groups = (int)node.Integer("group", 1);
        if (groupChannels * groups != x.Shape.Channels) throw node.Misfit($"{groupChannels * groups} channels", $"{x.Shape.Channels}");
        var window = WindowOf(node, x.Shape, new(height, width));
        var bias = node.Has(2) ? node.Numbers(2, filters) : node.BiasBehind(constant => constant.Length == filters && constant.Dimensions is [.., _, 1, 1]);
        var y = x.Conv2d(filters, window.Kernel, window.Stride, window.Padding, window.Dilation, groups, bias is not null, node.Name);
        float[] turned = Conv2d.FiltersLast(weights.Singles(), filters, groupChannels, height * width, groups);
        return ImportedValue.ChannelsFirst(y.StartingFrom(new StartValues(bias is null ? [turned] : [turned, bias], [])));
    }

    private static ImportedValue BatchNormalization(ImportScope node)
    {
        var value = node.Value(0);
        value = value.AsImage ?? (value.HasChannelsFirst ? value : throw node.Misfit("[N, channels, ...]", $"[N, {string.Join(", ", value.Dimensions)}]"));
        if (node.Integer("spatial", 1) != 1) throw node.Misfit("spatial = 1", "0");
        int channels = value.Network.Shape.Channels;
        var y = value.Network.BatchNorm(node.Number("epsilon", 1e-5f), Math.Clamp(1f - node.Number("momentum", 0.9f), 0f, 1f), node.Name) // ONNX's is the share that stays
            .StartingFrom(new StartValues([node.Numbers(1, channels), node.Numbers(2, channels)], [node.Numbers(3, channels), node.Numbers(4, channels)]));
        return value with { Network = y };
    }

    private static ImportedValue LayerNormalization(ImportScope node)
    {
        var value = node.Value(0);
        int rank = value.Dimensions.Count;
        long axis = node.Integer("axis", -1);
        bool wholeImage = value.Network.Shape.IsImage && value.HasChannelsFirst && axis is -3 or 1, lastAxis = value.HasChannelsLast && (axis == -1 || axis == rank);
        if (!wholeImage && !lastAxis) throw node.Misfit("the last axis of a vector or a sequence, or a whole image", $"axis {axis} of [N, {string.Join(", ", value.Dimensions)}]");
        int length = wholeImage ? value.Network.Shape.Size : value.Network.Shape.Channels;
        int[] places = wholeImage ? value.Places() : [.. Enumerable.Range(0, length)];
        float[] Here(float[] there)
        {
            var turned = new float[length];
            for (int i = 0; i < length; i++) turned[places[i]] = there[i];
            return turned;
        }
        return value with
        {
            Network = value.Network.LayerNorm(node.Number("epsilon", 1e-5f), node.Name)
                .StartingFrom(new StartValues([Here(node.Numbers(1, length)), node.Has(2) ? Here(node.Numbers(2, length)) : new float[length]], [])),
        };
    }

    private static ImportedValue Gemm(ImportScope node)
    {
        if (node.Integer("transA", 0) != 0) throw node.Misfit("transA = 0", "1");
        float alpha = node.Number("alpha", 1f), beta = node.Number("beta", 1f);
        return Linear(node, node.Integer("transB", 0) != 0, alpha, outputs => node.Has(2) ? [.. node.Numbers(2, outputs).Select(b => beta * b)] : null);
    }

    private static ImportedValue MatMul(ImportScope node) => Linear(node, transposed: false, 1f, outputs => node.BiasBehind(constant => constant.Length == outputs && constant.Dimensions.Count <= 3 && constant.Dimensions[^1] == outputs));

    /// <param name="transposed">Whether the weights are [outputs, inputs].</param>
    /// <param name="scale">Of the weights.</param>
    /// <param name="bias">For so many outputs.</param>
    private static ImportedValue Linear(ImportScope node, bool transposed, float scale, Func<int, float[]?> bias)
    {
        var (value, weights) = (node.Value(0), node.Constant(1));
        if (weights.Dimensions is not [var rows, var columns]) throw node.Misfit("weights [inputs, outputs]", $"[{string.Join('x', weights.Dimensions)}]");
        var (inputs, outputs) = transposed ? (columns, rows) : (rows, columns);
        bool flat = value.IsFlat;
        if (!flat && !value.HasChannelsLast || value.Dimensions[^1] != inputs) throw node.Misfit($"vectors of {inputs} elements", $"[N, {string.Join(", ", value.Dimensions)}]");
        float[] there = weights.Singles(), here = new float[there.Length], b = bias(outputs) ?? [];
        int[] places = flat ? value.Places() : [.. Enumerable.Range(0, inputs)]; // a flattened image has its pixels in another order here
        for (int i = 0; i < inputs; i++)
            for (int o = 0; o < outputs; o++) here[places[i] * outputs + o] = scale * there[transposed ? o * inputs + i : i * outputs + o];
        var x = flat ? value.Vector : value.Network;
        return ImportedValue.Plain(x.Linear(outputs, b.Length > 0, node.Name).StartingFrom(new StartValues(b.Length > 0 ? [here, b] : [here], [])));
    }

    private static ImportedValue Add(ImportScope node)
    {
        int constant = node.IsConstant(1) ? 1 : 0;
        if (!node.IsConstant(constant)) return Pair(node, (a, b) => a.Add(b, node.Name));
        var value = node.Value(1 - constant);
        if (!value.Network.Shape.IsSequence || !value.HasChannelsLast) throw node.Misfit("a bias behind a Conv or a MatMul, or an embedding of the positions of a sequence", $"a constant for [N, {string.Join(", ", value.Dimensions)}]");
        return value with { Network = value.Network.PositionalEmbedding(node.Name).StartingFrom(new StartValues([node.Numbers(constant, value.Network.Shape.Size)], [])) };
    }

    private static ImportedValue Mul(ImportScope node) => Gated(node, node.Value(0), node.Value(1)) ?? Gated(node, node.Value(1), node.Value(0)) ?? Pair(node, (a, b) =>
        GateOf(a) == b.Node ? b.Silu(node.Name) : GateOf(b) == a.Node ? a.Silu(node.Name) : a.Multiply(b, node.Name)); // x sigmoid(x), as older operators say Silu

    /// <summary>An image or a sequence times a number for each of its channels; null where it is none.</summary>
    private static ImportedValue? Gated(ImportScope node, ImportedValue value, ImportedValue gate)
    {
        int channels = value.Network.Shape.Channels;
        bool image = value.AsImage == value && gate.Dimensions.SequenceEqual([channels, 1, 1]) && !value.Dimensions.SequenceEqual(gate.Dimensions);
        bool sequence = value.Network.Shape.IsSequence && value.HasChannelsLast && gate.Dimensions.SequenceEqual([1, channels]) && !value.Dimensions.SequenceEqual(gate.Dimensions);
        return image || sequence ? value with { Network = value.Network.Multiply(gate.Vector, node.Name) } : null;
    }

    private static Node? GateOf(Network network) => network.Node.Op is Sigmoid ? network.Node.Inputs[0] : null;

    private static ImportedValue Pair(ImportScope node, Func<Network, Network, Network> combine)
    {
        var (a, b) = (node.Value(0), node.Value(1));
        if (a.AsImage is { } first && b.AsImage is { } second) (a, b) = (first, second);
        if (!a.Dimensions.SequenceEqual(b.Dimensions) || a.Network.Shape != b.Network.Shape || !a.Order.SequenceEqual(b.Order))
            throw node.Misfit("two values of one shape", $"[N, {string.Join(", ", a.Dimensions)}] and [N, {string.Join(", ", b.Dimensions)}]");
        return a with { Network = combine(a.Network, b.Network) };
    }

    private static ImportedValue Gelu(ImportScope node) => node.Text("approximate", "none") == "none"
        ? Elementwise(node, x => x.Gelu(node.Name))
        : throw node.Misfit("approximate = none", node.Text("approximate", ""));

    private static ImportedValue Clip(ImportScope node)
    {
        float least = Bound(1, "min", float.NegativeInfinity), most = Bound(2, "max", float.PositiveInfinity);
        return (least, most) switch
        {
            (0f, Relu6Function.Most) => Elementwise(node, x => x.Relu6(node.Name)),
            (0f, float.PositiveInfinity or float.MaxValue) => Elementwise(node, x => x.Relu(node.Name)),
            _ => throw node.Misfit("a range from 0 to 6, or from 0 on", FormattableString.Invariant($"{least} to {most}")),
        };

        float Bound(int input, string attribute, float otherwise) => node.Has(input) ? node.Numbers(input, 1)[0] : node.Number(attribute, otherwise);
    }

    private static ImportedValue HardSigmoid(ImportScope node)
    {
        float alpha = node.Number("alpha", 0.2f), beta = node.Number("beta", 0.5f);
        return Math.Abs(alpha - HardsigmoidFunction.Slope) < 1e-3f && beta == 0.5f // some files have 0.1667
            ? Elementwise(node, x => x.Hardsigmoid(node.Name))
            : throw node.Misfit("alpha = 1/6 and beta = 0.5", FormattableString.Invariant($"{alpha} and {beta}"));
    }

    private static ImportedValue Dropout(ImportScope node)
    {
        float rate = node.Has(1) ? node.Numbers(1, 1)[0] : node.Number("ratio", 0.5f);
        return rate == 0f ? node.Value(0) : Elementwise(node, x => x.Dropout(rate, node.Name));
    }

    private static ImportedValue Softmax(ImportScope node)
    {
        var value = node.Value(0);
        long axis = node.Integer("axis", node.Opset < 13 ? 1 : -1);
        int rank = value.Dimensions.Count;
        bool last = value.HasChannelsLast && (axis == -1 || axis == rank), channels = value.Network.Shape.IsImage && value.HasChannelsFirst && (axis == 1 || axis == -rank);
        if (!last && !channels || (rank > 1 && node.Opset < 13)) // before, the softmax went over all axes from this one on
            throw node.Misfit("the channels of an image, or the last axis", $"axis {axis} of [N, {string.Join(", ", value.Dimensions)}]");
        return value with { Network = value.Network.Softmax(node.Name) };
    }

    private static ImportedValue AveragePool(ImportScope node) => AveragePool(node, node.Image(0), padding: 0, node.Integer("count_include_pad", 0) != 0);

    /// <param name="padding">Zeros around the image before the pool adds its own.</param>
    private static ImportedValue AveragePool(ImportScope node, Network x, Size2d padding, bool countsPadding) => Pool(node, x, (x, window) => padding == 0 && window == new Window2d(new(x.Shape.Height, x.Shape.Width), window.Stride, 0, 1)
        ? null
        : x.AvgPool2d(window.Kernel, window.Stride, padding == 0 ? window.Padding : padding, countsPadding, node.Name));

    /// <summary>Nothing, or zeros before a mean that counts them, as PyTorch wrote such pools once.</summary>
    private static ImportedValue Pad(ImportScope node)
    {
        long[] pads = node.Integers("pads") ?? node.IntegersOf(1);
        if (pads.All(pad => pad == 0)) return node.Value(0);
        bool zeros = node.Text("mode", "constant") == "constant" && (node.Has(2) ? node.Numbers(2, 1)[0] : node.Number("value", 0f)) == 0f;
        if (zeros && pads is [0, 0, var top, var left, 0, 0, var bottom, var right] && top == bottom && left == right && node.Absorb("AveragePool") is { } pool
            && (pool.Integers("pads") ?? []).All(pad => pad == 0) && pool.Text("auto_pad", "NOTSET") is "NOTSET" or "VALID" && pool.Integer("ceil_mode", 0) == 0)
            return AveragePool(pool, node.Image(0), new((int)top, (int)left), countsPadding: true);
        throw node.Misfit("no padding, or zeros around an image before an AveragePool", $"pads [{string.Join(", ", pads)}]");
    }

    /// <param name="pool">Null for the mean of the image.</param>
    private static ImportedValue Pool(ImportScope node, Func<Network, Window2d, Network?> pool) => Pool(node, node.Image(0), pool);

    private static ImportedValue Pool(ImportScope node, Network x, Func<Network, Window2d, Network?> pool)
    {
        if (node.Integers("kernel_shape") is not [var height, var width]) throw node.Misfit("a kernel in two dimensions", $"[{string.Join('x', node.Integers("kernel_shape") ?? [])}]");
        var window = WindowOf(node, x.Shape, new((int)height, (int)width));
        if (window.Dilation != 1) throw node.Misfit("a dilation of 1", $"{window.Dilation}");
        return pool(x, window) is { } y ? ImportedValue.ChannelsFirst(y) : Pooled(node, x);
    }

    /// <summary>The mean of an image: a vector here, which the graph has as an image of one pixel.</summary>
    private static ImportedValue Pooled(ImportScope node, Network image) => new(image.GlobalAvgPool2d(node.Name), [image.Shape.Channels, 1, 1], [0]);

    private static ImportedValue ReduceMean(ImportScope node)
    {
        var x = node.Image(0);
        long[] axes = [.. (node.Axes(1) ?? []).Select(axis => axis < 0 ? axis + 4 : axis).Order()];
        if (axes is not [2, 3]) throw node.Misfit("the mean over height and width", $"axes {string.Join(", ", axes)}");
        var mean = Pooled(node, x);
        return node.Integer("keepdims", 1) != 0 ? mean : mean with { Dimensions = [x.Shape.Channels] };
    }

    private static ImportedValue Concat(ImportScope node)
    {
        ImportedValue[] values = [.. Enumerable.Range(0, node.InputCount).Select(node.Value)];
        ImportedValue[] images = [.. values.Select(value => value.AsImage).OfType<ImportedValue>()];
        long axis = node.Integer("axis", 1);
        int rank = values[0].Dimensions.Count;
        if (images.Length == values.Length && (axis == 1 || axis == -rank)) return ImportedValue.ChannelsFirst(Joined(images));
        if (values.All(value => value.HasChannelsLast) && (axis == -1 || axis == rank)) return ImportedValue.Plain(Joined(values));
        throw node.Misfit("the channels of images, or the last axis", $"axis {axis} of {string.Join(" and ", values.Select(value => $"[N, {string.Join(", ", value.Dimensions)}]"))}");

        static Network Joined(ImportedValue[] parts) => Network.Concat([.. parts.Select(part => part.Network)]);
    }

    private static ImportedValue Flatten(ImportScope node)
    {
        if (node.Integer("axis", 1) != 1) throw node.Misfit("axis 1", $"axis {node.Integer("axis", 1)}");
        var value = node.Value(0);
        return Reshaped(node, value, [value.Network.Shape.Size]);
    }

    private static ImportedValue Reshape(ImportScope node)
    {
        var value = node.Value(0);
        long[] shape = node.Integers("shape") ?? node.IntegersOf(1);
        if (shape.Length == 0 || shape[0] > 1) throw node.Misfit("a shape that keeps the batch", $"[{string.Join(", ", shape)}]");
        int[] dimensions = [.. shape.Skip(1).Select((d, i) => d == 0 && i < value.Dimensions.Count ? value.Dimensions[i] : (int)d)];
        int size = value.Network.Shape.Size, known = dimensions.Where(d => d > 0).Aggregate(1, (a, b) => a * b);
        return Reshaped(node, value, [.. dimensions.Select(d => d < 0 ? size / known : d)]);
    }

    private static ImportedValue Squeeze(ImportScope node)
    {
        var value = node.Value(0);
        int rank = value.Dimensions.Count + 1;
        long[]? axes = node.Axes(1)?.Select(axis => axis < 0 ? axis + rank : axis).ToArray();
        return Reshaped(node, value, [.. value.Dimensions.Where((d, i) => axes is null ? d > 1 : !axes.Contains(i + 1))]);
    }

    private static ImportedValue Unsqueeze(ImportScope node)
    {
        var value = node.Value(0);
        long[] axes = node.Axes(1) ?? [];
        int rank = value.Dimensions.Count + 1 + axes.Length;
        var dimensions = new Queue<int>(value.Dimensions);
        long[] places = [.. axes.Select(axis => axis < 0 ? axis + rank : axis)];
        return Reshaped(node, value, [.. Enumerable.Range(1, rank - 1).Select(i => places.Contains(i) ? 1 : dimensions.Dequeue())]);
    }

    private static ImportedValue Transpose(ImportScope node)
    {
        var value = node.Value(0);
        long[] axes = node.Integers("perm") ?? [];
        return (axes is [0, ..] ? value.Transposed([.. axes.Skip(1).Select(axis => (int)axis - 1)]) : null)
            ?? throw node.Misfit("an order of the axes that keeps the batch first", $"[{string.Join(", ", axes)}] of [N, {string.Join(", ", value.Dimensions)}]");
    }

    private static ImportedValue Reshaped(ImportScope node, ImportedValue value, int[] dimensions)
    {
        var reshaped = dimensions.Aggregate(1L, (a, b) => a * b) == value.Network.Shape.Size ? value.Reshaped(dimensions) : null;
        return reshaped ?? throw node.Misfit("the same elements in the same order, as a vector or as an image", $"[N, {string.Join(", ", dimensions)}] of [N, {string.Join(", ", value.Dimensions)}]");
    }

    private static ImportedValue Elementwise(ImportScope node, Func<Network, Network> apply)
    {
        var value = node.Value(0);
        return value with { Network = apply(value.Network) };
    }

    /// <summary>
    /// A window whose padding is alike on both sides. A graph may pad less at the ends, where no window would reach what is left out; where one would, there is no such layer here.
    /// </summary>
    private static Window2d WindowOf(ImportScope node, Shape image, Size2d kernel)
    {
        var stride = Along("strides");
        var dilation = Along("dilations");
        long[] pads = node.Integers("pads") ?? [0, 0, 0, 0];
        string auto = node.Text("auto_pad", "NOTSET");
        if (auto is "SAME_UPPER" or "SAME_LOWER")
        {
            var (top, bottom) = Same(image.Height, kernel.Height, stride.Height, dilation.Height);
            var (left, right) = Same(image.Width, kernel.Width, stride.Width, dilation.Width);
            pads = [top, left, bottom, right];
        }
        var window = new Window2d(kernel, stride, new((int)pads[0], (int)pads[1]), dilation);
        if (window.OutHeight(image.Height) != Out(image.Height, kernel.Height, stride.Height, pads[0] + pads[2], dilation.Height)
            || window.OutWidth(image.Width) != Out(image.Width, kernel.Width, stride.Width, pads[1] + pads[3], dilation.Width))
            throw node.Misfit("as much padding at the end as at the beginning, or an end that no window reaches, and no window beyond it (ceil_mode)", $"pads [{string.Join(", ", pads)}] of an image {image.Height}x{image.Width}");
        return window;

        Size2d Along(string name) => node.Integers(name) is [var height, var width] ? new Size2d((int)height, (int)width) : 1;

        (long, long) Same(int size, int taps, int step, int apart)
        {
            int total = Math.Max(((size + step - 1) / step - 1) * step + apart * (taps - 1) + 1 - size, 0);
            return auto == "SAME_UPPER" ? (total / 2, total - total / 2) : (total - total / 2, total / 2);
        }

        // A last window that begins within the image counts where ceil_mode says so.
        long Out(int size, int taps, int step, long padding, int apart)
        {
            long room = size + padding - apart * (taps - 1) - 1;
            return (room + (node.Integer("ceil_mode", 0) != 0 ? step - 1 : 0)) / step + 1;
        }
    }
}
