namespace Microsoft.ML.MixedPrecision;

internal sealed unsafe partial class ScoreMask
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        float* token = cpu.Pointer<float>(tokens);
        T* score = cpu.Pointer<T>(scores);
        T least = TStorage.Store(Least);
        int length = Length;
        return cpu.For(scores.Dimensions[0], grain: 1, (first, end) =>
        {
            for (long head = first; head < end; head++)
            {
                var keys = new ReadOnlySpan<float>(token + head / heads * length, length);
                int none = keys.IndexOf(0f);
                if (none < 0) continue;
                T* row = score + head * length * length;
                for (int query = 0; query < length; query++, row += length)
                    for (int key = none; key < length; key++)
                        if (keys[key] == 0f) row[key] = least;
            }
        });
    }
}
