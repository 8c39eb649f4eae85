using System.Collections.Concurrent;
using System.Reflection;
using ILGPU;
using ILGPU.Algorithms;
using ILGPU.Backends.PTX;
using ILGPU.Runtime;
using ILGPU.Runtime.CPU;
using ILGPU.Runtime.Cuda;
using ILGPU.Runtime.OpenCL;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// A device opened by ILGPU, with every kernel that was ever compiled for it. There is one for each device of the machine,
/// for as long as the process lives: a second Fit compiles nothing, as with CUDA's own primary context. Not sealed: tests derive
/// a device that runs the PTX of kernels in an interpreter.
/// </summary>
internal class IlgpuDevice
{
    /// <summary>
    /// The simulator runs every thread of a group as an OS thread, and wakes all that it ever had for each launch: about 2 ms
    /// for 64 of them. So kernels that group themselves have a simulator of 2 warps of 32, or of 8 where their groups are larger, and all others one of 2 threads.
    /// </summary>
    private static readonly CPUDevice GroupSimulator = new(32, 2, numMultiprocessors: 1), LargeGroupSimulator = new(32, 8, numMultiprocessors: 1), ItemSimulator = new(2, 1, numMultiprocessors: 1);

    /// <summary>PTX 6.3 is the first that knows sm_75, the oldest GPU with tensor cores that this library counts on.</summary>
    private static readonly CudaInstructionSet OldestInstructions = CudaInstructionSet.ISA_63;

    /// <summary>
    /// Threads of a group of a kernel that leaves the grouping to the device. ILGPU would take as many as fit, up to 1,024: then the 8,192 threads that normalize 4,096 x 64
    /// elements are work for 8 of an H200's 132 multiprocessors.
    /// </summary>
    private const int ItemThreads = 128;

    private static readonly ConcurrentDictionary<(AcceleratorType Type, int Ordinal), Lazy<IlgpuDevice>> Opened = new();

    private readonly ConcurrentDictionary<(MethodInfo Method, bool LargeGroups), Lazy<Delegate>> _launchers = new();

    /// <summary>What runs kernels that ILGPU groups by itself, and those of more than 64 threads. The simulators share their memory: it is the host's.</summary>
    private readonly Accelerator _forItems;
    private readonly Lazy<Accelerator> _forLargeGroups;

    private readonly long _memory;
    private long _taken; // by this process's plans and data

    protected IlgpuDevice(Accelerator accelerator, Accelerator forItems, Lazy<Accelerator> forLargeGroups, string name, long? memory = null)
    {
        _memory = memory ?? accelerator.MemorySize;
        Accelerator = accelerator;
        _forItems = forItems;
        _forLargeGroups = forLargeGroups;
        Name = name;
    }

    /// <summary>ILGPU's CPU accelerator: correct and slow (about 1 us per element), for tests only.</summary>
    public static IlgpuDevice Simulator => Open(AcceleratorType.CPU, 0);

    public Accelerator Accelerator { get; }

    /// <summary>The device, in words: "CUDA device 0: NVIDIA H100 80GB HBM3 (SM_90)".</summary>
    public string Name { get; }

    /// <summary>Bytes that nothing takes. Only CUDA tells what other programs have; elsewhere it is what this process has not taken.</summary>
    public long FreeBytes => Math.Min(_memory - Interlocked.Read(ref _taken), Accelerator is CudaAccelerator cuda ? cuda.GetFreeMemory() : long.MaxValue);

    /// <summary>Counts what is allocated, and, negative, what is given back.</summary>
    public void Taken(long bytes) => Interlocked.Add(ref _taken, bytes);

    /// <summary>Forgets the device, because it was lost: the next opening makes a context of its own.</summary>
    public void Forget()
    {
        foreach (var (key, opened) in Opened)
            if (opened.IsValueCreated && opened.Value == this) Opened.TryRemove(new(key, opened));
    }

    /// <summary>The same device with less memory: for tests of what does not fit.</summary>
    public IlgpuDevice WithMemory(long bytes) => new(Accelerator, _forItems, _forLargeGroups, Name, bytes);

    public bool IsCuda => Accelerator.AcceleratorType == AcceleratorType.Cuda;

    public bool IsSimulator => Accelerator.AcceleratorType == AcceleratorType.CPU;

    /// <summary>Whether kernels may use the FP16 type: always on CUDA and the simulator, with cl_khr_fp16 on OpenCL.</summary>
    public bool HasHalf => Accelerator.Capabilities is not CLCapabilityContext opencl || opencl.Float16;

