using System.Globalization;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>
/// D[128, n] = A[128, 64] * B[64, n] + 1 in PTX by hand: two warp groups, 64 rows each, four products of 16 k. Operands come as the tiles
/// that they are in shared memory, and are copied there as they are.
/// </summary>
internal sealed record PtxWarpGroupKernel(int Columns, bool AcrossA, bool AcrossB)
{
    public const int Rows = 128, Depth = 64, Threads = 256;

    private const int BytesOfA = Rows * Depth * 2, BytesOfCopies = Threads * 16;

    /// <summary>Whether the sums begin at what the registers hold, or with the first product.</summary>
    public bool Adds { get; init; } = true;

    /// <summary>From the copies' wait to the products.</summary>
    public string Publish { get; init; } = "cp.async.wait_group 0; fence.proxy.async.shared::cta; bar.sync 0;";

    public string Fence { get; init; } = "wgmma.fence.sync.aligned;";

    public string Commit { get; init; } = "wgmma.commit_group.sync.aligned;";

    /// <summary>Between the products of k and the next.</summary>
    public Func<int, string> Between { get; init; } = _ => "";

    public string UnderWay { get; init; } = "";

    public string Wait { get; init; } = "wgmma.wait_group.sync.aligned 0;";

    public string After { get; init; } = "";

    public int SharedBytes => BytesOfA + Columns * Depth * 2;

    private string Registers => "{" + string.Join(", ", Enumerable.Range(0, Columns / 2).Select(i => $"%f{i}")) + "}";

    public string Ptx => $$"""
        .version 8.0
        .target sm_90a
        .address_size 64
        .extern .shared .align 1024 .b8 __dyn_shared_alloca[];
        .visible .entry Product(.param .align 8 .b8 _a[16], .param .align 8 .b8 _b[16], .param .align 8 .b8 _d[16])
        {
            .reg .b32 %r<16>; .reg .b64 %rd<24>; .reg .f32 %f<{{Columns / 2}}>; .reg .pred %p<4>;
            ld.param.b64 %rd1, [_a]; ld.param.b64 %rd2, [_b]; ld.param.b64 %rd3, [_d];
            mov.b64 %rd4, __dyn_shared_alloca;
            mov.b32 %r1, %tid.x;
            mul.wide.u32 %rd5, %r1, 16;
            add.u64 %rd6, %rd1, %rd5; add.u64 %rd7, %rd2, %rd5; add.u64 %rd8, %rd4, %rd5;
            {{Copies("%rd6", 0, BytesOfA)}}
            {{Copies("%rd7", BytesOfA, Columns * Depth * 2)}}
            cp.async.commit_group;
            shr.u32 %r2, %r1, 7;
            mul.wide.u32 %rd9, %r2, {{BytesOfA / 2}};
            add.u64 %rd10, %rd4, %rd9; shr.u64 %rd10, %rd10, 4; add.u64 %rd10, %rd10, {{Strides(AcrossA)}};
            add.u64 %rd11, %rd4, {{BytesOfA}}; shr.u64 %rd11, %rd11, 4; add.u64 %rd11, %rd11, {{Strides(AcrossB)}};
            setp.ne.s32 %p1, %r1, %r1;
            {{string.Join(' ', Enumerable.Range(0, Columns / 2).Select(i => $"mov.f32 %f{i}, {(Adds ? "0f3F800000" : "0f7FC00000")};"))}}
            {{Publish}}
            {{Fence}}
            {{string.Join('\n', Enumerable.Range(0, Depth / 16).Select(Product))}}
            {{Commit}}
            {{UnderWay}}
            {{Wait}}
            {{After}}
            shr.u32 %r3, %r1, 5; and.b32 %r4, %r1, 31; shr.u32 %r5, %r4, 2; and.b32 %r6, %r4, 3;
            shl.b32 %r3, %r3, 4; add.s32 %r3, %r3, %r5;
            mul.wide.u32 %rd14, %r3, {{Columns * 4}}; mul.wide.u32 %rd15, %r6, 8;
            add.u64 %rd14, %rd14, %rd3; add.u64 %rd14, %rd14, %rd15;
            {{string.Join(' ', Enumerable.Range(0, Columns / 4).Select(i => $"st.global.v2.f32 [%rd14+{(i % 2 * 8 * Columns + i / 2 * 8) * 4}], {{%f{2 * i}, %f{2 * i + 1}}};"))}}
            ret;
        }
        """;

    /// <summary>The sums of a run, in rows.</summary>
    public float[] Run(int threads = Threads, Func<string, string>? edit = null, int moreShared = 0)
    {
        var result = new PtxBuffer<float>(Rows * Columns);
        string ptx = edit is null ? Ptx : edit(Ptx);
        PtxMachine.Run(ptx, null, new(1, 1, 1), new(threads, 1, 1), SharedBytes + moreShared, Tile(Rows, AcrossA, A), Tile(Columns, AcrossB, B), result);
        return result.Values.ToArray();
    }

    public float[] Expected() =>
        [.. Enumerable.Range(0, Rows * Columns).Select(i => (Adds ? 1 : 0) + Enumerable.Range(0, Depth).Sum(k => A(i / Columns, k) * B(i % Columns, k)))];

    // Whole numbers that no other place has, so that sums are exact and no two rows, columns or values of k may be exchanged.
    private static float A(int row, int k) => (row * 31 + k * 7) % 23 - 11;

    private static float B(int column, int k) => (column * 13 + k * 29) % 19 - 9;

    /// <summary>
    /// A tile with the chunks of each 128 bytes exchanged by the row's number in its eight: along k a row is a line of 64 k; across it, of a
    /// panel of 64 lines, it is one k.
    /// </summary>
    private static PtxBuffer<System.Half> Tile(int lines, bool across, Func<int, int, float> value)
    {
        var tile = new PtxBuffer<System.Half>(lines * Depth);
        for (int line = 0; line < lines; line++)
        {
            for (int k = 0; k < Depth; k++)
            {
                int row = across ? line / 64 * Depth + k : line, column = across ? line % 64 : k;
                tile.Values[row * 64 + (column / 8 ^ row % 8) * 8 + column % 8] = (System.Half)value(line, k);
            }
        }
        return tile;
    }

    private static string Copies(string from, int start, int bytes) =>
        string.Join(' ', Enumerable.Range(0, bytes / BytesOfCopies).Select(i => $"cp.async.cg.shared.global [%rd8+{start + i * BytesOfCopies}], [{from}+{i * BytesOfCopies}], 16;"));

    /// <summary>A descriptor's upper bits: the swizzle of 128 bytes; 8 rows further; where lines lie across k, the next panel of 64.</summary>
    private static string Strides(bool across) => (1L << 62 | 1024L >> 4 << 32 | (across ? Depth * 128L : 16) >> 4 << 16).ToString(CultureInfo.InvariantCulture);

    private string Product(int step) => $$"""
        add.u64 %rd12, %rd10, {{step * (AcrossA ? 2048 : 32) >> 4}}; add.u64 %rd13, %rd11, {{step * (AcrossB ? 2048 : 32) >> 4}};
        wgmma.mma_async.sync.aligned.m64n{{Columns}}k16.f32.f16.f16 {{Registers}}, %rd12, %rd13, {{(Adds || step > 0 ? "1" : "%p1")}}, 1, 1, {{(AcrossA ? 1 : 0)}}, {{(AcrossB ? 1 : 0)}};
        {{Between(step)}}
        """;
}
