using Google.Protobuf;
using Microsoft.ML.MixedPrecision.OnnxProto;

namespace Microsoft.ML.MixedPrecision;

/// <summary>A named attribute of an ONNX node. Written as a tuple: <c>("axis", 1)</c>, <c>("pads", new long[] { 0, 0, 1, 1 })</c>.</summary>
internal readonly struct OnnxAttribute
{
    private OnnxAttribute(AttributeProto proto) => Proto = proto;

    public AttributeProto Proto { get; }

    public static implicit operator OnnxAttribute((string Name, long Value) attribute) =>
        new(new AttributeProto { Name = attribute.Name, Type = AttributeProto.Types.AttributeType.Int, I = attribute.Value });

    public static implicit operator OnnxAttribute((string Name, int Value) attribute) => (attribute.Name, (long)attribute.Value);

    public static implicit operator OnnxAttribute((string Name, float Value) attribute) =>
        new(new AttributeProto { Name = attribute.Name, Type = AttributeProto.Types.AttributeType.Float, F = attribute.Value });

    public static implicit operator OnnxAttribute((string Name, string Value) attribute) =>
        new(new AttributeProto { Name = attribute.Name, Type = AttributeProto.Types.AttributeType.String, S = ByteString.CopyFromUtf8(attribute.Value) });

    public static implicit operator OnnxAttribute((string Name, long[] Values) attribute)
    {
        var proto = new AttributeProto { Name = attribute.Name, Type = AttributeProto.Types.AttributeType.Ints };
        proto.Ints.AddRange(attribute.Values);
        return new(proto);
    }

    public static implicit operator OnnxAttribute((string Name, int[] Values) attribute) =>
        (attribute.Name, Array.ConvertAll(attribute.Values, static value => (long)value));

    public static implicit operator OnnxAttribute((string Name, string[] Values) attribute)
    {
        var proto = new AttributeProto { Name = attribute.Name, Type = AttributeProto.Types.AttributeType.Strings };
        foreach (string value in attribute.Values) proto.Strings.Add(ByteString.CopyFromUtf8(value));
        return new(proto);
    }

    public static implicit operator OnnxAttribute((string Name, TensorProto Value) attribute) =>
        new(new AttributeProto { Name = attribute.Name, Type = AttributeProto.Types.AttributeType.Tensor, T = attribute.Value });
}