    /// <summary>Whether products run on tensor cores: from Turing (sm_75) on, with a driver that knows PTX 6.5, which has their instructions.</summary>
    public virtual bool HasTensorCores => Accelerator is CudaAccelerator cuda && cuda.Architecture >= CudaArchitecture.SM_75 && cuda.InstructionSet >= CudaInstructionSet.ISA_65;

    /// <summary>
    /// Whether products run in warp groups (wgmma): on Hopper (sm_90) and no other, since what comes after it has other instructions, with a driver that knows PTX 8.0.
    /// </summary>
    public virtual bool HasWarpGroups => Accelerator is CudaAccelerator cuda && cuda.Architecture == CudaArchitecture.SM_90 && cuda.InstructionSet >= CudaInstructionSet.ISA_80;

    /// <summary>The most threads of a group.</summary>
    public virtual int MostThreads => IsSimulator ? LargeGroupSimulator.MaxNumThreadsPerGroup : Accelerator.MaxNumThreadsPerGroup;

    /// <summary>The devices of a kind that ILGPU can open here, and why there are none.</summary>
    public static DeviceSurvey Survey(AcceleratorType type)
    {
        using var context = CreateContext(type);
        var devices = Devices(context, type);
        if (devices.Length > 0) return new([.. devices.Select(d => d.Name)], "");
        using var all = CreateContext(type, evenUnusable: true);
        return new([], DriverLibrary.WhyNone(type, Devices(all, type)));
    }

    /// <summary>The device; opened at the first call, the same object at all later ones.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is no such device.</exception>
    public static IlgpuDevice Open(AcceleratorType type, int ordinal)
    {
        var lazy = Opened.GetOrAdd((type, ordinal), static key => new(() => key.Type == AcceleratorType.Cuda ? CreateCuda(key.Ordinal) : Create(key.Type, key.Ordinal)));
        try
        {
            return lazy.Value;
        }
        catch
        {
            Opened.TryRemove(new((type, ordinal), lazy)); // a driver may be installed, or a device plugged in, before the next try
            throw;
        }
    }

    /// <summary>
    /// The launcher of a 1-D kernel that ILGPU groups by itself; compiled at the first call. It takes the stream, the number of
    /// items and the arguments, and launches without allocating. ILGPU emits it into an assembly of its own, which sees this
    /// one's internals: the arguments' type must be internal at least, not private.
    /// </summary>
    public virtual Action<AcceleratorStream, Index1D, TArguments> Load<TArguments>(Action<Index1D, TArguments> kernel) where TArguments : struct =>
        (Action<AcceleratorStream, Index1D, TArguments>)Load(kernel.Method, largeGroups: false, method =>
            _forItems.LoadImplicitlyGroupedKernel<Action<AcceleratorStream, Index1D, TArguments>>(method, Math.Min(ItemThreads, _forItems.MaxNumThreadsPerGroup)));

    /// <summary>The launcher of a kernel that groups itself (Group, SharedMemory, barriers); compiled at the first call.</summary>
    /// <param name="kernel">Static.</param>
    /// <param name="threads">Of a group.</param>
    /// <param name="limits">For the assembler; always the same for a kernel.</param>
    /// <param name="sharedBytes">Dynamic shared memory; always the same for a kernel.</param>
    public virtual Action<AcceleratorStream, KernelConfig, TArguments> Load<TArguments>(Action<TArguments> kernel, int threads, KernelSpecialization limits, int sharedBytes) where TArguments : struct
    {
        bool large = threads > Accelerator.MaxNumThreadsPerGroup;
        return (Action<AcceleratorStream, KernelConfig, TArguments>)Load(kernel.Method, large, method => Accelerator is CudaAccelerator cuda
            ? CudaKernels.Load<TArguments>(cuda, method, LimitsFor(cuda.Architecture, limits), sharedBytes)
            : (large ? _forLargeGroups.Value : Accelerator).LoadKernel<Action<AcceleratorStream, KernelConfig, TArguments>>(method, limits));
    }

    /// <summary>The limits that make sense for a GPU: on sm_75 shared memory has no room for a second group of the large tile, and registers would be spilled for nothing.</summary>
    public static KernelSpecialization LimitsFor(CudaArchitecture architecture, KernelSpecialization limits) => architecture >= CudaArchitecture.SM_80 ? limits : KernelSpecialization.Empty;

    /// <summary>Host memory for copies; page-locked on CUDA, which copies it without a detour and without waiting.</summary>
    public CPUMemoryBuffer CreateHostBuffer(long bytes) => Accelerator.AcceleratorType == AcceleratorType.Cuda
        ? CPUMemoryBuffer.CreatePageLocked(Accelerator, bytes, 1)
        : CPUMemoryBuffer.Create(Accelerator, bytes, 1);

