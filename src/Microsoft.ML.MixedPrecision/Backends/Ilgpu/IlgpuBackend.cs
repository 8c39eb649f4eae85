using System.Reflection;
using System.Runtime.CompilerServices;
using ILGPU;
using ILGPU.Runtime;
using ILGPU.Runtime.CPU;
using Half = ILGPU.Half;

namespace Microsoft.ML.MixedPrecision;

/// <summary>How half precision is held on a device.</summary>
internal enum HalfFormat
{
    /// <summary>By the device's FP16 type where it has one, else as bits.</summary>
    Auto,

    /// <summary>By the device's FP16 type.</summary>
    Native,

    /// <summary>As 16-bit integers that kernels convert themselves.</summary>
    Bits,
}

/// <summary>A kernel's method, and whether it groups its threads itself.</summary>
/// <param name="Limits">What the assembler is told of the threads of a group, and of the groups that are to share a multiprocessor; empty for nothing.</param>
internal readonly record struct BoundKernel(MethodInfo Method, bool Grouped, KernelSpecialization Limits = default);

/// <summary>
/// One plan's memory on a GPU, and launches on one stream of it. A launch returns at once; the device runs them in order.
/// <para>
/// How an operation binds its kernels (the <c>&lt;Op&gt;.Gpu.cs</c> beside it): declare an <c>internal readonly record struct
/// Arguments&lt;T&gt;</c> of <see cref="ArrayView{T}"/>s and scalars, a static kernel, and let BindGpu return
/// <c>gpu.For(y.Length, Run&lt;T, TStorage&gt;, new Arguments&lt;T&gt;(gpu.View&lt;T&gt;(x), gpu.View&lt;T&gt;(y)))</c>.
/// Kernels see no managed objects and no <see langword="bool"/> fields, convert through TStorage and compute in float.
/// Elements by eights: <see cref="Map"/>. Sums over many items: <see cref="Reduce"/>. A kernel with shared memory and barriers groups itself: <see cref="ForGroups"/>.
/// </para>
/// </summary>
internal sealed unsafe partial class IlgpuBackend : Backend
{
    private readonly IlgpuDevice _device;
    private readonly AcceleratorStream _stream;
    private readonly bool _tensorCores;
    private readonly Dictionary<Region, ArrayView<byte>> _arenas = [];
    private readonly Dictionary<Tensor, ArrayView<byte>> _placed = []; // tensors in no region
    private readonly Dictionary<Tensor, HostStaging> _staging = [];
    private readonly HashSet<BoundKernel> _kernels = [];
    private readonly List<MemoryBuffer1D<byte, Stride1D.Dense>> _memory = [];
    private readonly List<MemoryRange> _scratch = []; // of the kernel that is being bound
    private readonly Dictionary<Action, MemoryRange[]> _scratchOf = [];
    private ArrayView<float>? _partialSums;
    private const int PartialSumsAlignment = 64; // floats: 256 bytes, as everything else
    private long _partialSumsEnd;

    /// <param name="precision">The working storage.</param>
    /// <param name="half">How half precision is held. <see cref="HalfFormat.Native"/> needs a device that has FP16.</param>
    /// <param name="tensorCores">Whether products of halves run on tensor cores; by default where the device has them. The simulator can do so too, for tests.</param>
    /// <param name="warpGroups">Whether they do so in groups of four warps; by default where the device can. The simulator can, too.</param>
    public IlgpuBackend(Precision precision, IlgpuDevice device, HalfFormat half = HalfFormat.Auto, bool? tensorCores = null, bool? warpGroups = null) : base(precision)
    {
        _device = device;
        if (half == HalfFormat.Native && !device.HasHalf)
            throw new ArgumentException($"{device.Name} has no FP16 type; use {nameof(HalfFormat)}.{nameof(HalfFormat.Bits)}.", nameof(half));
        Format = half != HalfFormat.Auto ? half : device.HasHalf ? HalfFormat.Native : HalfFormat.Bits;
        _tensorCores = (tensorCores ?? device.HasTensorCores) && precision == Precision.Mixed && Format == HalfFormat.Native;
        HasWarpGroups = _tensorCores && (warpGroups ?? device.HasWarpGroups);
        _stream = device.Accelerator.CreateStream();
    }

    public override string Device => _device.Name;

    /// <summary>How half precision is held here; never <see cref="HalfFormat.Auto"/>.</summary>
    public HalfFormat Format { get; }

    /// <summary>Whether products whose operands come in whole chunks are <see cref="WarpGroupProduct"/>s.</summary>
    public bool HasWarpGroups { get; }

