using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.MixedPrecision;

internal sealed unsafe partial class ColumnSum
{
    public override Action<long, long> SumParts<T, TStorage>(CpuBackend cpu)
    {
        T* x = cpu.Pointer<T>(_x);
        float* parts = cpu.Pointer<float>(_parts);
        return Sum;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Sum(long first, long end)
        {
            for (long part = first; part < end; part++)
            {
                float* sums = parts + part * _columns;
                int row = (int)part * ChannelParts.RowsPerPart, last = Math.Min(_rows, row + ChannelParts.RowsPerPart);
                int c = 0;
                for (; c <= _columns - CpuVector.Width; c += CpuVector.Width)
                {
                    var sum = Vector512<float>.Zero;
                    for (int r = row; r < last; r++) sum += TStorage.Load16(x + (long)r * _columns + c);
                    sum.Store(sums + c);
                }
                if (c == _columns) continue;
                var tail = Vector512<float>.Zero; // beyond the columns rubbish, which is not stored
                for (int r = row; r < last; r++) tail += TStorage.Load16(x + (long)r * _columns + c);
                CpuVector.Store<float, CpuSingleStorage>(tail, sums + c, _columns - c);
            }
        }
    }

    public override Action BindCpu<T, TStorage>(CpuBackend cpu)
    {
        T* y = cpu.Pointer<T>(_y);
        float* parts = cpu.Pointer<float>(_parts);
        int count = ChannelParts.Count(_x);
        return cpu.AfterParts<T, TStorage>(this, () =>
        {
            for (int part = 1; part < count; part++)
                for (int c = 0; c < _columns; c++) parts[c] += parts[(long)part * _columns + c];
            TStorage.Store(parts, y, _columns);
        });
    }
}
