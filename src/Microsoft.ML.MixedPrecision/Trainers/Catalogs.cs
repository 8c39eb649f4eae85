using System.Runtime.CompilerServices;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// What ML.NET keeps to itself of a catalog and of an environment. The only file of the trainers that reaches it; a contract
/// test calls each member.
/// </summary>
internal static class Catalogs
{
    private const string Internal = "Microsoft.ML.Runtime.IHostEnvironmentInternal, Microsoft.ML.Core";

    /// <summary>The environment of <c>mlContext.SomeTask.Trainers</c>: it logs to that <see cref="MLContext"/>.</summary>
    public static IHostEnvironment EnvironmentOf(TrainCatalogBase.CatalogInstantiatorBase trainers) => Environment(Owner(trainers));

    /// <summary>The seed that the <see cref="MLContext"/> was made with.</summary>
    [UnsafeAccessor(UnsafeAccessorKind.Method, Name = "get_Seed")]
    public static extern int? Seed([UnsafeAccessorType(Internal)] object environment);

    [UnsafeAccessor(UnsafeAccessorKind.Method, Name = "get_GpuDeviceId")]
    public static extern int? GpuDeviceId([UnsafeAccessorType(Internal)] object environment);

    [UnsafeAccessor(UnsafeAccessorKind.Method, Name = "get_FallbackToCpu")]
    public static extern bool FallbackToCpu([UnsafeAccessorType(Internal)] object environment);

    [UnsafeAccessor(UnsafeAccessorKind.Method, Name = "get_Owner")]
    private static extern TrainCatalogBase Owner(TrainCatalogBase.CatalogInstantiatorBase trainers);

    [UnsafeAccessor(UnsafeAccessorKind.Method, Name = "get_Environment")]
    private static extern IHostEnvironment Environment(TrainCatalogBase catalog);
}
