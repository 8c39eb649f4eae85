using ILGPU;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>
/// Runs PTX without a GPU, and fails where a GPU would have computed something else on another day: races on shared and global memory,
/// reads of what nobody wrote, accesses out of bounds or misaligned, branches and barriers that diverge where they must not, products of
/// Hopper's warp groups whose operands or sums are touched while they are under way.
/// It tests what ILGPU's simulator never sees: the code that ILGPU generates, the intrinsics' generators, the parameter block.
/// It shares our reading of the PTX manual, so a GPU has the last word.
/// <para>
/// <c>var y = new PtxBuffer&lt;float&gt;(100); PtxMachine.Run(ptx, null, new(1, 1, 1), new(128, 1, 1), 0, 100, y);</c>
/// Arguments are scalars, structs of such, <see cref="PtxBuffer{T}"/>s, and views of ILGPU's simulator. A kernel that ILGPU groups
/// has the extent first. A kernel may touch the views it is given and nothing else.
/// </para>
/// </summary>
internal static class PtxMachine
{
    /// <param name="entry">The kernel's name, or null for the first of the text.</param>
    /// <param name="grid">Groups.</param>
    /// <param name="block">Threads of a group.</param>
    /// <param name="dynamicShared">Bytes of shared memory that the launch adds.</param>
    /// <returns>Instructions that warps carried out.</returns>
    /// <exception cref="PtxFaultException">The kernel did what it must not.</exception>
    public static long Run(string ptx, string? entry, Index3D grid, Index3D block, int dynamicShared, params IReadOnlyList<object> arguments) =>
        Run(new PtxMemory(), ptx, entry, grid, block, dynamicShared, arguments);

    /// <param name="memory">Fresh; knows afterwards what the launch touched.</param>
    /// <inheritdoc cref="Run(string, string?, Index3D, Index3D, int, IReadOnlyList{object})"/>
    public static long Run(PtxMemory memory, string ptx, string? entry, Index3D grid, Index3D block, int dynamicShared, params IReadOnlyList<object> arguments)
    {
        var program = PtxProgram.Parse(ptx, entry);
        var group = new PtxGroup(program, memory, new(program, arguments, memory), grid, block, dynamicShared);
        for (int z = 0; z < grid.Z; z++)
        {
            for (int y = 0; y < grid.Y; y++)
            {
                for (int x = 0; x < grid.X; x++)
                {
                    try
                    {
                        group.Run(new(x, y, z));
                    }
                    catch (PtxFaultException e)
                    {
                        throw new PtxFaultException($"{e.Message} of group ({x}, {y}, {z}) in {program.Name}");
                    }
                }
            }
        }
        return group.Steps;
    }
}
