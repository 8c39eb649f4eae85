// Loads a saved model with stock ML.NET only and prints a line for each row of a tab-separated file of features:
// the predicted label, where the model has one, and the scores.
using System.Globalization;
using Microsoft.ML;
using Microsoft.ML.Data;

if (args.Length != 3)
{
    Console.Error.WriteLine("usage: StockReload <model.zip> <features.tsv> <feature column>");
    return 2;
}

var ml = new MLContext(seed: 1);
ITransformer model = ml.Model.Load(args[0], out _);
int features = File.ReadLines(args[1]).First().Split('\t').Length;
IDataView data = ml.Data.LoadFromTextFile(args[1], [new TextLoader.Column(args[2], DataKind.Single, 0, features - 1)]);
IDataView scored = model.Transform(data);

DataViewSchema.Column score = scored.Schema["Score"];
DataViewSchema.Column? label = scored.Schema.GetColumnOrNull("PredictedLabel");
using DataViewRowCursor cursor = scored.GetRowCursor(scored.Schema);
Func<string> readScore = score.Type is VectorDataViewType ? Vector(cursor, score) : Scalar<float>(cursor, score);
Func<string>? readLabel = label is not { } column ? null : column.Type is KeyDataViewType ? Scalar<uint>(cursor, column) : Scalar<bool>(cursor, column);
while (cursor.MoveNext()) Console.WriteLine(readLabel is null ? readScore() : $"{readLabel()}\t{readScore()}");
return 0;

static Func<string> Vector(DataViewRow row, DataViewSchema.Column column)
{
    ValueGetter<VBuffer<float>> getter = row.GetGetter<VBuffer<float>>(column);
    VBuffer<float> value = default;
    return () =>
    {
        getter(ref value);
        return string.Join('\t', value.DenseValues().Select(v => v.ToString("R", CultureInfo.InvariantCulture)));
    };
}

static Func<string> Scalar<T>(DataViewRow row, DataViewSchema.Column column) where T : struct, IConvertible
{
    ValueGetter<T> getter = row.GetGetter<T>(column);
    T value = default;
    return () =>
    {
        getter(ref value);
        return value.ToString(CultureInfo.InvariantCulture);
    };
}
