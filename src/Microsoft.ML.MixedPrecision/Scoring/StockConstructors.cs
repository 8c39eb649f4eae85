using System.Runtime.CompilerServices;
using Microsoft.ML.Calibrators;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;
using Microsoft.ML.Trainers;
using Microsoft.ML.Transforms.Onnx;

namespace Microsoft.ML.MixedPrecision;

/// <summary>
/// The constructors of ML.NET that a saved model without this library's code is built from. They are internal there; this is the
/// only file that reaches them, and a contract test calls each one, so that an ML.NET that has changed them fails a test and not a user.
/// </summary>
internal static class StockConstructors
{
    /// <summary>The network. ONNX names are column names. The file must stay for as long as the transformer may be saved.</summary>
    [UnsafeAccessor(UnsafeAccessorKind.Constructor)]
    public static extern OnnxTransformer Onnx(IHostEnvironment env, string[] outputColumnNames, string[] inputColumnNames, string modelFile,
        int? gpuDeviceId, bool fallbackToCpu, IDictionary<string, int[]>? shapeDictionary, int recursionLimit, int? interOpNumThreads, int? intraOpNumThreads);

    /// <summary>Softmax of a linear function: biases of the classes, then a row of weights for each class.</summary>
    [UnsafeAccessor(UnsafeAccessorKind.Constructor)]
    public static extern MaximumEntropyModelParameters MaximumEntropy(IHostEnvironment env, in VBuffer<float> weights, int numClasses, int numFeatures,
        string[]? labelNames, ModelStatisticsBase? stats);

    [UnsafeAccessor(UnsafeAccessorKind.Constructor)]
    public static extern LinearBinaryModelParameters LinearBinary(IHostEnvironment env, in VBuffer<float> weights, float bias, ModelStatisticsBase? stats);

    [UnsafeAccessor(UnsafeAccessorKind.Constructor)]
    public static extern LinearRegressionModelParameters LinearRegression(IHostEnvironment env, in VBuffer<float> weights, float bias);

    /// <summary>Probability 1 / (1 + exp(slope * score + offset)).</summary>
    [UnsafeAccessor(UnsafeAccessorKind.Constructor)]
    public static extern PlattCalibrator Platt(IHostEnvironment env, double slope, double offset);

    /// <summary>A linear model and its calibrator: the type that ML.NET's own logistic regressions return.</summary>
    public static CalibratedModelParametersBase<LinearBinaryModelParameters, PlattCalibrator> Calibrated(IHostEnvironment env, LinearBinaryModelParameters model, PlattCalibrator calibrator) =>
        (CalibratedModelParametersBase<LinearBinaryModelParameters, PlattCalibrator>)ParameterMixing<LinearBinaryModelParameters, PlattCalibrator>.Create(env, model, calibrator);

    public static BinaryPredictionTransformer<CalibratedModelParametersBase<LinearBinaryModelParameters, PlattCalibrator>> BinaryTransformer(
        IHostEnvironment env, CalibratedModelParametersBase<LinearBinaryModelParameters, PlattCalibrator> model, DataViewSchema schema, string featureColumn) =>
        Transformers<CalibratedModelParametersBase<LinearBinaryModelParameters, PlattCalibrator>>.Binary(env, model, schema, featureColumn, 0f, "Score");

    public static MulticlassPredictionTransformer<MaximumEntropyModelParameters> MulticlassTransformer(
        IHostEnvironment env, MaximumEntropyModelParameters model, DataViewSchema schema, string featureColumn, string labelColumn) =>
        Transformers<MaximumEntropyModelParameters>.Multiclass(env, model, schema, featureColumn, labelColumn, "Score", "PredictedLabel");

    public static RegressionPredictionTransformer<LinearRegressionModelParameters> RegressionTransformer(
        IHostEnvironment env, LinearRegressionModelParameters model, DataViewSchema schema, string featureColumn) =>
        Transformers<LinearRegressionModelParameters>.Regression(env, model, schema, featureColumn);

    // A generic type's constructor is reached only through a generic type with the same parameters.
    private static class Transformers<TModel> where TModel : class
    {
        [UnsafeAccessor(UnsafeAccessorKind.Constructor)]
        public static extern BinaryPredictionTransformer<TModel> Binary(IHostEnvironment env, TModel model, DataViewSchema inputSchema, string featureColumn, float threshold, string thresholdColumn);

        [UnsafeAccessor(UnsafeAccessorKind.Constructor)]
        public static extern MulticlassPredictionTransformer<TModel> Multiclass(IHostEnvironment env, TModel model, DataViewSchema inputSchema, string featureColumn, string labelColumn, string scoreColumn, string predictedLabel);

        [UnsafeAccessor(UnsafeAccessorKind.Constructor)]
        public static extern RegressionPredictionTransformer<TModel> Regression(IHostEnvironment env, TModel model, DataViewSchema inputSchema, string featureColumn);
    }
    private static class ParameterMixing<TSubModel, TCalibrator> where TSubModel : class where TCalibrator : class, ICalibrator
    {
        [UnsafeAccessor(UnsafeAccessorKind.Constructor)]
        [return: UnsafeAccessorType("Microsoft.ML.Calibrators.ParameterMixingCalibratedModelParameters`2[[!0],[!1]], Microsoft.ML.Data")]
        public static extern object Create(IHostEnvironment env, TSubModel predictor, TCalibrator calibrator);
    }
}