    /// <summary>Every kernel bound so far: what checks of the generated code compile.</summary>
    public IReadOnlyCollection<BoundKernel> Kernels => _kernels;

    public override long? FreeBytes => _device.FreeBytes;

    /// <summary>Those of <see cref="PartialSums"/>: 32 MB with tensor cores, else 12 MB.</summary>
    public override long BytesBesidePlan => sizeof(float) * (_tensorCores ? TensorPlan.MostPartialSums : (long)PortablePlan.MostPartialSums);

    /// <summary>One allocation for the whole plan, its regions one after the other.</summary>
    public override void Allocate(IReadOnlyDictionary<Region, long> bytes)
    {
        ArrayView<byte> plan = AllocateBytes(bytes.Values.Sum(ArenaBytes)).View;
        plan.MemSetToZero(_stream);
        _stream.Synchronize();
        long start = 0;
        foreach (var (region, size) in bytes)
        {
            _arenas.Add(region, plan.SubView(start, ArenaBytes(size)));
            start += ArenaBytes(size);
        }
    }

    /// <summary>Drivers align an allocation to 256 bytes at least, which is what the planner assumes. The last vector of a tensor is whole.</summary>
    private static long ArenaBytes(long size) => Math.Max((size + MemoryPlanner.Alignment - 1) / MemoryPlanner.Alignment, 1) * MemoryPlanner.Alignment;

    /// <summary>Memory that is given back when the backend is disposed.</summary>
    /// <exception cref="DeviceMemoryException">There is not so much.</exception>
    public MemoryBuffer1D<byte, Stride1D.Dense> AllocateBytes(long bytes)
    {
        _device.Accelerator.Bind();
        long free = _device.FreeBytes;
        try
        {
            if (bytes > free) throw new DeviceMemoryException(Device, bytes, free, null);
            var memory = _device.Accelerator.Allocate1D<byte>(bytes);
            _device.Taken(bytes);
            _memory.Add(memory);
            return memory;
        }
        catch (Exception e) when (e is AcceleratorException or OutOfMemoryException)
        {
            throw new DeviceMemoryException(Device, bytes, free, e);
        }
    }

    /// <summary>Gives a tensor that the plan does not know memory of its own, until the backend is disposed.</summary>
    /// <exception cref="DeviceMemoryException">There is not so much.</exception>
    public void Place(Tensor tensor) => _placed.Add(tensor, AllocateBytes(tensor.Length * SizeOf(tensor.Element)).View);

    /// <summary>Its part of the plan's one allocation stays with the plan: what needs room after a training lies on the host.</summary>
    public override void Free(Region region)
    {
        if (_arenas.Remove(region)) Synchronize();
    }

    /// <summary>A tensor's elements on the device. Valid until the backend is disposed.</summary>
    public ArrayView<T> View<T>(Tensor tensor) where T : unmanaged => View<T>(tensor, tensor.Length);

    private ArrayView<T> View<T>(Tensor tensor, long length) where T : unmanaged
    {
        int size = Unsafe.SizeOf<T>();
        if (size != SizeOf(tensor.Element))
            throw new ArgumentException($"{tensor} has {SizeOf(tensor.Element)}-byte elements, and {typeof(T).Name} has {size}.");
        return Bytes(tensor, length).Cast<T>();
    }

    private ArrayView<byte> Bytes(Tensor tensor, long length)
    {
        int size = SizeOf(tensor.Element);
        return tensor.ArenaOffset >= 0
            ? _arenas[tensor.Region].SubView(tensor.ArenaOffset + tensor.Start * size, length * size)
            : _placed[tensor.Owner].SubView(tensor.Start * size, length * size);
    }

    /// <summary>Bytes of the device: of the plan, of a tensor that has memory of its own, or of a kernel's <see cref="ScratchOf"/>. For checks of what kernels touch.</summary>
    public ArrayView<byte> Bytes(MemoryRange range) => (range.Memory switch
    {
        Region region => _arenas[region],
        Tensor tensor => _placed[tensor],
        _ => PartialSums(0).Cast<byte>(),
    }).SubView(range.Start, range.End - range.Start);

    public override Action Bind(Kernel kernel)
    {
        _scratch.Clear();
        var run = BindToDevice(kernel);
        if (_scratch.Count > 0) _scratchOf.Add(run, [.. _scratch]);
        return run;
    }

    private Action BindToDevice(Kernel kernel) => (Precision, Format, _device.IsSimulator) switch
    {
        (Precision.Single, _, _) => kernel.BindGpu<float, SingleStorage>(this),
        (_, HalfFormat.Bits, _) => kernel.BindGpu<ushort, HalfBitsStorage>(this),
        (_, _, true) => kernel.BindGpu<Half, SimulatedHalfStorage>(this),
        _ when _device.IsCuda => kernel.BindGpu<Half, CudaHalfStorage>(this),
        _ => kernel.BindGpu<Half, HalfStorage>(this),
    };

