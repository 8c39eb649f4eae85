using System.Reflection;
using System.Reflection.Emit;
using System.Runtime.Loader;
using System.Text.RegularExpressions;

namespace Microsoft.ML.MixedPrecision.Build;

/// <summary>
/// Finds what ILGPU compiles: every static method that a member of the GPU backend, or one that is given or holds the backend, makes a delegate of
/// (a kernel), and all that those call.
/// It errs on the side of too much: a call through an interface reaches every type of the library that implements it.
/// </summary>
internal sealed class KernelCode
{
    private const string Backend = "IlgpuBackend";

    private const BindingFlags Declared = BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Static | BindingFlags.Instance | BindingFlags.DeclaredOnly;

    private static readonly Dictionary<ushort, OpCode> OpCodesByValue = typeof(OpCodes).GetFields(BindingFlags.Public | BindingFlags.Static)
        .Select(field => (OpCode)field.GetValue(null)!).ToDictionary(code => (ushort)code.Value);

    private readonly Assembly _library;
    private readonly Type[] _types;
    private readonly HashSet<MethodBase> _reached = [];

    private KernelCode(string library)
    {
        // From memory: while tests run, the coverage tool writes its probes into the file.
        AssemblyLoadContext.Default.Resolving += (context, name) => LoadBeside(context, library, name);
        _library = Assembly.Load(File.ReadAllBytes(library));
        _types = _library.GetTypes();
        var kernels = from type in _types
                      from method in Methods(type)
                      where KnowsTheGpu(method)
                      from called in References(method)
                      where called.Code == OpCodes.Ldftn && called.Method.IsStatic
                      select called.Method;
        foreach (MethodBase kernel in kernels.ToArray()) Reach(kernel);
    }

    /// <summary>One pattern for each method, in the way in which the coverage tool writes names: Namespace.Type&lt;T&gt;.Method&lt;U&gt;(int).</summary>
    public static IReadOnlyList<string> Patterns(string library) =>
        [.. new KernelCode(library)._reached.Select(Pattern).Distinct().Order(StringComparer.Ordinal)];

    private static Assembly? LoadBeside(AssemblyLoadContext context, string library, AssemblyName name)
    {
        string path = Path.Combine(Path.GetDirectoryName(library)!, name.Name + ".dll");
        return File.Exists(path) ? context.LoadFromAssemblyPath(path) : null;
    }

    private static string Pattern(MethodBase method)
    {
        string type = Regex.Escape(method.DeclaringType!.Name.Split('`')[0]);
        string name = method.IsConstructor ? $@"({type}|\.?ctor|#ctor)" : Regex.Escape(method.Name);
        return $@"(.*[./+])?{type}(<.*>)?\.{name}(<.*>)?\(.*";
    }

    private static IEnumerable<MethodBase> Methods(Type type) => type.GetMethods(Declared).Concat<MethodBase>(type.GetConstructors(Declared));

    private static bool KnowsTheGpu(MethodBase method) =>
        method.DeclaringType!.Name == Backend
        || method.DeclaringType.GetFields(Declared).Any(field => field.FieldType.Name == Backend)
        || method.GetParameters().Any(parameter => parameter.ParameterType.Name == Backend);

    private void Reach(MethodBase method)
    {
        if (method.DeclaringType?.Assembly != _library || !_reached.Add(method)) return;
        foreach (var (_, called) in References(method))
        {
            Reach(called);
            if (called.DeclaringType is { IsInterface: true } contract) ReachImplementations(contract, called.Name);
        }
    }

    private void ReachImplementations(Type contract, string name)
    {
        foreach (Type type in _types.Where(type => type.IsValueType && !type.Name.StartsWith("Cpu", StringComparison.Ordinal) && type.GetInterfaces().Any(candidate => Definition(candidate) == Definition(contract))))
        {
            foreach (MethodBase method in Methods(type).Where(method => method.Name == name || method.Name.EndsWith("." + name, StringComparison.Ordinal))) Reach(method);
        }
    }

    /// <summary>The methods that a body names, as they are declared: generic ones without their arguments.</summary>
    private static IEnumerable<(OpCode Code, MethodBase Method)> References(MethodBase method)
    {
        if (method.GetMethodBody()?.GetILAsByteArray() is not { } il) yield break;
        for (int i = 0; i < il.Length;)
        {
            ushort value = il[i++];
            if (value == 0xFE) value = (ushort)(0xFE00 | il[i++]);
            OpCode code = OpCodesByValue[value];
            if (code.OperandType == OperandType.InlineMethod)
                yield return (code, Declaration(BitConverter.ToInt32(il, i), method));
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

    private static MethodBase Declaration(int token, MethodBase context)
    {
        MethodBase method = context.Module.ResolveMethod(token, context.DeclaringType?.GetGenericArguments(), context.IsGenericMethod ? context.GetGenericArguments() : null)!;
        if (method is MethodInfo { IsGenericMethod: true } generic) method = generic.GetGenericMethodDefinition();
        if (method.DeclaringType is not { IsGenericType: true, IsGenericTypeDefinition: false } type) return method;

        // The same member on the open type.
        return Methods(type.GetGenericTypeDefinition()).First(candidate => candidate.MetadataToken == method.MetadataToken);
    }

    private static Type Definition(Type type) => type.IsGenericType ? type.GetGenericTypeDefinition() : type;
}
