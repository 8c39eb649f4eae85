using System.Collections.Concurrent;
using System.Globalization;
using System.Text.RegularExpressions;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>A kernel's parameter: where it lies in the parameter block.</summary>
internal sealed record PtxParameter(string Name, int Offset, int Size);

/// <summary>One kernel of a PTX text, ready to run: names are slots of a register file, labels are positions.</summary>
internal sealed partial class PtxProgram
{
    private const string DynamicSymbol = "__dyn_shared_alloca";

    private static readonly ConcurrentDictionary<(string Ptx, string? Entry), PtxProgram> Parsed = new();

    private readonly Dictionary<string, int> _slots = [];
    private readonly Dictionary<string, int> _labels = [];
    private readonly Dictionary<string, ulong> _symbols = [];
    private readonly HashSet<string> _declared = [];
    private readonly List<(int Slot, ulong Value)> _constants = [];
    private readonly int _target, _version;
    private readonly bool _isArchitectureSpecific; // sm_90a, whose instructions no later GPU has

    private PtxProgram(string ptx, string? entry)
    {
        ptx = Comment().Replace(ptx, "");
        var start = Entry().Matches(ptx).FirstOrDefault(m => entry is null || m.Groups[1].Value == entry)
            ?? throw new PtxFaultException($"The PTX has no kernel {entry ?? "at all"}.");
        Name = start.Groups[1].Value;
        var target = Target().Match(ptx);
        _target = target.Success ? Number(target.Groups[1]) : int.MaxValue;
        _isArchitectureSpecific = target.Groups[2].Length > 0;
        var version = Version().Match(ptx);
        _version = version.Success ? Number(version.Groups[1]) * 10 + Number(version.Groups[2]) : int.MaxValue;
        int body = ptx.IndexOf('{', start.Index), end = BodyEnd(ptx, body);
        Parameters = ReadParameters(ptx[start.Index..body]);
        foreach (var parameter in Parameters) _symbols[parameter.Name] = (ulong)parameter.Offset;
        // Dynamic shared memory is declared outside of the kernel.
        var dynamic = DynamicShared().Match(ptx);
        if (dynamic.Success) _symbols[DynamicSymbol] = 0;
        string text = Shared().Replace(ptx[(body + 1)..end], DeclareShared);
        HasWarpGroups = text.Contains("wgmma.", StringComparison.Ordinal);
        DynamicStart = StartOfDynamic(dynamic.Groups[1].Success ? Number(dynamic.Groups[1]) : 1);
        if (_symbols.ContainsKey(DynamicSymbol)) _symbols[DynamicSymbol] = (ulong)DynamicStart;
        if (text.Contains(".local", StringComparison.Ordinal)) throw new PtxFaultException($"{Name} uses local memory, which PtxMachine does not have: keep arrays out of kernels.");
        text = Declaration().Replace(text, DeclareRegisters);
        Code = ReadCode(Label().Replace(text, "\n$1:;"));
        Slots = _slots.Count;
    }

    public string Name { get; }

    public IReadOnlyList<PtxParameter> Parameters { get; }

    public PtxInstruction[] Code { get; }

    /// <summary>Registers, constants and special registers together.</summary>
    public int Slots { get; }

    /// <summary>Bytes of shared memory that the kernel declares.</summary>
    public int StaticShared { get; private set; }

    /// <summary>Where the shared memory of the launch begins.</summary>
    public int DynamicStart { get; }

    /// <summary>The most shared memory of a group: beyond 48 KB only what is written for Hopper.</summary>
    public int MostShared => _isArchitectureSpecific || _target == int.MaxValue ? 232_448 : 49_152;

    /// <summary>Whether warps multiply four together.</summary>
    public bool HasWarpGroups { get; }

    public IReadOnlyList<(int Slot, ulong Value)> Constants => _constants;

    /// <param name="entry">The kernel's name, or null for the first.</param>
    public static PtxProgram Parse(string ptx, string? entry = null) => Parsed.GetOrAdd((ptx, entry), static key => new(key.Ptx, key.Entry));

    /// <summary>The slot of a special register such as %tid.x, or -1 where the kernel does not read it.</summary>
    public int Special(string name) => _slots.GetValueOrDefault(name, -1);

    [GeneratedRegex("//[^\n]*")]
    private static partial Regex Comment();

    [GeneratedRegex(@"\.target\s+sm_(\d+)(a?)")]
    private static partial Regex Target();

    [GeneratedRegex(@"\.version\s+(\d+)\.(\d+)")]
    private static partial Regex Version();

    [GeneratedRegex(@"\.entry\s+(\w+)")]
    private static partial Regex Entry();

    [GeneratedRegex(@"\.param\s+(?:\.align (\d+) \.b8 (\w+)\[(\d+)\]|\.[bfsu](\d+) (\w+))")]
    private static partial Regex Parameter();

