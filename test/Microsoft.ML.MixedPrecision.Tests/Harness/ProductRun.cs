namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>A backend with one arena, and tensors one after the other in it: for a matrix product on its own.</summary>
internal sealed class ProductRun : IDisposable
{
    /// <summary>What <see cref="Filled"/> fills with, to see what a kernel leaves alone.</summary>
    public const float Untouched = -7f;

    private const long Capacity = 1 << 20;
    private readonly Backend _backend;
    private readonly Random _random = new(5);
    private long _end;

    /// <param name="backend">Fresh; disposed with this.</param>
    public ProductRun(Backend backend)
    {
        _backend = backend;
        _backend.Allocate(new Dictionary<Region, long> { [Region.Activations] = Capacity });
    }

    public (Tensor Tensor, float[] Values) Random(string name, int length)
    {
        var values = new float[length];
        for (int i = 0; i < length; i++)
        {
            float value = (float)(_random.NextDouble() * 2 - 1);
            values[i] = _backend.Precision == Precision.Mixed ? (float)(Half)value : value;
        }
        var tensor = Place(new Tensor(name, ElementType.Working, Region.Activations, length));
        _backend.Upload(tensor, values);
        return (tensor, values);
    }

    public Tensor Filled(string name, params ReadOnlySpan<int> dimensions)
    {
        var tensor = Place(new Tensor(name, ElementType.Working, Region.Activations, dimensions));
        var values = new float[tensor.Length];
        Array.Fill(values, Untouched);
        _backend.Upload(tensor, values);
        return tensor;
    }

    /// <summary>FP32 values, in a shape of their own.</summary>
    public Tensor Singles(string name, params ReadOnlySpan<int> dimensions)
    {
        var tensor = Place(new Tensor(name, ElementType.Single, Region.Activations, dimensions));
        var values = new float[tensor.Length];
        Array.Fill(values, Untouched);
        _backend.Upload(tensor, values);
        return tensor;
    }

    public void Write(Tensor tensor, Func<int, float> value)
    {
        var values = new float[tensor.Length];
        for (int i = 0; i < values.Length; i++) values[i] = value(i);
        _backend.Upload(tensor, values);
    }

    public Tensor Integers(string name, params ReadOnlySpan<int> values)
    {
        var tensor = Place(new Tensor(name, ElementType.Int32, Region.Activations, values.Length));
        _backend.Upload(tensor, values);
        return tensor;
    }

    public void Execute(Kernel kernel) => _backend.Bind(kernel)();

    public float[] Read(Tensor tensor)
    {
        var values = new float[tensor.Length];
        _backend.Download(tensor, values);
        return values;
    }

    public void Check(double[] expected, Tensor actual, int operations, string what) =>
        Tolerance.AssertClose(expected, Read(actual), _backend.Precision, roundings: 1, operations, what);

    public void Dispose() => _backend.Dispose();

    private Tensor Place(Tensor tensor)
    {
        tensor.ArenaOffset = _end;
        _end = (_end + tensor.Length * 4L + 255) & ~255L;
        Assert.IsLessThan(Capacity, _end);
        return tensor;
    }
}
