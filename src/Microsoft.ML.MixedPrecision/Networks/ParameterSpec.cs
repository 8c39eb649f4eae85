namespace Microsoft.ML.MixedPrecision;

/// <summary>A trainable tensor of an op: how large it is and where training starts.</summary>
/// <param name="Name">"Weight", "Bias": unique within the op.</param>
/// <param name="Initializer">The values before the first step.</param>
/// <param name="Dimensions">Its extents; no batch.</param>
internal sealed record ParameterSpec(string Name, Initializer Initializer, params int[] Dimensions)
{
    public int Length => Dimensions.Aggregate(1, (a, b) => checked(a * b));
}

/// <summary>An FP32 tensor of an op that training changes but no gradient reaches, such as a running mean.</summary>
/// <param name="Name">Unique within the op.</param>
/// <param name="Initial">The value of every element before the first step.</param>
/// <param name="Length">Number of elements.</param>
internal sealed record BufferSpec(string Name, float Initial, int Length);

/// <summary>How a parameter is filled before the first step. Equal seeds give equal values on every device.</summary>
internal abstract record Initializer
{
    /// <summary>Fills a part of a parameter. A value is a function of its place alone, so that parts of any size give the same parameter.</summary>
    /// <param name="values">The part.</param>
    /// <param name="first">The place of its first element within the parameter.</param>
    /// <param name="random">Of the whole parameter.</param>
    public abstract void Fill(Span<float> values, int first, CounterRandom random);

    /// <summary>The same value everywhere.</summary>
    public sealed record Constant(float Value) : Initializer
    {
        public override void Fill(Span<float> values, int first, CounterRandom random) => values.Fill(Value);
    }

    /// <summary>Normal about 0 (Box and Muller, 1958), but for the first <paramref name="Zeros"/> values, which are 0.</summary>
    public sealed record Normal(float Deviation, int Zeros = 0) : Initializer
    {
        public override void Fill(Span<float> values, int first, CounterRandom random)
        {
            for (int i = 0; i < values.Length; i++)
            {
                uint place = 2 * (uint)(first + i);
                float radius = MathF.Sqrt(-2f * MathF.Log(1f - CounterRandom.ToUnit(random.Bits(place)))), angle = MathF.Tau * CounterRandom.ToUnit(random.Bits(place + 1));
                values[i] = first + i < Zeros ? 0f : Deviation * radius * MathF.Cos(angle);
            }
        }
    }

    /// <summary>
    /// Uniform in ±1/sqrt(fan-in): PyTorch's default for the weight and the bias of Linear and Conv2d
    /// (kaiming_uniform with a = sqrt(5)).
    /// </summary>
    public sealed record FanIn(int Inputs) : Initializer
    {
        public override void Fill(Span<float> values, int first, CounterRandom random)
        {
            float bound = 1f / MathF.Sqrt(Inputs);
            for (int i = 0; i < values.Length; i++) values[i] = (2f * CounterRandom.ToUnit(random.Bits((uint)(first + i))) - 1f) * bound;
        }
    }
}
