using System.Runtime.CompilerServices;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// One simulated thread's asynchronous copies. Each is carried out as late as the rules allow, so that a kernel that forgets to wait is
/// wrong here too.
/// </summary>
internal sealed unsafe class CopySimulation
{
    [ThreadStatic]
    private static CopySimulation? _current;

    private readonly Queue<List<Copy>> _groups = new();
    private List<Copy> _open = [];

    public static CopySimulation Current => _current ??= new();

    // Memory of the simulator is the host's own and stays where it is.
    public void Enqueue(ref Words4 target, ref Words4 source, bool copies) =>
        _open.Add(new((nint)Unsafe.AsPointer(ref target), copies ? (nint)Unsafe.AsPointer(ref source) : 0));

    public void Commit()
    {
        _groups.Enqueue(_open);
        _open = [];
    }

    public void Wait(int pending)
    {
        while (_groups.Count > pending)
        {
            foreach (var (target, source) in _groups.Dequeue()) *(Words4*)target = source == 0 ? default : *(Words4*)source;
        }
    }

    private readonly record struct Copy(nint Target, nint Source);
}