    [GeneratedRegex(@"\.extern\s+\.shared\s+(?:\.align\s+(\d+))?[^;]*" + DynamicSymbol)]
    private static partial Regex DynamicShared();

    [GeneratedRegex(@"\.shared \.align (\d+) \.b(\d+) (\w+)\[(\d+)\];")]
    private static partial Regex Shared();

    [GeneratedRegex(@"\.reg \.\w+\s+([^;]*);")]
    private static partial Regex Declaration();

    [GeneratedRegex(@"(?:^|\n)\s*(\w+):")]
    private static partial Regex Label();

    [GeneratedRegex(@"^(?:@(!?)(%?\w+)\s+)?([\w.:]+)\s*(.*)$", RegexOptions.Singleline)]
    private static partial Regex Statement();

    [GeneratedRegex(@"\{[^}]*\}|\[[^\]]*\]|[^,\s]+")]
    private static partial Regex OperandText();

    private static int Align(int value, int to) => (value + to - 1) / to * to;

    private static int BodyEnd(string ptx, int body)
    {
        for (int i = body, depth = 0; i < ptx.Length; i++)
        {
            if (ptx[i] == '{') depth++;
            else if (ptx[i] == '}' && --depth == 0) return i;
        }
        throw new PtxFaultException("The PTX ends within a kernel.");
    }

    private static List<PtxParameter> ReadParameters(string header)
    {
        var parameters = new List<PtxParameter>();
        int offset = 0;
        foreach (Match match in Parameter().Matches(header))
        {
            bool isStruct = match.Groups[1].Success;
            int size = isStruct ? Number(match.Groups[3]) : Number(match.Groups[4]) / 8;
            offset = Align(offset, isStruct ? Number(match.Groups[1]) : size);
            parameters.Add(new(match.Groups[isStruct ? 2 : 5].Value, offset, size));
            offset += size;
        }
        return parameters;
    }

    private static int Number(Group group) => int.Parse(group.ValueSpan, CultureInfo.InvariantCulture);

    /// <summary>
    /// As little aligned as it may be: tiles of warp groups lie at multiples of 1024 bytes, which a start at 0 would give to a kernel that
    /// forgot to ask for it.
    /// </summary>
    private int StartOfDynamic(int alignment)
    {
        alignment = Math.Max(alignment, 16);
        int start = Align(StaticShared, alignment);
        return HasWarpGroups && start % (2 * alignment) == 0 ? start + alignment : start;
    }

    private string DeclareShared(Match match)
    {
        StaticShared = Align(StaticShared, Math.Max(16, Number(match.Groups[1])));
        _symbols[match.Groups[3].Value] = (ulong)StaticShared;
        StaticShared += Number(match.Groups[4]) * Number(match.Groups[2]) / 8;
        return "";
    }

    private string DeclareRegisters(Match match)
    {
        foreach (string name in match.Groups[1].Value.Split(',', StringSplitOptions.TrimEntries))
        {
            int bracket = name.IndexOf('<', StringComparison.Ordinal);
            if (bracket < 0) _declared.Add(name);
            else for (int i = int.Parse(name[(bracket + 1)..^1], CultureInfo.InvariantCulture) - 1; i >= 0; i--) _declared.Add(name[..bracket] + i);
        }
        return "";
    }

    private PtxInstruction[] ReadCode(string text)
    {
        var code = new List<PtxInstruction>();
        foreach (string raw in text.Split(';'))
        {
            // Braces that open or close a scope stand at the start of a statement.
            string statement = raw.Trim().TrimStart('{', '}', ' ', '\t', '\n', '\r');
            if (statement.Length == 0) continue;
            if (statement[^1] == ':') _labels[statement[..^1]] = code.Count;
            else code.Add(Read(statement));
        }
        if (code.Count == 0 || code[^1].Name is not ("ret" or "exit" or "bra" or "bra.uni")) code.Add(new("ret", "ret", [], -1, false));
        foreach (int position in _labels.Values) code[position].IsTarget = true;
        foreach (var instruction in code) Resolve(instruction);
        return [.. code];
    }

    private PtxInstruction Read(string statement)
    {
        var match = Statement().Match(statement);
        if (!match.Success) throw new PtxFaultException($"PtxMachine cannot read '{statement}' in {Name}.");
        bool isBranch = match.Groups[3].Value is "bra" or "bra.uni";
        PtxOperand[] operands = [.. OperandText().Matches(match.Groups[4].Value).Select(m => isBranch ? new(PtxOperandKind.Label, -1, 0, [], m.Value) : Operand(m.Value))];
        return new(statement, match.Groups[3].Value, operands, match.Groups[2].Success ? Slot(match.Groups[2].Value) : -1, match.Groups[1].Value == "!");
    }

