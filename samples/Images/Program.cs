// Trains on image files, read, resized and turned into numbers by ML.NET's own transforms, so that the saved model takes the path of a file and needs nothing of this library.
// The files are the digits of Quickstart, which it writes first: a folder for each of the ten classes.
// Arguments: --device cuda:0 trains on that GPU.
using System.Globalization;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MixedPrecision;
using Samples;

string? device = CommandLine.TakeDevice(ref args);
const string Folder = "images";
WriteImages(Path.Combine(AppContext.BaseDirectory, "data", "digits.csv"), Folder);

// A class is the name of a file's folder, as for ML.NET's ImageClassification.
var ml = new MLContext(seed: 1);
var files = ml.Data.LoadFromEnumerable(Directory.GetFiles(Folder, "*.png", SearchOption.AllDirectories).Order(StringComparer.Ordinal).Select(file => new ImageFile { Path = file, Label = Path.GetFileName(Path.GetDirectoryName(file)!) }));
var split = ml.Data.TrainTestSplit(files, testFraction: 0.2);

const int Side = 16;
Network network = Network.Image(height: Side, width: Side, channels: 3) // planar, as ExtractPixels gives them
    .Conv2d(32, kernel: 3, padding: 1, bias: false).BatchNorm().Relu().MaxPool2d(2)
    .Conv2d(64, kernel: 3, padding: 1, bias: false).BatchNorm().Relu().MaxPool2d(2)
    .Flatten().Linear(128).Relu().Dropout(0.5f); // the head comes from the label column

var model = TrainingDisplay.Run("Mixed", "accuracy", progress => ml.Transforms.Conversion.MapValueToKey("Label")
    .Append(ml.Transforms.LoadImages("Image", imageFolder: null, "Path"))
    .Append(ml.Transforms.ResizeImages("Image", Side, Side))
    .Append(ml.Transforms.ExtractPixels("Features", "Image", offsetImage: 127.5f, scaleImage: 1 / 127.5f)) // -1 to 1
    .Append(ml.MulticlassClassification.Trainers.MixedPrecision(new MixedPrecisionTrainer.Options
    {
        Network = network,
        Optimizer = new AdamW(2e-3f),
        Schedule = Schedule.Cosine(),
        Epochs = 15,
        BatchSize = 32,
        Device = device,
        Progress = progress,
    }))
    .Append(ml.Transforms.Conversion.MapKeyToValue("PredictedLabel"))
    .Fit(split.TrainSet));
Console.WriteLine(Text($"Test accuracy {ml.MulticlassClassification.Evaluate(model.Transform(split.TestSet)).MicroAccuracy:P2}."));
ml.Model.Save(model, files.Schema, "images.zip");
Console.WriteLine(Text($"Wrote images.zip ({new FileInfo("images.zip").Length:N0} bytes)."));

// Stock ML.NET from here on: the zip holds nothing of this library.
var stock = new MLContext();
using var engine = stock.Model.CreatePredictionEngine<ImageFile, Answer>(stock.Model.Load("images.zip", out _));
foreach (var image in ml.Data.CreateEnumerable<ImageFile>(split.TestSet, reuseRowObject: false).DistinctBy(image => image.Label).Take(3))
{
    var answer = engine.Predict(image);
    Console.WriteLine(Text($"{image.Path}: {answer.PredictedLabel}, {answer.Score.Max():P1}"));
}

static void WriteImages(string csv, string folder)
{
    foreach (var (number, line) in File.ReadLines(csv).Index())
    {
        int[] values = [.. line.Split(',').Select(value => int.Parse(value, CultureInfo.InvariantCulture))]; // 8x8 greys from 0 to 16, and the digit
        byte[] pixels = [.. values.Take(64).SelectMany(grey => Enumerable.Repeat((byte)(grey * 255 / 16), 3).Append(byte.MaxValue))];
        using var image = MLImage.CreateFromPixels(8, 8, MLPixelFormat.Rgba32, pixels);
        image.Save(Path.Combine(Directory.CreateDirectory(Path.Combine(folder, $"{values[64]}")).FullName, Text($"{number:D4}.png")));
    }
}

static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

internal sealed class ImageFile
{
    public string Path { get; set; } = "";

    public string Label { get; set; } = "";
}

internal sealed class Answer
{
    public string PredictedLabel { get; set; } = "";

    public float[] Score { get; set; } = [];
}
