namespace Microsoft.ML.MixedPrecision;

/// <summary>The last layer: a <see cref="Linear"/> with as many outputs as the label needs.</summary>
internal static class Head
{
    /// <summary>
    /// The network with its head: appended, or there already where the network ends in a Linear of that width.
    /// </summary>
    /// <param name="label">The label column's name, for messages.</param>
    /// <param name="task">Classification has its softmax or sigmoid in the loss.</param>
    /// <param name="outputs">Classes, 1, or the elements of a vector label.</param>
    /// <exception cref="ArgumentOutOfRangeException">The network's end does not fit the label: layer, expected, got, remedy.</exception>
    public static Network Fit(Network network, string label, ScoringTask task, int outputs)
    {
        var node = network.Node;
        string needs = task switch
        {
            ScoringTask.Multiclass => $"{outputs} outputs for the {outputs} classes of label column '{label}'",
            ScoringTask.VectorRegression => $"{outputs} outputs for the {outputs} values of label column '{label}'",
            _ => $"1 output for label column '{label}'",
        };
        if (!network.Shape.IsVector)
            throw Misfit(node, $"a vector, of which the trainer makes {needs}", network.Shape.Described, "end the network in Flatten(), GlobalAvgPool1d() or GlobalAvgPool2d()");
        if (node.Op is Linear linear)
        {
            if (linear.Outputs == outputs) return network;
            throw Misfit(node, needs, $"{linear.Outputs}", $"give it {outputs}, or leave it out: the trainer adds the last Linear by itself. If it is meant to be a hidden layer, put an activation behind it");
        }
        bool isProbability = node.Op?.Kind == "Softmax" || (node.Op?.Kind == "Sigmoid" && network.Shape.Size == outputs);
        if (isProbability && task is ScoringTask.Multiclass or ScoringTask.Binary)
            throw Misfit(node, "scores before the softmax or the sigmoid, which the loss contains", $"the output of {node.Op!.Kind}", "remove that layer; Score and Probability come out as probabilities anyway");
        return network.Linear(outputs);
    }

    private static ArgumentOutOfRangeException Misfit(Node node, string expected, string got, string remedy) =>
        BadArgument.Of(nameof(MixedPrecisionTrainer.Options.Network), $"{(node.Op is null ? "The network" : $"{node.Op.Kind} '{node.Name}'")}: expected {expected}, got {got}; {remedy}.");
}
