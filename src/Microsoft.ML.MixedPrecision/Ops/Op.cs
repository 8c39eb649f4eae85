using System.Reflection;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// A differentiable operation: shape rule, parameters, forward and backward orchestration, ONNX node. What it does with
/// memory is in its kernels, beside it. Instances are immutable descriptions. Nothing here has a default: an op that lacks
/// a member does not compile.
/// </summary>
internal abstract class Op
{
    /// <summary>PyTorch's name for the layer: "Conv2d".</summary>
    public abstract string Kind { get; }

    /// <summary>The shape of one example of the output.</summary>
    /// <param name="name">The layer's name, for the message.</param>
    /// <param name="inputs">The shapes of one example of each input.</param>
    /// <exception cref="ArgumentException">The inputs do not fit: layer, expected, got, remedy.</exception>
    public abstract Shape Infer(string name, IReadOnlyList<Shape> inputs);

    /// <summary>What is trained, in a fixed order.</summary>
    public abstract IReadOnlyList<ParameterSpec> Parameters(IReadOnlyList<Shape> inputs);

    /// <summary>FP32 state that training changes without a gradient, in a fixed order.</summary>
    public abstract IReadOnlyList<BufferSpec> Buffers(IReadOnlyList<Shape> inputs);

    /// <summary>Adds the forward kernels to the plan and returns the output.</summary>
    public abstract Tensor Forward(ForwardPass pass);

    /// <summary>Adds the backward kernels: a gradient for every parameter, and for every input that needs one.</summary>
    public abstract void Backward(BackwardPass pass);

    /// <summary>Adds the op as inference has it to an ONNX graph and returns the name of its output. Images are NCHW there.</summary>
    public abstract string Export(OnnxScope scope);

    /// <summary>The kind and all that it was given, for telling one training from another: of every field, so that no op can forget one. Values print in the current culture.</summary>
    public string Described()
    {
        var values = new List<string>();
        for (var type = GetType(); type != typeof(Op); type = type.BaseType!)
            values.AddRange(type.GetFields(BindingFlags.Instance | BindingFlags.NonPublic | BindingFlags.Public | BindingFlags.DeclaredOnly).Select(field => $"{field.GetValue(this)}"));
        return values.Count == 0 ? Kind : $"{Kind}({string.Join(", ", values)})";
    }

    /// <summary>The shape rule of a sequence with a mask.</summary>
    /// <exception cref="ArgumentException">It is none, or its positions are not those of the tokens.</exception>
    protected void ExpectMask(string name, Shape sequence, Shape tokens)
    {
        if (!sequence.IsSequence) throw Misfit(name, "a sequence [length, features]", sequence.Described, "start from Network.Tokens(...)");
        if (sequence.Length != tokens.Size) throw Misfit(name, $"as many positions as the mask has tokens, {tokens.Size}", $"{sequence.Length}", "take the mask before layers that change their number, or pad those");
    }

    /// <summary>The exception of a shape rule, in the house's words.</summary>
    protected ArgumentException Misfit(string name, string expected, string got, string remedy) =>
        new($"{Kind} '{name}': expected {expected}, got {got}; {remedy}.");
}
