// Which part of the Bible a verse is from, by its words: networks on tokens beside ML.NET's linear trainer on n-grams. Words become tokens by ML.NET's own
// transforms, so that the saved model takes text and needs nothing of this library.
// Arguments: --device cuda:0 trains on that GPU.
using System.Diagnostics;
using System.Globalization;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MixedPrecision;
using Samples;
using Spectre.Console;

string? device = CommandLine.TakeDevice(ref args);
var ml = new MLContext(seed: 1);
var verses = ml.Data.LoadFromTextFile<Verse>(Path.Combine(AppContext.BaseDirectory, "data", "verses.tsv"), hasHeader: true);
var split = ml.Data.TrainTestSplit(verses, testFraction: 0.2);
var labels = ml.Transforms.Conversion.MapValueToKey("Label", nameof(Verse.Part));

const int Words = 8000, Length = 64; // one verse in 500 has more than 64 words: what lies behind them is cut off
var cut = labels
    .Append(ml.Transforms.Text.NormalizeText("Features", nameof(Verse.Text), keepPunctuations: false))
    .Append(ml.Transforms.Text.TokenizeIntoWords("Features"))
    .Append(ml.Transforms.Conversion.MapValueToKey("Features", maximumNumberOfKeys: Words));

var tokens = Network.Tokens(Length, vocabulary: Words + 1); // 0 is a word that training did not have, or none at all: the mask leaves it out
var embedded = tokens.Embedding(64).Dropout(0.5f);
var bag = embedded.GlobalAvgPool1d(mask: tokens);
var lstm = embedded.Lstm(64).GlobalAvgPool1d().Dropout(0.5f);
var transformer = Architectures.TransformerEncoder(embedded.PositionalEmbedding(), layers: 1, heads: 4, hidden: 128, mask: tokens).GlobalAvgPool1d(mask: tokens);

var table = new Table().AddColumns("trainer", "test accuracy", "seconds");
var model = Train("bag of words", bag, learningRate: 1e-2f);
Train("LSTM", lstm, learningRate: 5e-3f);
Train("transformer", transformer, learningRate: 5e-3f);
Fit("SDCA on n-grams", () => labels.Append(ml.Transforms.Text.FeaturizeText("Features", nameof(Verse.Text))).AppendCacheCheckpoint(ml)
    .Append(ml.MulticlassClassification.Trainers.SdcaMaximumEntropy()).Fit(split.TrainSet));
AnsiConsole.Write(table);
ml.Model.Save(model, verses.Schema, "texts.zip");

// Stock ML.NET from here on: the zip holds nothing of this library.
var stock = new MLContext();
var loaded = stock.Model.Load("texts.zip", out _);
using var engine = stock.Model.CreatePredictionEngine<Verse, Answer>(loaded.Append(stock.Transforms.Conversion.MapKeyToValue("PredictedLabel").Fit(loaded.Transform(verses))));
foreach (string text in (string[])["The king and his captains went to war.", "A fool talks, and a wise man is silent.", "He sailed with his disciples to the other side."])
    Console.WriteLine($"{engine.Predict(new Verse { Text = text }).PredictedLabel}: {text}");

ITransformer Train(string name, Network network, float learningRate) => Fit(name, () => TrainingDisplay.Run(name, "accuracy", progress =>
    cut.Append(ml.MulticlassClassification.Trainers.MixedPrecision(new MixedPrecisionTrainer.Options
    {
        Network = network,
        Optimizer = new AdamW(learningRate),
        Schedule = Schedule.Cosine(),
        Epochs = 12,
        BatchSize = 64,
        Device = device,
        Progress = progress,
    })).Fit(split.TrainSet)));

ITransformer Fit(string name, Func<ITransformer> fit)
{
    var clock = Stopwatch.StartNew();
    var fitted = fit();
    double seconds = clock.Elapsed.TotalSeconds, accuracy = ml.MulticlassClassification.Evaluate(fitted.Transform(split.TestSet)).MicroAccuracy;
    table.AddRow(name, Text($"{accuracy:P2}"), Text($"{seconds:F1}"));
    return fitted;
}

static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

internal sealed class Verse
{
    [LoadColumn(0)]
    public string Part { get; set; } = "";

    [LoadColumn(1)]
    public string Text { get; set; } = "";
}

internal sealed class Answer
{
    public string PredictedLabel { get; set; } = "";
}
