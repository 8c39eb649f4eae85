using System.Reflection;
using System.Reflection.Emit;
using ILGPU.IR.Intrinsics;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>One instruction of a method, with what it names.</summary>
internal readonly record struct IlInstruction(OpCode Code, object? Operand);

/// <summary>Reads the code that ILGPU translates: a kernel and every method of the library that it can reach.</summary>
internal static class KernelIl
{
    private static readonly Dictionary<ushort, OpCode> Codes = typeof(OpCodes).GetFields(BindingFlags.Public | BindingFlags.Static)
        .Select(field => (OpCode)field.GetValue(null)!).ToDictionary(code => (ushort)code.Value);

    /// <summary>The kernels' methods and those that they call, with their type arguments; calls of a struct's interface go to the struct's own method.</summary>
    public static IReadOnlyCollection<MethodBase> Reach(IEnumerable<MethodBase> kernels)
    {
        var reached = new HashSet<MethodBase>();
        var pending = new Stack<MethodBase>(kernels);
        while (pending.TryPop(out var method))
        {
            if (method.GetMethodBody() is null || method.DeclaringType!.Assembly == typeof(object).Assembly || method.DeclaringType.Namespace?.StartsWith("ILGPU", StringComparison.Ordinal) == true) continue;
            if (method.IsDefined(typeof(IntrinsicImplementationAttribute), inherit: false) || !reached.Add(method)) continue; // an intrinsic's body is for the simulator alone
            Type? constrained = null;
            foreach (var instruction in Read(method))
            {
                if (instruction.Operand is MethodBase called) pending.Push(Implementation(called, constrained));
                constrained = instruction.Code == OpCodes.Constrained ? (Type)instruction.Operand! : null;
            }
        }
        return reached;
    }

    public static IEnumerable<IlInstruction> Read(MethodBase method)
    {
        byte[] il = method.GetMethodBody()!.GetILAsByteArray()!;
        Type[]? ofType = method.DeclaringType!.IsGenericType ? method.DeclaringType.GetGenericArguments() : null, ofMethod = method.IsGenericMethod ? method.GetGenericArguments() : null;
        for (int i = 0; i < il.Length;)
        {
            ushort value = il[i++];
            if (value == 0xFE) value = (ushort)(0xFE00 | il[i++]);
            var code = Codes[value];
            object? operand = code.OperandType switch
            {
                OperandType.InlineMethod => method.Module.ResolveMethod(BitConverter.ToInt32(il, i), ofType, ofMethod),
                OperandType.InlineField => method.Module.ResolveField(BitConverter.ToInt32(il, i), ofType, ofMethod),
                OperandType.InlineType => method.Module.ResolveType(BitConverter.ToInt32(il, i), ofType, ofMethod),
                OperandType.ShortInlineVar => (int)il[i],
                _ => null,
            };
            yield return new(code, operand);
            i += code.OperandType switch
            {
                OperandType.InlineNone => 0,
                OperandType.ShortInlineBrTarget or OperandType.ShortInlineI or OperandType.ShortInlineVar => 1,
                OperandType.InlineVar => 2,
                OperandType.InlineI8 or OperandType.InlineR => 8,
                OperandType.InlineSwitch => 4 + 4 * BitConverter.ToInt32(il, i),
                _ => 4,
            };
        }
    }

    private static MethodBase Implementation(MethodBase called, Type? constrained)
    {
        if (constrained is null || called.DeclaringType is not { IsInterface: true } contract || called is not MethodInfo method) return called;
        var map = constrained.GetInterfaceMap(contract);
        var open = method.IsGenericMethod ? method.GetGenericMethodDefinition() : method;
        int at = Array.FindIndex(map.InterfaceMethods, m => m.MetadataToken == open.MetadataToken && m.Module == open.Module);
        if (at < 0) return called;
        var target = map.TargetMethods[at];
        return method.IsGenericMethod ? target.MakeGenericMethod(method.GetGenericArguments()) : target;
    }
}
