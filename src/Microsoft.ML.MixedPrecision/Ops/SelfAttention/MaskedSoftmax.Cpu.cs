namespace Microsoft.ML.MixedPrecision;

internal sealed unsafe partial class MaskedSoftmax
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        float* token = tokens is null ? null : cpu.Pointer<float>(tokens);
        T* score = cpu.Pointer<T>(scores), weight = cpu.Pointer<T>(weights);
        T unseen = TStorage.Store(float.NegativeInfinity);
        int length = Length;
        return cpu.For(scores.Dimensions[0], grain: 1, (first, end) =>
        {
            for (long head = first; head < end; head++)
            {
                T* from = score + head * length * length, to = weight + head * length * length;
                int blind = token == null ? 0 : MaskNone(from, new(token + head / heads * length, length));
                if (causal) MaskFuture(from);
                new Span<T>(to, blind * length).Clear();
                SoftmaxRows.Softmax<T, TStorage>(from, to, blind, length, length);
            }
        });

        // Returns how many queries see no key: those before the first one, or all where there is none.
        int MaskNone(T* row, ReadOnlySpan<float> keys)
        {
            int none = keys.IndexOf(0f), some = keys.IndexOfAnyExcept(0f);
            if (none < 0) return 0;
            if (some < 0) return length;
            for (int query = 0; query < length; query++, row += length)
                for (int key = none; key < length; key++)
                    if (keys[key] == 0f) row[key] = unseen;
            return causal ? some : 0;
        }

        void MaskFuture(T* row)
        {
            for (int query = 0; query < length; query++, row += length) new Span<T>(row + query + 1, length - query - 1).Fill(unseen);
        }
    }
}