    /// <summary>An action that runs <paramref name="kernel"/> for each of <paramref name="count"/> items, grouped as suits the device.</summary>
    /// <param name="kernel">Static; called with the item's index.</param>
    /// <param name="arguments">Views and scalars, fixed from here on.</param>
    public Action For<TArguments>(long count, Action<Index1D, TArguments> kernel, TArguments arguments) where TArguments : struct
    {
        _kernels.Add(new(kernel.Method, Grouped: false));
        var launch = _device.Load(kernel);
        var (stream, extent) = (_stream, new Index1D(checked((int)count)));
        return extent.Size == 0 ? () => { } : () => launch(stream, extent, arguments);
    }

    /// <summary>
    /// An action that runs <paramref name="kernel"/> in groups of threads that share memory and meet at barriers. Every thread
    /// of every group runs: the kernel itself leaves out what lies beyond the data, and no thread returns before a barrier.
    /// </summary>
    /// <param name="groups">The grid, in groups.</param>
    /// <param name="threads">The threads of one group; devices differ in how many they allow, and 64 is safe.</param>
    /// <param name="resident">Groups that must be able to share a multiprocessor's registers; 0 leaves it to the assembler.</param>
    /// <param name="sharedBytes">Of shared memory whose size the launch decides; always the same for a kernel.</param>
    public Action ForGroups<TArguments>(Index3D groups, Index3D threads, Action<TArguments> kernel, TArguments arguments, int resident = 0, int sharedBytes = 0) where TArguments : struct
    {
        if (threads.Size > _device.MostThreads)
        {
            throw new NotSupportedException(
                $"Kernel '{kernel.Method.DeclaringType?.Name}.{kernel.Method.Name}': expected a device with groups of {threads.Size} threads, but {Device} allows {_device.MostThreads}; train on another device.");
        }
        var limits = resident > 0 ? new KernelSpecialization(threads.Size, resident) : KernelSpecialization.Empty;
        _kernels.Add(new(kernel.Method, Grouped: true, limits));
        var launch = _device.Load(kernel, threads.Size, limits, sharedBytes);
        var stream = _stream;
        var config = sharedBytes == 0 ? new KernelConfig(groups, threads) : new KernelConfig(groups, threads, SharedMemoryConfig.RequestDynamic<byte>(sharedBytes));
        return () => launch(stream, config, arguments);
    }

    /// <summary>
    /// Where a product keeps the sums of parts of k until they are added: a piece of <see cref="BytesBesidePlan"/>, which are there from the first product on. Pieces follow each other and
    /// begin again at the start, so that products one after the other can run at the same time where there is room for both.
    /// </summary>
    /// <param name="floats">0 for a product that needs none.</param>
    public ArrayView<float> PartialSums(long floats)
    {
        var all = _partialSums ??= ((ArrayView<byte>)AllocateBytes(BytesBesidePlan).View).Cast<float>();
        if (floats == 0) return all;
        if (_partialSumsEnd + floats > all.Length) _partialSumsEnd = 0;
        var (start, end) = (_partialSumsEnd, _partialSumsEnd + floats);
        _scratch.Add(new(this, start * sizeof(float), end * sizeof(float)));
        _partialSumsEnd = (end + PartialSumsAlignment - 1) / PartialSumsAlignment * PartialSumsAlignment;
        return all.SubView(start, floats);
    }

    /// <summary>Products of one launch on tensor cores: CUDA's limit for the grid's Z.</summary>
    private const int MostProducts = 65_535;

    /// <summary>C = A * B + bias, on tensor cores or through <see cref="PortableProduct"/>.</summary>
    public Action Gemm<T, TStorage>(MatrixProduct product) where T : unmanaged where TStorage : struct, IStorage<T>
    {
        foreach (var tensor in (ReadOnlySpan<Tensor>)[product.A.Source, product.B.Source, product.C])
        {
            if (tensor.Length > int.MaxValue)
                throw new ArgumentException($"'{product.Name}': expected at most {int.MaxValue} elements in '{tensor.Name}', got {tensor.Length}; use a smaller batch.");
        }
        return _tensorCores && product.Count <= MostProducts
            ? TensorBinder.Bind<T, TStorage>(this, product, TensorBinder.PlanOf(this, product))
            : PortableProduct.Bind<T, TStorage>(this, product, PortablePlan.Of(product));
    }
}
