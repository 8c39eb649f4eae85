namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>
/// The registers in which a warp group's products add up. From a product's issue to the wait for it they belong to the product, and
/// between any other access and the next product wgmma.fence must lie.
/// </summary>
internal sealed class PtxAccumulators(PtxProgram program)
{
    private const int Never = -1;

    private readonly Use[] _uses = new Use[program.Slots];
    private int _fences;

    /// <param name="Touched">How many fences there had been at the last access by another instruction.</param>
    /// <param name="UnderWay">Products that have yet to write it.</param>
    /// <param name="Begun">How many fences there had been when the last product began that had it.</param>
    /// <param name="Shape">Of that product.</param>
    /// <param name="Place">Which of that product's registers it was.</param>
    private record struct Use(int Touched, int UnderWay, int Begun, string? Shape, int Place);

    public void Clear()
    {
        Array.Fill(_uses, new(Never, 0, Never, null, 0));
        _fences = 0;
    }

    public void Fence() => _fences++;

    /// <summary>An instruction that is no product reads or writes registers.</summary>
    public void Touch(PtxInstruction instruction)
    {
        foreach (int slot in instruction.Slots)
        {
            ref var use = ref _uses[slot];
            if (use.UnderWay > 0)
            {
                string name = instruction.Operands.SelectMany(o => o.Each).First(o => o.Slot == slot).Text;
                throw new PtxFaultException($"'{name}' belongs to a product that is under way; wait for the group to which it was committed first");
            }
            use.Touched = _fences;
        }
    }

    public void Begin(PtxProduct product)
    {
        if (_fences == 0) throw new PtxFaultException("the first product of a warp group needs wgmma.fence before it");
        for (int i = 0; i < product.Sums.Length; i++)
        {
            ref var use = ref _uses[product.Sums[i].Slot];
            bool sameAsBefore = use.Shape == product.Shape && use.Place == i;
            if (use.UnderWay > 0 && !sameAsBefore) throw new PtxFaultException($"'{product.Sums[i].Text}' is register {use.Place} of a product {use.Shape} that is under way, and becomes register {i} of a product {product.Shape}");
            if (use.Begun == _fences && !sameAsBefore) throw new PtxFaultException($"'{product.Sums[i].Text}' belonged to a product {use.Shape} since the last wgmma.fence");
            if (use.Touched == _fences) throw new PtxFaultException($"'{product.Sums[i].Text}' was used since the last wgmma.fence");
            use = new(use.Touched, use.UnderWay + 1, _fences, product.Shape, i);
        }
    }

    public void End(PtxProduct product)
    {
        foreach (var sum in product.Sums) _uses[sum.Slot].UnderWay--;
    }
}
