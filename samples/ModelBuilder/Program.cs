// Trains the model of the three files beside this one, says how good it is and which features matter, and uses it as Model Builder's console application does.
using System.Globalization;
using Microsoft.ML;
using ModelBuilder;
using Spectre.Console;

var mlContext = new MLContext(seed: 1);
var data = DiamondPrice.LoadIDataViewFromFile(mlContext, Path.Combine(AppContext.BaseDirectory, DiamondPrice.RetrainFilePath),
    DiamondPrice.RetrainSeparatorChar, DiamondPrice.RetrainHasHeader, DiamondPrice.RetrainAllowQuoting);
var split = mlContext.Data.TrainTestSplit(data, testFraction: 0.2);

var model = DiamondPrice.RetrainModel(mlContext, split.TrainSet);
var metrics = DiamondPrice.Evaluate(mlContext, split.TestSet, model);
Console.WriteLine(Text($"R2 {metrics.RSquared:F4}, mean absolute error {metrics.MeanAbsoluteError:F0} dollars."));

var table = new Table().AddColumns("feature", "change of R2 when it is shuffled");
foreach (var (feature, change) in DiamondPrice.CalculatePFI(mlContext, split.TestSet, model).Take(6)) table.AddRow(feature, Text($"{change:F3}"));
AnsiConsole.Write(table);

DiamondPrice.SaveModel(mlContext, model, split.TrainSet, DiamondPrice.MLNetModelPath);
Console.WriteLine(Text($"Wrote {Path.GetFileName(DiamondPrice.MLNetModelPath)} ({new FileInfo(DiamondPrice.MLNetModelPath).Length:N0} bytes)."));

// From here on as in any application that was given the model.
var sampleData = new DiamondPrice.ModelInput { Carat = 0.23f, Cut = "Ideal", Color = "E", Clarity = "SI2", Depth = 61.5f, Table = 55f, X = 3.95f, Y = 3.98f, Z = 2.43f };
Console.WriteLine(Text($"{sampleData.Carat} carat, {sampleData.Cut}, {sampleData.Color}, {sampleData.Clarity}: {DiamondPrice.Predict(sampleData).Score:N0} dollars."));

static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
