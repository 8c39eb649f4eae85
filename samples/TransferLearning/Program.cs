// Transfer learning: a ResNet-18 that learned ImageNet's photographs, as ML.NET publishes it, learns to tell six kinds of drawings apart from 320 of them. Beside it a network that begins with nothing.
// Arguments: --device cuda:0 trains on that GPU; pretrained leaves out the network that begins with nothing.
using System.Diagnostics;
using System.Globalization;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MixedPrecision;
using Microsoft.ML.Transforms;
using Microsoft.ML.Transforms.Image;
using Samples;
using Spectre.Console;

string? device = CommandLine.TakeDevice(ref args);
const string Folder = "pictures";
WritePictures(Path.Combine(AppContext.BaseDirectory, "data"), Folder);

var ml = new MLContext(seed: 1);
var files = ml.Data.LoadFromEnumerable(Directory.GetFiles(Folder, "*.png", SearchOption.AllDirectories).Order(StringComparer.Ordinal).Select(file => new Picture { Path = file, Label = Path.GetFileName(Path.GetDirectoryName(file)!) }));
var split = ml.Data.TrainTestSplit(files, testFraction: 0.25);

const int Side = 128; // the file was exported for 224, and this is a third of the work
var image = Network.Image(height: Side, width: Side, channels: 3);
var pretrained = image.ImportOnnx(Path.Combine(AppContext.BaseDirectory, "ResNet18.onnx"), output: "ReLU393").GlobalAvgPool2d(); // behind "ReLU393" it has a pool of 7x7

var table = new Table().AddColumns("network", "values", "trained", "test accuracy", "seconds");
if (!args.Contains("pretrained")) Train("From scratch", Architectures.ResNetSmall(image.Augment(shift: 8, flip: true).Conv2d(16, kernel: 4, stride: 4).BatchNorm().Relu()), learningRate: 2e-3f, epochs: 40);
var head = Train("Head", pretrained.Freeze().Dropout(0.5f), learningRate: 5e-3f, epochs: 10);
var all = Train("Fine-tuned", Trained(head).Unfreeze(), learningRate: 1e-4f, epochs: 4);
AnsiConsole.Write(table);

ml.Model.Save(all, files.Schema, "pictures.zip");
Trained(all).SaveWeights("pictures.safetensors"); // to train on, another day: Network.LoadWeights
Console.WriteLine(Text($"Wrote pictures.zip ({new FileInfo("pictures.zip").Length:N0} bytes) and pictures.safetensors ({new FileInfo("pictures.safetensors").Length:N0} bytes)."));

// Stock ML.NET from here on: the zip holds nothing of this library.
var stock = new MLContext();
using var engine = stock.Model.CreatePredictionEngine<Picture, Answer>(stock.Model.Load("pictures.zip", out _));
foreach (var picture in ml.Data.CreateEnumerable<Picture>(split.TestSet, reuseRowObject: false).DistinctBy(picture => picture.Label))
{
    var answer = engine.Predict(picture);
    Console.WriteLine(Text($"{picture.Path}: {answer.PredictedLabel}, {answer.Score.Max():P1}"));
}

TransformerChain<KeyToValueMappingTransformer> Train(string name, Network network, float learningRate, int epochs)
{
    var clock = Stopwatch.StartNew();
    var model = TrainingDisplay.Run(name, "accuracy", progress => ml.Transforms.Conversion.MapValueToKey("Label")
        .Append(ml.Transforms.LoadImages("Image", imageFolder: null, "Path"))
        .Append(ml.Transforms.ResizeImages("Image", Side, Side))
        .Append(ml.Transforms.ExtractPixels("Features", "Image", orderOfExtraction: ImagePixelExtractingEstimator.ColorsOrder.ABGR, offsetImage: 115)) // as it learned: blue first, less the mean of ImageNet
        .Append(ml.MulticlassClassification.Trainers.MixedPrecision(new MixedPrecisionTrainer.Options
        {
            Network = network,
            Optimizer = new AdamW(learningRate),
            Schedule = Schedule.Cosine(),
            Epochs = epochs,
            BatchSize = 32,
            Device = device,
            Progress = progress,
        }))
        .Append(ml.Transforms.Conversion.MapKeyToValue("PredictedLabel"))
        .Fit(split.TrainSet));
    var trained = Trained(model);
    double accuracy = ml.MulticlassClassification.Evaluate(model.Transform(split.TestSet)).MicroAccuracy;
    table.AddRow(name, Text($"{trained.Unfreeze().ParameterCount:N0}"), Text($"{trained.ParameterCount:N0}"), Text($"{accuracy:P1}"), Text($"{clock.Elapsed.TotalSeconds:F1}"));
    return model;
}

// With the values that the training gave it.
static Network Trained(IEnumerable<ITransformer> model) => model.OfType<MixedPrecisionTransformer>().Single().Network;

// One sheet, cut into files: a folder for each kind.
static void WritePictures(string data, string folder)
{
    const int Size = 56, Columns = 24;
    using var sheet = MLImage.CreateFromFile(Path.Combine(data, "pictures.png"));
    foreach (var (number, line) in File.ReadLines(Path.Combine(data, "pictures.csv")).Index())
    {
        string[] values = line.Split(','); // the kind, and what it shows
        byte[] pixels = new byte[4 * Size * Size];
        for (int row = 0; row < Size; row++)
            sheet.Pixels.Slice(4 * ((number / Columns * Size + row) * sheet.Width + number % Columns * Size), 4 * Size).CopyTo(pixels.AsSpan(4 * Size * row));
        using var picture = MLImage.CreateFromPixels(Size, Size, sheet.PixelFormat, pixels);
        picture.Save(Path.Combine(Directory.CreateDirectory(Path.Combine(folder, values[0])).FullName, $"{values[1]}.png"));
    }
}

static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

internal sealed class Picture
{
    public string Path { get; set; } = "";

    public string Label { get; set; } = "";
}

internal sealed class Answer
{
    public string PredictedLabel { get; set; } = "";

    public float[] Score { get; set; } = [];
}
