// Two rings, one inside the other: no straight line separates them, a small network does.
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MixedPrecision;

var ml = new MLContext(seed: 1);
IDataView data = ml.Data.LoadFromEnumerable(Rings(600));
DataOperationsCatalog.TrainTestData split = ml.Data.TrainTestSplit(data, testFraction: 0.25);

Network network = Network.Vector(2).Linear(16).Relu().Linear(16).Relu();
ITransformer model = ml.BinaryClassification.Trainers.MixedPrecision(network, epochs: 60, learningRate: 1e-2f).Fit(split.TrainSet);

string path = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName() + ".zip");
ml.Model.Save(model, split.TrainSet.Schema, path);
ITransformer reloaded = ml.Model.Load(path, out _);
File.Delete(path);

double trained = ml.BinaryClassification.Evaluate(model.Transform(split.TestSet)).Accuracy;
double loaded = ml.BinaryClassification.Evaluate(reloaded.Transform(split.TestSet)).Accuracy;
Console.WriteLine($"accuracy {trained:P1}, saved and loaded {loaded:P1}");
return trained > 0.9 && trained == loaded ? 0 : 1;

static IEnumerable<Point> Rings(int count)
{
    var random = new Random(1);
    for (int i = 0; i < count; i++)
    {
        bool outer = i % 2 == 1;
        double angle = random.NextDouble() * Math.Tau, radius = (outer ? 2 : 1) + (random.NextDouble() - 0.5) * 0.6;
        yield return new Point { Features = [(float)(radius * Math.Cos(angle)), (float)(radius * Math.Sin(angle))], Label = outer };
    }
}

internal sealed class Point
{
    [VectorType(2)]
    public float[] Features { get; set; } = [];

    public bool Label { get; set; }
}
