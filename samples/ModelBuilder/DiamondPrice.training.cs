// In the form in which Model Builder writes a training. What differs from its own is the end of BuildPipeline.
using Microsoft.ML;
using Microsoft.ML.MixedPrecision;

namespace ModelBuilder;

public static partial class DiamondPrice
{
    public const string RetrainFilePath = "data/diamonds.csv";
    public const char RetrainSeparatorChar = ',';
    public const bool RetrainHasHeader = true;
    public const bool RetrainAllowQuoting = false;

    /// <summary>Trains a model on the rows of a file and saves it.</summary>
    public static void Train(string outputModelPath, string inputDataFilePath = RetrainFilePath, char separatorChar = RetrainSeparatorChar, bool hasHeader = RetrainHasHeader, bool allowQuoting = RetrainAllowQuoting)
    {
        var mlContext = new MLContext();
        var data = LoadIDataViewFromFile(mlContext, inputDataFilePath, separatorChar, hasHeader, allowQuoting);
        SaveModel(mlContext, RetrainModel(mlContext, data), data, outputModelPath);
    }

    public static IDataView LoadIDataViewFromFile(MLContext mlContext, string inputDataFilePath, char separatorChar, bool hasHeader, bool allowQuoting) =>
        mlContext.Data.LoadFromTextFile<ModelInput>(inputDataFilePath, separatorChar, hasHeader, allowQuoting: allowQuoting);

    public static void SaveModel(MLContext mlContext, ITransformer model, IDataView data, string modelSavePath) => mlContext.Model.Save(model, data.Schema, modelSavePath);

    public static ITransformer RetrainModel(MLContext mlContext, IDataView trainData) => BuildPipeline(mlContext).Fit(trainData);

    public static IEstimator<ITransformer> BuildPipeline(MLContext mlContext) =>
        mlContext.Transforms.Categorical.OneHotEncoding([new(@"cut"), new(@"color"), new(@"clarity")])
            .Append(mlContext.Transforms.Concatenate(@"numbers", @"carat", @"depth", @"table", @"x", @"y", @"z"))
            // What a network needs more than trees do: numbers of magnitude 1 (the few slips of the pen at no more than 5), and a target of magnitude 1.
            .Append(mlContext.Transforms.NormalizeMeanVariance(@"numbers", fixZero: false))
            .Append(mlContext.Transforms.Expression(@"numbers", "v => min(max(v, -5f), 5f)", @"numbers"))
            .Append(mlContext.Transforms.Concatenate(@"Features", @"numbers", @"cut", @"color", @"clarity"))
            .Append(mlContext.Transforms.Expression(@"Label", "p => log(p / 2400)", @"price"))
            .Append(new MixedPrecisionTrainer(mlContext, new MixedPrecisionTrainer.Options
            {
                // 6 numbers, 5 cuts, 7 colors, 8 clarities. The head comes from the label column.
                Network = Network.Vector(6 + 5 + 7 + 8).Linear(128, bias: false).BatchNorm().Relu().Linear(128, bias: false).BatchNorm().Relu(),
                Loss = new Huber(0.1f), // a price that is more than 10 % off counts by its error, not by the square
                Optimizer = new AdamW(3e-3f),
                Schedule = Schedule.Cosine(),
                Epochs = 40,
                BatchSize = 256,
            }))
            .Append(mlContext.Transforms.Expression(@"Score", "s => 2400 * exp(s)", @"Score")); // back to dollars
}
