namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// One lane's share of a 16 x 16 (row x k) tile of halves, the left operand of <see cref="TensorCore.MultiplyAdd"/>. With
/// g = lane / 4 and t = lane % 4 the words hold the pairs (g, 2t), (g + 8, 2t), (g, 2t + 8) and (g + 8, 2t + 8).
/// </summary>
internal readonly record struct LeftFragment(uint W0, uint W1, uint W2, uint W3);

/// <summary>One lane's share of a 16 x 8 (k x column) tile of halves: the pairs (2t, g) and (2t + 8, g), which run along k.</summary>
internal readonly record struct RightFragment(uint W0, uint W1);

/// <summary>Two neighbouring right fragments: the 16 x 16 (k x column) tile that one load of matrices gives.</summary>
internal readonly record struct RightFragments(RightFragment Near, RightFragment Far);

/// <summary>One lane's share of a 16 x 8 tile of FP32 sums: (g, 2t), (g, 2t + 1), (g + 8, 2t) and (g + 8, 2t + 1).</summary>
internal readonly record struct Sums(float C0, float C1, float C2, float C3);
