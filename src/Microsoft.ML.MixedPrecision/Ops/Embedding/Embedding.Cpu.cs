using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.MixedPrecision;

internal sealed unsafe partial class EmbeddingForward
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        float* token = cpu.Pointer<float>(tokens);
        T* from = cpu.Pointer<T>(table), to = cpu.Pointer<T>(y);
        int features = Features;
        return cpu.For(tokens.Length, grain: Math.Max(1, CpuBackend.ElementGrain / features), (first, end) =>
        {
            for (long i = first; i < end; i++) new ReadOnlySpan<T>(from + (long)token[i] * features, features).CopyTo(new Span<T>(to + i * features, features));
        });
    }
}

internal sealed unsafe partial class TokenOrder
{
    /// <summary>A counting sort, on one thread: 8,192 positions of 20,000 tokens take 20 us.</summary>
    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        float* token = cpu.Pointer<float>(tokens);
        int* sorted = cpu.Pointer<int>(order), start = cpu.Pointer<int>(starts);
        int count = (int)tokens.Length, vocabulary = (int)starts.Length - 1;
        return Sort;

        void Sort()
        {
            var ends = new Span<int>(start + 1, vocabulary);
            ends.Clear();
            start[0] = 0;
            // First the count of each token lies where its end will, then its start, which moves to the end as positions come.
            for (int i = 0; i < count; i++) ends[(int)token[i]]++;
            int before = 0;
            foreach (ref int end in ends) (end, before) = (before, before + end);
            for (int i = 0; i < count; i++) sorted[ends[(int)token[i]]++] = i;
        }
    }
}

internal sealed unsafe partial class EmbeddingGradient
{
    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        int* sorted = cpu.Pointer<int>(order), start = cpu.Pointer<int>(starts);
        T* gradient = cpu.Pointer<T>(dy), sums = cpu.Pointer<T>(dTable);
        int vocabulary = Vocabulary, features = Features;
        // A token's place is behind all rows and all positions of those before it, so that equal parts are equal work: common words have small numbers.
        return cpu.For(vocabulary + order.Length, grain: Math.Max(1, CpuBackend.ElementGrain / features), Rows);

        void Rows(long first, long end)
        {
            int low = 0, high = vocabulary;
            while (low < high)
            {
                int middle = (low + high) >> 1;
                if (middle + start[middle] < first) low = middle + 1;
                else high = middle;
            }
            for (int token = low; token < vocabulary && token + start[token] < end; token++)
            {
                T* row = sums + (long)token * features;
                if (token == 0 || start[token] == start[token + 1]) new Span<T>(row, features).Clear();
                else Sum(row, start[token], start[token + 1]);
            }
        }

        void Sum(T* row, int first, int end)
        {
            for (int c = 0; c < features; c += CpuVector.Width)
            {
                int some = Math.Min(CpuVector.Width, features - c), run = first;
                var sum = Vector512<float>.Zero;
                for (; run <= end - Run; run += Run) sum += SumOf(run, run + Run, c, some, Vector512<float>.Zero);
                sum = SumOf(run, end, c, some, sum);
                if (some == CpuVector.Width) TStorage.Store16(sum, row + c);
                else CpuVector.Store<T, TStorage>(sum, row + c, some);
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        Vector512<float> SumOf(int first, int end, int c, int some, Vector512<float> sum)
        {
            for (int i = first; i < end; i++)
            {
                T* from = gradient + (long)sorted[i] * features + c;
                sum += some == CpuVector.Width ? TStorage.Load16(from) : CpuVector.Load<T, TStorage>(from, some);
            }
            return sum;
        }
    }
}
