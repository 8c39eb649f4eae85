using Microsoft.ML.Data;

namespace Microsoft.ML.MixedPrecision.Tests;

[TestClass]
public sealed class BatchedScorerTests
{
    private readonly MLContext _ml = new(seed: 1);

    [TestMethod]
    [DataRow(0)]
    [DataRow(1)]
    [DataRow(127)]
    [DataRow(128)]
    [DataRow(129)]
    [DataRow(600)]
    public void EveryRowGetsItsOwnScoreAndKeepsItsColumns(int rows)
    {
        var data = new ScoringData(_ml, rows);
        using Scorer scorer = new(data.View);
        OnnxCheck.Compare(new OnnxComparison("Score", data.Logits, Scores(scorer.View), ScoringData.Classes, Tolerance.OfSum(OnnxPrecision.Single, terms: 5)));
        CollectionAssert.AreEqual(Enumerable.Range(0, rows).ToArray(), scorer.View.GetColumn<int>("Id").ToArray());
        CollectionAssert.AreEqual(data.View.GetColumn<string>("Name").ToArray(), scorer.View.GetColumn<string>("Name").ToArray());
        Assert.AreEqual(data.View.GetRowCount(), scorer.View.GetRowCount());
    }

    [TestMethod]
    public void TheSameRowsGiveTheSameBitsHoweverTheyAreRead()
    {
        var data = new ScoringData(_ml, 700);
        using Scorer scorer = new(data.View);
        float[] all = Scores(scorer.View);
        CollectionAssert.AreEqual(all, Scores(scorer.View));

        DataViewSchema.Column score = scorer.View.Schema["Score"];
        using DataViewRowCursor cursor = scorer.View.GetRowCursor([score]);
        ValueGetter<VBuffer<float>> getter = cursor.GetGetter<VBuffer<float>>(score);
        VBuffer<float> value = default;
        while (cursor.MoveNext())
        {
            if (cursor.Position % 7 != 3 && cursor.Position is < 200 or > 530) continue; // leaves whole batches out, and comes back into one
            getter(ref value);
            getter(ref value); // asking twice is not moving twice
            int row = (int)cursor.Position * ScoringData.Classes;
            CollectionAssert.AreEqual(all[row..(row + ScoringData.Classes)], value.DenseValues().ToArray());
        }
    }

    [TestMethod]
    public void ARowDependsOnItsNeighboursByRoundingOnly()
    {
        var data = new ScoringData(_ml, 300);
        using Scorer scorer = new(data.View);
        float[] all = Scores(scorer.View);
        for (int skip = 1; skip < 300; skip += 97)
        {
            using Scorer shifted = new(_ml.Data.SkipRows(data.View, skip));
            float[] expected = all[(skip * ScoringData.Classes)..];
            OnnxCheck.Compare(new OnnxComparison("Score", expected, Scores(shifted.View), ScoringData.Classes, Tolerance.OfSum(OnnxPrecision.Single, terms: 5)));
        }
    }

