using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.MixedPrecision;

/// <summary>What happens to finished sums, a vector of 16 columns at a time.</summary>
internal interface IMap
{
    /// <summary>What the map knows of <paramref name="count"/> columns, 1 to 16: made once for all rows of a tile.</summary>
    Vector512<float> OfColumns(int column, int count);

    Vector512<float> Apply(Vector512<float> sum, Vector512<float> ofColumns);
}

internal readonly struct Plain : IMap
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public Vector512<float> OfColumns(int column, int count) => default;
    [MethodImpl(MethodImplOptions.AggressiveInlining)] public Vector512<float> Apply(Vector512<float> sum, Vector512<float> ofColumns) => sum;
}

/// <summary>Adds a bias in working storage, one per column.</summary>
internal readonly unsafe struct Bias<T, TStorage>(T* bias) : IMap
    where T : unmanaged
    where TStorage : struct, ICpuStorage<T>
{
    private readonly T* _bias = bias;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Vector512<float> OfColumns(int column, int count) =>
        count == CpuVector.Width ? TStorage.Load16(_bias + column) : CpuVector.Load<T, TStorage>(_bias + column, count);

    [MethodImpl(MethodImplOptions.AggressiveInlining)] public Vector512<float> Apply(Vector512<float> sum, Vector512<float> ofColumns) => sum + ofColumns;
}

/// <summary>Where the results go.</summary>
internal unsafe interface ISink
{
    void Store(Vector512<float> value, int row, int column);
    /// <summary>The first count elements only.</summary>
    void Store(Vector512<float> value, int row, int column, int count);

    /// <summary>A tile of finished sums, <paramref name="pitch"/> floats a row, by way of the map.</summary>
    void Store<TMap>(float* tile, int pitch, int row, int column, int rows, int columns, TMap map) where TMap : unmanaged, IMap;
}

/// <summary>Rows of working storage, <paramref name="pitch"/> elements apart.</summary>
/// <param name="data">The tensor's first element: what follows counts places from there.</param>
/// <param name="start">The first that is stored.</param>
internal readonly unsafe struct ToRows<T, TStorage, TElement>(T* data, long start, int pitch, TElement element) : ISink
    where T : unmanaged
    where TStorage : struct, ICpuStorage<T>
    where TElement : unmanaged, ICpuElement
{
    private readonly T* _data = data;
    private readonly long _start = start;
    private readonly int _pitch = pitch;
    private readonly TElement _element = element;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Store(Vector512<float> value, int row, int column)
    {
        long place = Place(row, column);
        TStorage.Store16(_element.Apply(value, place), _data + place);
    }

    public void Store(Vector512<float> value, int row, int column, int count)
    {
        long place = Place(row, column);
        CpuVector.Store<T, TStorage>(_element.Apply(value, place, count), _data + place, count);
    }

    /// <summary>Sums that are stored as they are (weight gradients: one for each two FMAs a row of a small batch) go many at a time.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Store<TMap>(float* tile, int pitch, int row, int column, int rows, int columns, TMap map) where TMap : unmanaged, IMap
    {
        if (typeof(TMap) == typeof(Plain) && typeof(TElement) == typeof(Unchanged) && columns % CpuVector.Width == 0)
            TStorage.StoreLines(tile, pitch, rows, _data + Place(row, column), _pitch, columns);
        else
            ByElement.Store(tile, pitch, row, column, rows, columns, map, this);
    }

    /// <summary>The same rows some elements further on.</summary>
    public ToRows<T, TStorage, TElement> At(long further) => new(_data, _start + further, _pitch, _element);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private long Place(int row, int column) => _start + (long)row * _pitch + column;
}

/// <summary>Columns of working storage, <paramref name="pitch"/> elements apart: the transpose of the result.</summary>
internal readonly unsafe struct ToColumns<T, TStorage>(T* data, int pitch) : ISink
    where T : unmanaged
    where TStorage : struct, ICpuStorage<T>
{
    private readonly T* _data = data;
    private readonly int _pitch = pitch;

    public void Store(Vector512<float> value, int row, int column) => Store(value, row, column, CpuVector.Width);

    public void Store(Vector512<float> value, int row, int column, int count) => CpuVector.Store<T, TStorage>(value, _data + (long)column * _pitch + row, count, _pitch);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Store<TMap>(float* tile, int pitch, int row, int column, int rows, int columns, TMap map) where TMap : unmanaged, IMap =>
        ByElement.Store(tile, pitch, row, column, rows, columns, map, this);
}

/// <summary>Each row goes to one pixel of the coarse grid of an <see cref="InputClass"/> in an NHWC image.</summary>
/// <param name="data">As in <see cref="ToRows{T, TStorage, TElement}"/>.</param>
/// <param name="start">Where the product's C begins.</param>
internal readonly unsafe struct ToGrid<T, TStorage, TElement>(T* data, long start, int pitch, TElement element, Conv2dGeometry g, InputClass rows, InputClass columns) : ISink
    where T : unmanaged
    where TStorage : struct, ICpuStorage<T>
    where TElement : unmanaged, ICpuElement
{
    private readonly T* _data = data;
    private readonly TElement _element = element;
    private readonly long _first = start + ((long)rows.First * g.Width + columns.First) * pitch;
    private readonly uint _height = (uint)rows.Pixels, _width = (uint)columns.Pixels;
    private readonly long _image = (long)g.Height * g.Width * pitch, _down = (long)g.Window.Stride.Height * g.Width * pitch, _right = (long)g.Window.Stride.Width * pitch;

    public void Store(Vector512<float> value, int row, int column)
    {
        long place = Pixel(row) + column;
        TStorage.Store16(_element.Apply(value, place), _data + place);
    }

    public void Store(Vector512<float> value, int row, int column, int count)
    {
        long place = Pixel(row) + column;
        CpuVector.Store<T, TStorage>(_element.Apply(value, place, count), _data + place, count);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Store<TMap>(float* tile, int pitch, int row, int column, int rows, int columns, TMap map) where TMap : unmanaged, IMap =>
        ByElement.Store(tile, pitch, row, column, rows, columns, map, this);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private long Pixel(int row)
    {
        uint line = (uint)row / _width, x = (uint)row - line * _width, n = line / _height, y = line - n * _height;
        return _first + n * _image + y * _down + x * _right;
    }
}

internal static unsafe class ByElement
{
    /// <summary>A tile's sums to a sink, sixteen after sixteen.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Store<TMap, TSink>(float* tile, int pitch, int row, int column, int rows, int columns, TMap map, TSink sink)
        where TMap : unmanaged, IMap
        where TSink : unmanaged, ISink
    {
        for (int j = 0; j < columns; j += CpuVector.Width)
        {
            int count = Math.Min(CpuVector.Width, columns - j);
            var ofColumns = map.OfColumns(column + j, count);
            float* sums = tile + j;
            if (count == CpuVector.Width)
            {
                for (int i = 0; i < rows; i++, sums += pitch) sink.Store(map.Apply(Vector512.Load(sums), ofColumns), row + i, column + j);
            }
            else
            {
                for (int i = 0; i < rows; i++, sums += pitch) sink.Store(map.Apply(Vector512.Load(sums), ofColumns), row + i, column + j, count);
            }
        }
    }
}