    private void Resolve(PtxInstruction instruction)
    {
        ExpectTarget(instruction);
        instruction.Flow = instruction.Name switch
        {
            "bra" or "bra.uni" => PtxFlow.Branch,
            "ret" or "exit" => PtxFlow.Exit,
            "bar.sync" or "barrier.sync.aligned" or "barrier.sync" => PtxFlow.Barrier,
            _ when instruction.Parts[0] == "wgmma" => PtxFlow.WarpGroup,
            _ => instruction.Parts[0] is "shfl" or "ldmatrix" or "mma" || instruction.Name == "bar.warp.sync" ? PtxFlow.Together : PtxFlow.Next,
        };
        if (instruction.Flow == PtxFlow.Branch)
        {
            if (!_labels.TryGetValue(instruction.Operands[0].Text, out int target)) throw new PtxFaultException($"{Name} has no label {instruction.Operands[0].Text}.");
            instruction.Target = target;
        }
        else if (instruction.Flow == PtxFlow.Barrier)
        {
            if (instruction.Operands is not [{ Text: "0" }]) throw new PtxFaultException($"PtxMachine knows only barrier 0 for the whole group, not '{instruction.Text}'.");
        }
        else if (instruction.Flow != PtxFlow.Exit)
        {
            instruction.Execute = PtxOperations.Bind(instruction, this);
        }
    }

    private void ExpectTarget(PtxInstruction instruction)
    {
        string name = instruction.Name;
        bool needsAmpere = name is "cvt.rn.f16x2.f32" || name.StartsWith("cp.async", StringComparison.Ordinal) || name.Contains("m16n8k16", StringComparison.Ordinal);
        bool needsHopper = name.StartsWith("fence.proxy.async", StringComparison.Ordinal), needsOnlyHopper = instruction.Parts[0] == "wgmma";
        if (needsAmpere && _target < 80) throw new PtxFaultException($"{Name}: '{name}' needs sm_80, and the PTX is for sm_{_target}.");
        if (needsHopper && _target < 90) throw new PtxFaultException($"{Name}: '{name}' needs sm_90, and the PTX is for sm_{_target}.");
        if (needsOnlyHopper && _target != int.MaxValue && !(_target == 90 && _isArchitectureSpecific)) throw new PtxFaultException($"{Name}: '{name}' needs sm_90a, and the PTX is for sm_{_target}.");
        if ((needsHopper || needsOnlyHopper) && _version < 80) throw new PtxFaultException($"{Name}: '{name}' needs PTX 8.0, and this is {_version / 10}.{_version % 10}.");
    }

    private PtxOperand Operand(string text)
    {
        if (text[0] == '{') return new(PtxOperandKind.Vector, -1, 0, [.. text[1..^1].Split(',').Select(part => Operand(part.Trim()))], text);
        if (text[0] == '[')
        {
            string inside = text[1..^1];
            int sign = inside.IndexOfAny(['+', '-'], 1);
            long offset = sign < 0 ? 0 : long.Parse(inside.AsSpan(sign).ToString().Replace(" ", "", StringComparison.Ordinal).Replace("+-", "-", StringComparison.Ordinal), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture);
            return new(PtxOperandKind.Address, Slot((sign < 0 ? inside : inside[..sign]).Trim()), offset, [], text);
        }
        if (text.Contains('|', StringComparison.Ordinal)) return new(PtxOperandKind.Vector, -1, 0, [.. text.Split('|').Select(Operand)], text);
        return new(PtxOperandKind.Slot, Slot(text), 0, [], text);
    }

    private int Slot(string name)
    {
        if (_slots.TryGetValue(name, out int slot)) return slot;
        bool isRegister = _declared.Contains(name) || PtxSpecial.IsKnown(name);
        ulong value = isRegister ? 0 : Constant(name);
        _slots[name] = slot = _slots.Count;
        if (!isRegister) _constants.Add((slot, value));
        return slot;
    }

    private ulong Constant(string text)
    {
        if (_symbols.TryGetValue(text, out ulong value)) return value;
        var culture = CultureInfo.InvariantCulture;
        if (text.StartsWith("0f", StringComparison.OrdinalIgnoreCase) || text.StartsWith("0d", StringComparison.OrdinalIgnoreCase) || text.StartsWith("0x", StringComparison.OrdinalIgnoreCase))
        {
            if (ulong.TryParse(text.AsSpan(2), NumberStyles.HexNumber, culture, out value)) return value;
        }
        else if (text[0] == '-')
        {
            if (long.TryParse(text, NumberStyles.AllowLeadingSign, culture, out long negative)) return (ulong)negative;
        }
        else if (ulong.TryParse(text.TrimEnd('U'), NumberStyles.None, culture, out value))
        {
            return value;
        }
        throw new PtxFaultException($"{Name} names '{text}', which is no register, symbol or constant that PtxMachine knows.");
    }
}