    [TestMethod]
    public void WhoDoesNotAskForScoresRunsNoNetwork()
    {
        int read = 0;
        IDataView data = _ml.Data.LoadFromEnumerable(Enumerable.Range(0, 10).Select(i =>
        {
            read++;
            return new ScoringData.Row { Id = i, Pixels = new float[ScoringData.Features] };
        }));
        using Scorer scorer = new(data);
        Assert.HasCount(10, scorer.View.GetColumn<int>("Id").ToArray());
        Assert.AreEqual(10, read); // one pass: no rows were read ahead
        _ = Scores(scorer.View);
        Assert.AreEqual(30, read);

        DataViewSchema.Column score = scorer.View.Schema["Score"], id = scorer.View.Schema["Id"];
        using DataViewRowCursor cursor = scorer.View.GetRowCursor([id]);
        Assert.IsTrue(cursor.IsColumnActive(id));
        Assert.IsFalse(cursor.IsColumnActive(score));
        Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => cursor.GetGetter<VBuffer<float>>(score));
    }

    [TestMethod]
    public void CursorsFollowMlNetsRules()
    {
        var data = new ScoringData(_ml, 5);
        using Scorer scorer = new(data.View);
        Assert.IsFalse(scorer.View.CanShuffle);
        DataViewSchema.Column score = scorer.View.Schema["Score"];
        DataViewRowCursor[] set = scorer.View.GetRowCursorSet([score], 4);
        Assert.HasCount(1, set);
        using DataViewRowCursor cursor = set[0];
        using DataViewRowCursor input = data.View.GetRowCursor([]);
        Assert.AreSame(scorer.View.Schema, cursor.Schema);
        Assert.ThrowsExactly<InvalidOperationException>(() => cursor.GetGetter<float>(score));
        ValueGetter<DataViewRowId> id = cursor.GetIdGetter(), inputId = input.GetIdGetter();
        DataViewRowId a = default, b = default;
        while (cursor.MoveNext())
        {
            Assert.IsTrue(input.MoveNext());
            id(ref a);
            inputId(ref b);
            Assert.AreEqual(b, a);
            Assert.AreEqual(input.Position, cursor.Position);
        }
        Assert.IsFalse(input.MoveNext());
    }

    [TestMethod]
    public void SparseFeaturesAndSparseFiltersScoreAlike()
    {
        var data = new ScoringData(_ml, 300);
        using Scorer dense = new(data.View);
        float[] expected = Scores(dense.View);
        IDataView filtered = _ml.Data.FilterRowsByColumn(_ml.Transforms.Conversion.ConvertType("Number", "Id", DataKind.Single).Fit(dense.View).Transform(dense.View), "Number", 290);
        CollectionAssert.AreEqual(expected[(290 * ScoringData.Classes)..], Scores(filtered));

        IDataView keys = _ml.Data.LoadFromEnumerable(Enumerable.Range(0, 4).Select(i => new Category { Kind = $"{i}" }));
        IDataView hot = _ml.Transforms.Categorical.OneHotEncoding("Pixels", "Kind").Fit(keys).Transform(keys);
        using Scorer sparse = new(hot);
        float[] unit = [.. Enumerable.Range(0, 16).Select(i => i % 5 == 0 ? 1f : 0f)];
        OnnxCheck.Compare(new OnnxComparison("Score", LinearModel.Expected(unit, ScoringData.Weights, ScoringData.Bias), Scores(sparse.View), ScoringData.Classes, Tolerance.OfSum(OnnxPrecision.Single, terms: 5)));
    }

    [TestMethod]
    public void DataThatChangeOrderBetweenReadsAreRefused()
    {
        int pass = 0;
        IEnumerable<ScoringData.Row> Restless()
        {
            int rows = pass++ == 0 ? 5 : 3; // the second reader finds fewer rows
            for (int i = 0; i < rows; i++) yield return new ScoringData.Row { Id = i, Pixels = new float[ScoringData.Features] };
        }
        IDataView data = _ml.Data.LoadFromEnumerable(Restless());
        using Scorer scorer = new(data);
        var e = Assert.ThrowsExactly<InvalidOperationException>(() => Scores(scorer.View));
        StringAssert.Contains(e.Message, "mlContext.Data.Cache");
    }

    [TestMethod]
    public void ManyReadersAtOnceGetTheSameScores()
    {
        var data = new ScoringData(_ml, 600);
        using Scorer scorer = new(_ml.Data.Cache(data.View));
        float[] expected = Scores(scorer.View);
        Parallel.For(0, 4, _ => CollectionAssert.AreEqual(expected, Scores(scorer.View)));
    }

    private static float[] Scores(IDataView view) => [.. view.GetColumn<float[]>("Score").SelectMany(row => row)];

    private sealed class Category
    {
        public string Kind { get; set; } = "";
    }

    /// <summary>The three logits over a view with a column 'Pixels'.</summary>
    private sealed class Scorer : IDisposable
    {
        private readonly OnnxSession _session = OnnxSession.Of(ScoringData.ClassModel());

        public Scorer(IDataView input)
        {
            var schema = new DataViewSchema.Builder();
            schema.AddColumns(input.Schema);
            schema.AddColumn("Score", new VectorDataViewType(NumberDataViewType.Single, ScoringData.Classes));
            View = new BatchedScorer(input, schema.ToSchema(), "Pixels", _session);
        }

        public BatchedScorer View { get; }

        public void Dispose() => _session.Dispose();
    }
}
