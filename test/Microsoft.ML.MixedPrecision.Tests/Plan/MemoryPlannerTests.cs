using FsCheck;
using FsCheck.Fluent;

namespace Microsoft.ML.MixedPrecision.Tests;

[TestClass]
public sealed class MemoryPlannerTests
{
    [TestMethod]
    public void Any_set_of_lifetimes_is_placed_apart_and_aligned() => Prop.ForAll<(int Size, int First, int Length)[]>(blocks =>
    {
        var lives = blocks.Select((b, i) => (Tensor: new Tensor($"t{i}", ElementType.Single, Region.Activations, 1 + Math.Abs(b.Size % 1000)),
            Life: new MemoryPlanner.Lifetime(Math.Abs(b.First % 20), Math.Abs(b.First % 20) + Math.Abs(b.Length % 10)))).ToArray();
        long total = MemoryPlanner.Place(lives.ToDictionary(l => l.Tensor, l => l.Life), t => t.Length * 4);
        foreach (var (a, life) in lives)
        {
            if (a.ArenaOffset < 0 || a.ArenaOffset % MemoryPlanner.Alignment != 0 || a.ArenaOffset + a.Length * 4 > total) return false;
            foreach (var (b, other) in lives)
                if (a != b && life.Overlaps(other) && a.ArenaOffset < b.ArenaOffset + b.Length * 4 && b.ArenaOffset < a.ArenaOffset + a.Length * 4) return false;
        }
        return true;
    }).QuickCheckThrowOnFailure();

    [TestMethod]
    public void Tensors_that_never_live_together_share_their_bytes()
    {
        Tensor a = new("a", ElementType.Single, Region.Activations, 100), b = new("b", ElementType.Single, Region.Activations, 90);
        Assert.AreEqual(512, MemoryPlanner.Place(new Dictionary<Tensor, MemoryPlanner.Lifetime> { [a] = new(0, 1), [b] = new(2, 3) }, t => t.Length * 4));
        Assert.AreEqual(a.ArenaOffset, b.ArenaOffset);
    }

    [TestMethod]
    public void A_view_has_the_place_of_its_owner()
    {
        var owner = new Tensor("owner", ElementType.Single, Region.Activations, 4, 6) { ArenaOffset = 512 };
        var view = owner.Slice("view", 6, 2, 3).Reshape(6);
        Assert.AreEqual((512L, 6L), (view.ArenaOffset, view.Start));
        Assert.AreSame(owner, view.Owner);
        Assert.ThrowsExactly<InvalidOperationException>(() => view.ArenaOffset = 0);
        Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => owner.Slice("too far", 20, 5));
    }
}