    private Delegate Load(MethodInfo method, bool largeGroups, Func<MethodInfo, Delegate> load)
    {
        if (!method.IsStatic)
            throw new ArgumentException($"Kernel '{method.DeclaringType?.Name}.{method.Name}': expected a static method, got one of an instance; pass what it needs in the arguments.");
        return _launchers.GetOrAdd((method, largeGroups), key => new(() => load(key.Method))).Value;
    }

    /// <summary>
    /// A device that loads kernels. ILGPU writes PTX of the newest version that it takes a driver for; a driver that cannot load that one
    /// (an older one behind a newer library, as containers have it) is given older ones, down to what the driver loads.
    /// </summary>
    private static IlgpuDevice CreateCuda(int ordinal)
    {
        CudaInstructionSet? instructions = null;
        AcceleratorException? newestRefused = null;
        while (true)
        {
            var device = Create(AcceleratorType.Cuda, ordinal, instructions);
            var cuda = (CudaAccelerator)device.Accelerator;
            try
            {
                IlgpuBackend.LoadProbe(device);
                return device;
            }
            catch (AcceleratorException e)
            {
                newestRefused ??= e;
                var tried = cuda.InstructionSet;
                var driver = cuda.DriverVersion;
                string name = device.Name;
                device.Accelerator.Context.Dispose();
                var older = PTXCodeGenerator.SupportedInstructionSets.Where(set => set < tried && set >= OldestInstructions).OrderDescending().ToArray();
                if (older.Length == 0)
                {
                    throw new NotSupportedException(
                        $"{name}: its driver (CUDA {driver}) loads no kernel, neither of the PTX version that it should nor of older ones down to {OldestInstructions} ({newestRefused.Message.TrimEnd('.')}); install a newer NVIDIA driver", newestRefused);
                }
                instructions = older[0];
            }
        }
    }

    private static IlgpuDevice Create(AcceleratorType type, int ordinal, CudaInstructionSet? instructions = null)
    {
        var context = CreateContext(type, instructions: instructions);
        try
        {
            var devices = Devices(context, type);
            if (ordinal < 0 || ordinal >= devices.Length)
                throw new ArgumentOutOfRangeException(nameof(ordinal), $"There is no {type} device {ordinal}; {devices.Length} were found.");
            var accelerator = devices[ordinal].CreateAccelerator(context);
            var forItems = type == AcceleratorType.CPU ? ItemSimulator.CreateAccelerator(context) : accelerator;
            var forLargeGroups = new Lazy<Accelerator>(() => type == AcceleratorType.CPU ? LargeGroupSimulator.CreateAccelerator(context) : accelerator);
            return new(accelerator, forItems, forLargeGroups, accelerator switch
            {
                CudaAccelerator cuda => $"CUDA device {ordinal}: {cuda.Name} ({cuda.Architecture})",
                CPUAccelerator => "ILGPU simulator",
                _ => $"{type} device {ordinal}: {accelerator.Name}",
            });
        }
        catch
        {
            context.Dispose();
            throw;
        }
    }

    // A context that finds no device lists a CPU simulator instead.
    private static Device[] Devices(Context context, AcceleratorType type) => [.. context.Devices.Where(d => d.AcceleratorType == type)];

    /// <summary>
    /// How kernels are compiled: the tensor-core instructions known, and at O1. Never O2: that moves loads of shared memory across barriers and
    /// branches uniformly where threads diverge.
    /// </summary>
    public static Context.Builder Configure(Context.Builder builder)
    {
        TensorCorePtx.Register(builder);
        WarpGroupPtx.Register(builder);
        return builder.Optimize(OptimizationLevel.O1).EnableAlgorithms();
    }

    private static Context CreateContext(AcceleratorType type, bool evenUnusable = false, CudaInstructionSet? instructions = null)
    {
        DriverLibrary.Register();
        return Context.Create(builder =>
        {
            Configure(builder);
            switch (type)
            {
                case AcceleratorType.Cuda when evenUnusable: builder.Cuda(_ => true); break;
                case AcceleratorType.Cuda when instructions is not null: builder.Cuda(device => device.InstructionSet = instructions); break;
                case AcceleratorType.Cuda: builder.Cuda(); break;
                case AcceleratorType.OpenCL when evenUnusable: builder.OpenCL(_ => true); break;
                case AcceleratorType.OpenCL: builder.OpenCL(); break;
                default: builder.CPU(GroupSimulator); break;
            }
        });
    }
}
