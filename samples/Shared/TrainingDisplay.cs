using System.Globalization;
using Microsoft.ML.MixedPrecision;
using Spectre.Console;

namespace Samples;

/// <summary>A live line for a training: epoch, loss, metric, speed, loss scale, skipped updates, time left. One line an epoch where there is no terminal.</summary>
internal static class TrainingDisplay
{
    /// <param name="title">What is trained.</param>
    /// <param name="metric">What the metric is called: "accuracy", "mean absolute error".</param>
    /// <param name="train">Trains and reports its progress.</param>
    public static T Run<T>(string title, string metric, Func<IProgress<TrainingProgress>, T> train)
    {
        if (!AnsiConsole.Profile.Capabilities.Interactive) return train(new Reporter(p => { if (p.IsEndOfEpoch) Console.WriteLine($"{title}: {Line(p, metric)}"); }));
        return AnsiConsole.Progress()
            .Columns(new TaskDescriptionColumn { Alignment = Justify.Left }, new ProgressBarColumn { Width = 20 }, new PercentageColumn())
            .Start(context =>
            {
                var task = context.AddTask(title);
                return train(new Reporter(p =>
                {
                    task.MaxValue = (double)p.Epochs * p.Batches;
                    task.Value = (p.Epoch - 1.0) * p.Batches + p.Batch;
                    task.Description = $"{Markup.Escape(title)}  {Markup.Escape(Line(p, metric))}";
                }));
            });
    }

    private static string Line(TrainingProgress p, string metric) => string.Create(CultureInfo.InvariantCulture,
        $"epoch {p.Epoch}/{p.Epochs}  loss {p.Loss:F4}  {metric} {p.Metric:F4}  {p.SamplesPerSecond:N0} samples/s  scale {p.LossScale:N0}  skipped {p.SkippedUpdates}  ETA {p.Remaining:mm\\:ss}");

    /// <summary>Unlike Progress&lt;T&gt;, calls on the thread that reports: lines stay in order.</summary>
    private sealed class Reporter(Action<TrainingProgress> report) : IProgress<TrainingProgress>
    {
        public void Report(TrainingProgress value) => report(value);
    }
}
