// In the form in which Model Builder writes the use of a model: stock ML.NET only.
using Microsoft.ML;
using Microsoft.ML.Data;

namespace ModelBuilder;

public static partial class DiamondPrice
{
    /// <summary>A row of the data.</summary>
    public class ModelInput
    {
        [LoadColumn(0), ColumnName(@"carat")] public float Carat { get; set; }
        [LoadColumn(1), ColumnName(@"cut")] public string Cut { get; set; } = "";
        [LoadColumn(2), ColumnName(@"color")] public string Color { get; set; } = "";
        [LoadColumn(3), ColumnName(@"clarity")] public string Clarity { get; set; } = "";
        [LoadColumn(4), ColumnName(@"depth")] public float Depth { get; set; }
        [LoadColumn(5), ColumnName(@"table")] public float Table { get; set; }
        [LoadColumn(6), ColumnName(@"price")] public float Price { get; set; }
        [LoadColumn(7), ColumnName(@"x")] public float X { get; set; }
        [LoadColumn(8), ColumnName(@"y")] public float Y { get; set; }
        [LoadColumn(9), ColumnName(@"z")] public float Z { get; set; }
    }

    /// <summary>What the model adds to it.</summary>
    public class ModelOutput
    {
        /// <summary>The price, in dollars.</summary>
        [ColumnName(@"Score")] public float Score { get; set; }
    }

    /// <summary>Where the model is saved, and loaded from.</summary>
    public static string MLNetModelPath { get; } = Path.GetFullPath("DiamondPrice.mlnet");

    public static readonly Lazy<PredictionEngine<ModelInput, ModelOutput>> PredictEngine = new(() => CreatePredictEngine(MLNetModelPath), true);

    /// <summary>Scores one row. Not for several threads at once: see the web API beside this sample.</summary>
    public static ModelOutput Predict(ModelInput input) => PredictEngine.Value.Predict(input);

    public static PredictionEngine<ModelInput, ModelOutput> CreatePredictEngine(string modelPath)
    {
        var mlContext = new MLContext();
        return mlContext.Model.CreatePredictionEngine<ModelInput, ModelOutput>(mlContext.Model.Load(modelPath, out _));
    }
}
