using Microsoft.ML.MixedPrecision.OnnxProto;

namespace Microsoft.ML.MixedPrecision;

/// <summary>What a rule sees of the node that it turns into layers.</summary>
internal sealed class ImportScope(OnnxImporter importer, NodeProto node)
{
    public string Name => OnnxImporter.NameOf(node);

    /// <summary>The version of the operators.</summary>
    public long Opset => importer.Opset;

    public int InputCount => node.Input.Count;

    public override string ToString() => importer.Describe(node);

    /// <summary>Whether an input is a constant of the file.</summary>
    public bool IsConstant(int index) => Has(index) && importer.Constant(node.Input[index]) is not null;

    public bool Has(int index) => index < node.Input.Count && node.Input[index].Length > 0;

    /// <summary>An input that depends on the model's.</summary>
    public ImportedValue Value(int index) => (Has(index) ? importer.Value(node.Input[index]) : null) ?? throw Misfit($"input {index} to depend on the model's input", Has(index) ? $"the constant '{node.Input[index]}'" : "none");

    /// <summary>An input that the file holds.</summary>
    public OnnxConstant Constant(int index) => (Has(index) ? importer.Constant(node.Input[index]) : null) ?? throw Misfit($"input {index} to be a constant", Has(index) ? $"'{node.Input[index]}', which is computed" : "none");

    /// <summary>A constant of so many numbers.</summary>
    public float[] Numbers(int index, int length)
    {
        var constant = Constant(index);
        return constant.Length == length ? constant.Singles() : throw Misfit($"input {index} to have {length} numbers", $"[{string.Join('x', constant.Dimensions)}]");
    }

    /// <summary>INT64 numbers that are known before the model runs.</summary>
    public long[] IntegersOf(int index) => (Has(index) ? importer.Integers(node.Input[index]) : null) ?? Constant(index).Integers();

    /// <summary>An image.</summary>
    public Network Image(int index)
    {
        var value = Value(index);
        return value.AsImage?.Network ?? throw Misfit("an image [N, channels, height, width]", $"[N, {string.Join(", ", value.Dimensions)}]");
    }

    public float Number(string name, float otherwise) => Attribute(name)?.F ?? otherwise;

    public long Integer(string name, long otherwise) => Attribute(name)?.I ?? otherwise;

    public string Text(string name, string otherwise) => Attribute(name)?.S.ToStringUtf8() ?? otherwise;

    public long[]? Integers(string name) => Attribute(name)?.Ints.ToArray();

    /// <summary>Axes, which older operators have as an attribute and newer ones as an input; null for none.</summary>
    public long[]? Axes(int input) => Integers("axes") ?? (Has(input) ? Constant(input).Integers() : null);

    /// <summary>The node behind this one that became a part of it; null for none.</summary>
    public NodeProto? Absorbed { get; private set; }

    /// <summary>A bias that the file adds in a node of its own, which becomes a part of this one; null without.</summary>
    /// <param name="fits">Whether a constant can be one.</param>
    public float[]? BiasBehind(Func<OnnxConstant, bool> fits)
    {
        if (importer.OnlyReader(node) is not { OpType: "Add" } add) return null;
        string other = add.Input[add.Input[0] == node.Output[0] ? 1 : 0];
        if (importer.Constant(other) is not { } bias || !fits(bias)) return null;
        Absorbed = add;
        return bias.Singles();
    }

    /// <summary>The only reader of the node, which becomes a part of it; null where it is another operator, or there are several.</summary>
    public ImportScope? Absorb(string opType)
    {
        if (importer.OnlyReader(node) is not { } reader || reader.OpType != opType) return null;
        Absorbed = reader;
        return new ImportScope(importer, reader);
    }

    public NotSupportedException Misfit(string expected, string got) => new($"ImportOnnx: node {this}: expected {expected}, got {got}.");

    private AttributeProto? Attribute(string name) => node.Attribute.FirstOrDefault(attribute => attribute.Name == name);
}
