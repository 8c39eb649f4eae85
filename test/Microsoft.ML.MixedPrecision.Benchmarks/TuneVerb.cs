using System.Globalization;

namespace Microsoft.ML.MixedPrecision.Benchmarks;

/// <summary>
/// The products of workloads' plans on tensor cores, in every layout that is worth a try: what <see cref="TensorPlan"/>'s model chooses beside what is fastest.
/// The model's numbers come from this table.
/// </summary>
internal static class TuneVerb
{
    /// <summary>Layouts that the model thinks more times slower than its choice are not tried.</summary>
    private const double WorthATry = 3;

    public static int Run(string[] args)
    {
        Console.WriteLine($"{"",-60}{"tile",10}{"parts",7}{"us",10}{"chosen",8}");
        double chosen = 0, fastest = 0;
        foreach (string name in args)
        {
            var workload = Workload.Named(name);
            var plan = workload.Plan(Precision.Mixed);
            var backend = (IlgpuBackend)Target.Open(Precision.Mixed);
            using var session = new TrainingSession(plan, backend);
            session.TrainPass(workload.RandomBatch(plan.Network));
            foreach (var product in plan.Train.Select(step => step.Kernel).OfType<MatrixProduct>().DistinctBy(p => (p.M, p.N, p.K, p.Count, p.A.GetType(), p.B.GetType(), p.Next?.Name)))
            {
                var choice = TensorBinder.PlanOf(backend, product);
                int byElements = TensorBinder.ByElements(product);
                double model = choice.Cycles(product.M, product.N, product.Count, byElements), least = double.PositiveInfinity;
                foreach (var layout in TensorPlan.Candidates(product.M, product.N, product.K, product.Count, choice.Tile.OfWarpGroups))
                {
                    if (layout != choice && layout.Cycles(product.M, product.N, product.Count, byElements) > WorthATry * model) continue;
                    double seconds = Timing.Quick(backend, backend.Bind(new Laid(product, layout)));
                    Show(name, product, layout, seconds, layout == choice);
                    if (layout == choice) chosen += seconds;
                    least = Math.Min(least, seconds);
                }
                fastest += least;
            }
        }
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"All products once: {chosen * 1e3:F3} ms as chosen, {fastest * 1e3:F3} ms at best"));
        return 0;
    }

    private static void Show(string workload, MatrixProduct p, TensorPlan layout, double seconds, bool chosen)
    {
        string name = $"{workload} {p.Name} {p.M}x{p.N}x{p.K}{(p.Count > 1 ? $" x{p.Count}" : "")}", tile = $"{layout.Tile.Rows}x{layout.Tile.Columns}{(layout.Tile.OfWarpGroups ? "g" : "")}";
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{name,-60}{tile,10}{layout.Parts,7}{seconds * 1e6,10:F2}{(chosen ? "<" : ""),8}"));
    }

    /// <summary>A product in a given layout.</summary>
    private sealed class Laid(MatrixProduct product, TensorPlan layout) : Kernel
    {
        public override string Name => product.Name;
        public override IReadOnlyList<Tensor> Reads => product.Reads;
        public override IReadOnlyList<Tensor> Writes => product.Writes;
        public override Action BindCpu<T, TStorage>(CpuBackend cpu) => product.BindCpu<T, TStorage>(cpu);
        public override Action BindGpu<T, TStorage>(IlgpuBackend gpu) => TensorBinder.Bind<T, TStorage>(gpu, product, layout);
    }
}
