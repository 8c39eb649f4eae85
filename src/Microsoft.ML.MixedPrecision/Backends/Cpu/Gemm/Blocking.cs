namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// The block sizes of one product on one thread. They decide speed only: an element is one chain of FMAs in the
/// order of k whatever they are.
/// </summary>
internal readonly record struct Blocking(int Rows, int Depth, int Columns, int PackedRows, bool WholeB)
{
    /// <summary>kc: 12 rows of A by 256 floats are 13 KB of the 32 KB L1; B streams past from L2. Constant, for ByRow.Stride.</summary>
    public const int MaxDepth = 256;

    /// <summary>The thread's buffers, in floats: one block of B fills half of L2, all its blocks along k stay packed in L3.</summary>
    public static readonly int BlockB = Cache.L2 / 8, BCapacity = Cache.L2;
    public static readonly int ACapacity = Math.Max(32 * (MaxDepth + 16), Cache.L2 / 16);
    /// <summary>The longest run of a line read at once, however shallow the product; the scratch holds 16 of them.</summary>
    public const int MaxLine = 2016, LineCapacity = 16 * (MaxLine + 32);
    public static readonly int SumCapacity = Cache.L2 / 2;

    /// <param name="m">rows of this thread</param>
    /// <param name="n">columns of this thread</param>
    public static Blocking For(int m, int n, int k, int tileRows, int tileColumns, bool aByRow)
    {
        int Up(int x, int step) => (x + step - 1) / step * step;

        // kc in equal parts: 288 is 144 + 144, not 256 + 32.
        int parts = (k + MaxDepth - 1) / MaxDepth, depth = (k + parts - 1) / parts;

        int columns = Math.Min(Up(n, tileColumns), Math.Max(1, Math.Min(MaxLine, BlockB / depth) / tileColumns) * tileColumns);
        bool wholeB = (long)columns * k <= BCapacity;

        // Sums live in FP32 tiles between the parts of k. If B stays packed, few rows keep them in L2;
        // if B is packed again for every row block, many rows pay for that.
        int rows = parts == 1 ? m : (wholeB ? SumCapacity / 8 : SumCapacity) / columns;
        rows = Math.Min(Up(m, tileRows), Math.Max(1, rows / tileRows) * tileRows);

        // A by rows: one panel at a time, just before use, into L1. A by columns: long runs of rows at once.
        int packed = aByRow ? tileRows : Math.Min(rows, Math.Max(1, Math.Min(MaxLine, ACapacity / depth) / tileRows) * tileRows);
        return new Blocking(rows, depth, columns, packed, wholeB);
    }

    public static class Cache
    {
        /// <summary>Bytes. Read from Linux; 1 MiB elsewhere or if it says nonsense.</summary>
        public static readonly int L2 = Read("/sys/devices/system/cpu/cpu0/cache/index2/size");

        private static int Read(string path)
        {
            const int usual = 1 << 20;
            if (!File.Exists(path)) return usual;
            try
            {
                var text = File.ReadAllText(path).Trim();
                return text.EndsWith('K') && int.TryParse(text[..^1], out int kilobytes) ? Math.Clamp(kilobytes, 256, 4096) * 1024 : usual;
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                return usual; // it decides speed only
            }
        }
    }
}
