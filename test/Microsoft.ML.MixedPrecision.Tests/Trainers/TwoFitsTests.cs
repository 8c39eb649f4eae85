using Microsoft.ML.Data;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>Two trainings at once on one device: each is what it would be alone.</summary>
[TestClass]
public sealed class TwoFitsTests
{
    [TestMethod]
    [DataRow("simulator")]
    [DataRow("cpu")]
    public void Two_Fits_at_once_on_one_device_give_what_each_gives_alone(string device)
    {
        float[] Scores(int seed)
        {
            var ml = new MLContext(seed: 1);
            using var model = new MixedPrecisionTrainer(ml, TrainerData.Options(o => (o.Device, o.Epochs, o.Seed) = (device, 2, seed))).Fit(TrainerData.Keyed(ml, 48));
            return [.. model.Transform(TrainerData.Keyed(ml, 8)).GetColumn<float[]>("Score").SelectMany(score => score)];
        }
        int[] seeds = [1, 2];
        float[][] alone = [.. seeds.Select(Scores)];
        var together = seeds.Select(seed => Task.Factory.StartNew(() => Scores(seed), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default)).ToArray();
        for (int i = 0; i < seeds.Length; i++) CollectionAssert.AreEqual(alone[i], together[i].GetAwaiter().GetResult(), $"seed {seeds[i]}");
        CollectionAssert.AreNotEqual(alone[0], alone[1]);
    }
}
