using System.Numerics;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>
/// 32 lanes that run in step where they can. After a branch on which they disagree, those furthest behind run first, so that
/// they join again; at a barrier or a joint instruction a lane waits for all others of its warp that have not ended.
/// At what several warps do together the whole warp waits.
/// </summary>
internal sealed class PtxWarp(PtxGroup group, PtxProgram program, int index, int lanes, PtxAccumulators? accumulators)
{
    private const int Ended = -1;
    private const long MostSteps = 50_000_000; // a minute; a test's kernel takes a thousandth of it

    private readonly PtxInstruction[] _code = program.Code;
    private readonly ulong[] _values = Constants(program);
    private readonly int[] _positions = new int[32];
    private uint _waiting; // lanes at a barrier or joint instruction

    public PtxGroup Group { get; } = group;

    public int Index { get; } = index;

    /// <summary>What becomes of registers that products add up in, where the kernel has such products.</summary>
    public PtxAccumulators? Accumulators { get; } = accumulators;

    public int FirstThread { get; } = index * 32;

    /// <summary>The barrier or the joint instruction at which the warp waits for others of its group.</summary>
    public PtxInstruction? WaitsAt { get; private set; }

    public long Steps { get; private set; }

    /// <summary>A register's value in each lane.</summary>
    public Span<ulong> this[int slot] => _values.AsSpan(slot * 32, 32);

    public Span<ulong> this[PtxOperand operand] => this[operand.Slot];

    public void Set(int slot, int lane, int value)
    {
        if (slot >= 0) _values[slot * 32 + lane] = (uint)value;
    }

    public void Start()
    {
        _positions.AsSpan(0, lanes).Clear();
        _positions.AsSpan(lanes).Fill(Ended);
        _waiting = 0;
        WaitsAt = null;
    }

    /// <summary>The others are there: the warp goes on after what it waited at.</summary>
    public void Pass()
    {
        foreach (ref int position in _positions.AsSpan(0, lanes)) position++;
        _waiting = 0;
        WaitsAt = null;
    }

    /// <summary>Runs until the warp waits for others, or has ended.</summary>
    public void Run()
    {
        while (true)
        {
            uint alive = 0, chosen = 0;
            int next = int.MaxValue;
            for (int lane = 0; lane < lanes; lane++)
            {
                int position = _positions[lane];
                if (position == Ended) continue;
                uint bit = 1u << lane;
                alive |= bit;
                if ((_waiting & bit) != 0 || position > next) continue;
                chosen = position == next ? chosen | bit : bit;
                next = position;
            }
            if (alive == 0) return;
            if (chosen != 0)
            {
                Run(next, chosen, alive);
                continue;
            }
            var instruction = Meet(alive);
            if (instruction.Flow is PtxFlow.Barrier or PtxFlow.WarpGroup)
            {
                if (BitOperations.PopCount(alive) != lanes) throw new PtxFaultException($"divergent barrier: some threads of warp {Index} ended before '{instruction.Text}'");
                WaitsAt = instruction;
                return;
            }
            Execute(instruction, alive);
            for (int lane = 0; lane < lanes; lane++) if ((alive >> lane & 1) != 0) _positions[lane]++;
            _waiting = 0;
        }
    }

    /// <summary>Carries an instruction out, for some lanes of this warp or for all warps with which it meets.</summary>
    public void Execute(PtxInstruction instruction, uint active)
    {
        Count();
        try
        {
            if (instruction.Flow != PtxFlow.WarpGroup) Accumulators?.Touch(instruction);
            instruction.Execute(this, active);
        }
        catch (PtxFaultException e)
        {
            throw new PtxFaultException($"{e.Message}\nat '{instruction.Text}', warp {Index}");
        }
    }

    private static ulong[] Constants(PtxProgram program)
    {
        var values = new ulong[program.Slots * 32];
        foreach (var (slot, value) in program.Constants) values.AsSpan(slot * 32, 32).Fill(value);
        return values;
    }

    /// <summary>All lanes wait: they must do so at one instruction.</summary>
    private PtxInstruction Meet(uint alive)
    {
        int first = BitOperations.TrailingZeroCount(alive);
        for (int lane = first; lane < lanes; lane++)
        {
            if ((alive >> lane & 1) != 0 && _positions[lane] != _positions[first])
                throw new PtxFaultException($"divergent barrier: in warp {Index}, lane {first} waits at '{_code[_positions[first]].Text}' and lane {lane} at '{_code[_positions[lane]].Text}'");
        }
        return _code[_positions[first]];
    }

    /// <summary>Runs some lanes from one position until lanes must be chosen anew.</summary>
    private void Run(int position, uint active, uint alive)
    {
        while (true)
        {
            var instruction = _code[position];
            switch (instruction.Flow)
            {
                case PtxFlow.Barrier or PtxFlow.WarpGroup:
                case PtxFlow.Together when active != alive:
                    if (instruction.Guard >= 0) throw new PtxFaultException($"a guarded barrier: {instruction.Text}");
                    Move(active, position);
                    _waiting |= active;
                    return;
                case PtxFlow.Branch or PtxFlow.Exit:
                    Count();
                    uint taken = Guarded(instruction, active);
                    if (taken != 0 && taken != active && instruction.Parts[^1] == "uni") throw new PtxFaultException($"divergent bra.uni in warp {Index}: {instruction.Text}");
                    int target = instruction.Flow == PtxFlow.Exit ? Ended : instruction.Target;
                    if (active == alive && taken == active && target != Ended)
                    {
                        position = target;
                        continue;
                    }
                    Move(taken, target);
                    Move(active & ~taken, position + 1);
                    return;
                default:
                    uint executing = Guarded(instruction, active);
                    if (executing != 0) Execute(instruction, executing);
                    position++;
                    if (active != alive && _code[position].IsTarget)
                    {
                        Move(active, position);
                        return;
                    }
                    break;
            }
        }
    }

    private void Move(uint moved, int position)
    {
        for (; moved != 0; moved &= moved - 1) _positions[BitOperations.TrailingZeroCount(moved)] = position;
    }

    private uint Guarded(PtxInstruction instruction, uint active)
    {
        if (instruction.Guard < 0) return active;
        var guard = this[instruction.Guard];
        uint set = 0;
        for (int lane = 0; lane < 32; lane++) set |= (guard[lane] != 0 ? 1u : 0u) << lane;
        return active & (instruction.GuardNegated ? ~set : set);
    }

    private void Count()
    {
        if (++Steps > MostSteps) throw new PtxFaultException($"warp {Index} of {program.Name} did not end in {MostSteps} instructions");
    }
}
