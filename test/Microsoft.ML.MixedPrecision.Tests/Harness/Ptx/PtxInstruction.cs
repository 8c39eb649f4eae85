namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>What an operand is. Registers, special registers and constants are all slots of a warp's register file.</summary>
internal enum PtxOperandKind { Slot, Address, Vector, Label }

/// <param name="Slot">The register, or an address's base.</param>
/// <param name="Offset">Bytes after an address's base.</param>
/// <param name="Parts">The operands of {a, b}, or of a|b.</param>
internal sealed record PtxOperand(PtxOperandKind Kind, int Slot, long Offset, PtxOperand[] Parts, string Text)
{
    /// <summary>The operands of a vector, or the operand itself.</summary>
    public PtxOperand[] Each => Kind == PtxOperandKind.Vector ? Parts : [this];
}

/// <summary>What an instruction does to the order in which lanes run.</summary>
internal enum PtxFlow
{
    Next,
    Branch,
    Exit,

    /// <summary>All threads of the group meet.</summary>
    Barrier,

    /// <summary>All lanes of the warp meet and do it together: shfl.sync, ldmatrix, mma.</summary>
    Together,

    /// <summary>Four warps meet and do it together: wgmma.</summary>
    WarpGroup,
}

/// <summary>Carries an instruction out for the lanes of a mask.</summary>
internal delegate void PtxOperation(PtxWarp warp, uint lanes);

internal sealed class PtxInstruction(string text, string name, PtxOperand[] operands, int guard, bool guardNegated)
{
    public string Text { get; } = text;

    /// <summary>With all modifiers: "ld.shared.v4.f32".</summary>
    public string Name { get; } = name;

    public string[] Parts { get; } = name.Split('.');

    public PtxOperand[] Operands { get; } = operands;

    /// <summary>The predicate's slot, or -1.</summary>
    public int Guard { get; } = guard;

    public bool GuardNegated { get; } = guardNegated;

    public PtxFlow Flow { get; set; }

    /// <summary>Where a branch goes.</summary>
    public int Target { get; set; }

    /// <summary>Whether a label stands before it, so that lanes may join here.</summary>
    public bool IsTarget { get; set; }

    /// <summary>All registers and constants that the operands name.</summary>
    public int[] Slots { get; } = [.. operands.SelectMany(o => o.Each).Where(o => o.Slot >= 0).Select(o => o.Slot)];

    public PtxOperation Execute { get; set; } = static (_, _) => { };

    /// <summary>The last part of the name: "f32".</summary>
    public string Type => Parts[^1];

    public PtxFaultException Unknown() => new($"PtxMachine does not know '{Name}' ({Text}); add it to PtxOperations.");
}
