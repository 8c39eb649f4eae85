using System.Runtime.Intrinsics;

namespace Microsoft.ML.MixedPrecision.Tests;

/// <summary>The three products of a convolution on the CPU: right for every geometry, one chain of fused multiply-adds for each element, the same bits for any number of threads.</summary>
[TestClass, TestCategory("VectorWidth")]
public sealed class ConvolutionProductTests
{
    private static readonly Conv2dGeometry[] s_geometries =
    [
        new(1, 1, 1, 1, 1, new(1, 1, 0, 1), Groups: 1),
        new(3, 10, 9, 17, 49, new(3, 1, 1, 1), Groups: 1), // a column more than a tile
        new(2, 7, 8, 13, 5, new(new(2, 5), 1, new(1, 0), 1), Groups: 1),
        new(2, 11, 13, 7, 3, new(3, 1, 2, 2), Groups: 1),
        new(1, 3, 3, 2, 3, new(2, 1, 4, 1), Groups: 1), // windows that see padding alone
        new(2, 8, 7, 5, 9, new(1, 2, 0, 1), Groups: 1), // pixels that no window sees
        new(1, 2, 2, 1, 1, new(1, 3, 1, 1), Groups: 1), // none at all that a window sees
        new(1, 11, 10, 3, 17, new(2, 3, 1, 1), Groups: 1),
        new(2, 12, 11, 3, 4, new(3, 2, 2, 2), Groups: 1),
        new(2, 12, 11, 3, 4, new(new(3, 2), new(2, 3), new(2, 0), new(3, 1)), Groups: 1),
        new(2, 9, 7, 6, 6, new(3, 1, 1, 1), Groups: 6), // depthwise
        new(2, 6, 6, 4, 8, new(3, 2, 1, 1), Groups: 4),
        new(2, 5, 6, 34, 18, new(3, 1, 1, 1), Groups: 2),
        new(2, 12, 12, 1, 5, new(3, 1, 2, 2), Groups: 1), // one channel, read by tap
        new(2, 9, 20, 1, 16, new(new(1, 7), 1, new(0, 3), 1), Groups: 1),
        new(4, 16, 16, 16, 20, new(3, 1, 1, 1), Groups: 1), // enough for two threads
        new(4, 17, 16, 16, 20, new(3, 2, 1, 1), Groups: 1),
        new(2, 9, 26, 3, 18, new(3, 1, 1, 1), Groups: 1), // over image strips, each number of channels that has a layout of its own
        new(2, 13, 12, 32, 50, new(3, 1, 0, 1), Groups: 1),
        new(1, 8, 8, 64, 33, new(new(3, 2), 1, new(2, 1), 1), Groups: 1),
        new(1, 70, 60, 16, 8, new(new(2, 3), 1, new(0, 1), 1), Groups: 1), // several strips of one image
        new(2, 9, 35, 16, 16, new(3, 1, 1, 1), Groups: 1), // turned around: few filters, a width that is no multiple of 16
        new(1, 70, 60, 16, 16, new(3, 1, new(0, 2), 1), Groups: 1),
        new(2, 7, 16, 32, 24, new(new(2, 3), 1, 1, 1), Groups: 1),
        new(7, 8, 8, 32, 64, new(3, 1, 1, 1), Groups: 1), // tiles that go on in the next row and in the next image
        new(5, 9, 12, 16, 48, new(3, 1, 1, 1), Groups: 1),
        new(1, 70, 16, 64, 32, new(3, 1, 1, 1), Groups: 1),
        new(2, 15, 16, 16, 32, new(3, 2, 1, 1), Groups: 1), // input gradients over strips for the pixels whose taps are neighbours
        new(1, 12, 19, 40, 64, new(new(3, 5), 2, new(1, 2), 1), Groups: 1),
        new(2, 26, 26, 32, 64, new(3, 1, 0, 1), Groups: 1), // input gradients tap by tap
        new(1, 7, 25, 40, 64, new(new(2, 3), 1, 0, 1), Groups: 1),
        new(1, 5, 13, 64, 70, new(new(3, 5), 1, new(1, 5), 1), Groups: 1), // taps that see padding for a third of the pixels of a row
    ];

    private static readonly Pass[] s_passes = Enum.GetValues<Pass>();

    private enum Pass
    {
        Forward,
        WeightGradient,
        InputGradient,
    }

    [TestMethod]
    [DataRow(Precision.Mixed)]
    [DataRow(Precision.Single)]
    public void The_three_products_agree_with_the_convolutions_definition(Precision precision)
    {
        foreach (var g in s_geometries)
        {
            using var layer = new Layer(g, precision, threads: 2);
            foreach (var pass in s_passes)
            {
                var expected = layer.Sum(pass, (sum, a, b) => sum + (double)a * b);
                Tolerance.AssertClose(expected, layer.Run(pass), precision, roundings: 1, Layer.Depth(pass, g), $"{pass} of {g}");
            }
        }
    }

    /// <summary>A weight gradient over strips has a chain for each part of the batch, here for each example; the parts are added in their order.</summary>
    [TestMethod]
    public void Each_element_is_one_chain_of_fused_multiply_adds()
    {
        int inParts = 0;
        foreach (var g in s_geometries)
        {
            using var layer = new Layer(g, Precision.Single, threads: 2);
            foreach (var pass in s_passes)
            {
                bool parts = pass == Pass.WeightGradient && StripWeightGradient.Fits<float, CpuSingleStorage>(g);
                if (parts) inParts++;
                var chains = Enumerable.Range(0, parts ? g.Batch : 1)
                    .Select(n => layer.Sum(pass, (sum, a, b) => MathF.FusedMultiplyAdd(a, b, (float)sum), parts ? n : null).Select(sum => (float)sum).ToArray());
                CollectionAssert.AreEqual(chains.Aggregate((x, y) => [.. x.Zip(y, (a, b) => a + b)]), layer.Run(pass), $"{pass} of {g}");
            }
        }
        Assert.IsGreaterThan(3, inParts);
    }

    [TestMethod]
    public void Few_filters_over_16_channels_are_the_rows_of_tiles_where_vectors_are_wide()
    {
        bool wide = Vector512.IsHardwareAccelerated;
        Assert.AreEqual(wide, Turned(16, 16));
        Assert.AreEqual(wide, Turned(32, 24));
        Assert.IsFalse(Turned(16, 32), "32 filters fill two vectors");
        Assert.IsFalse(Turned(3, 16), "planes are transposed 16 channels at a time");

        static unsafe bool Turned(int channels, int filters)
        {
            var g = new Conv2dGeometry(1, 32, 32, channels, filters, new(3, 1, 1, 1), Groups: 1);
            return TurnedStripConvolution.Fits(new ImageStrip<float, CpuSingleStorage>(null, g, g.OutHeight, g.OutWidth), filters);
        }
    }

    [TestMethod]
    public void Tiles_go_on_in_the_next_image_where_that_fills_them()
    {
        Assert.AreEqual(Vector512.IsHardwareAccelerated ? 3 : 0, Images(8, filters: 64)); // 192 pixels are 16 tiles of 12, where 3 images of 64 are 18
        Assert.AreEqual(0, Images(24, filters: 64)); // two tiles are a row
        Assert.AreEqual(0, Images(10, filters: 64)); // a row ends where no layout splits a tile

        static unsafe int Images(int width, int filters)
        {
            var g = new Conv2dGeometry(16, 8, width, 32, filters, new(3, 1, 1, 1), Groups: 1);
            var image = new ImageStrip<float, CpuSingleStorage>(null, g, g.OutHeight, g.OutWidth);
            return StripConvolution.DenseImages(image, TileShape.For(g.OutHeight * image.Pitch, filters), g.OutHeight, most: 8);
        }
    }

    [TestMethod]
    public void Pixels_beside_the_image_are_left_out_where_that_fills_fewer_tiles()
    {
        Assert.IsTrue(ByTap(24, padding: 2, channels: 64)); // two tiles of 12, or four of 6, instead of a row of 26
        Assert.IsFalse(ByTap(24, padding: 2, channels: 1)); // sums that come and go for each step of k
        Assert.IsFalse(ByTap(24, padding: 1, channels: 64)); // 23 pixels fill two tiles like 24
        Assert.IsFalse(ByTap(8, padding: 1, channels: 64));

        static unsafe bool ByTap(int width, int padding, int channels)
        {
            var g = new Conv2dGeometry(1, 13, width, channels, 32, new(3, 1, padding, 1), Groups: 1);
            var image = new ImageStrip<float, CpuSingleStorage>(null, g, g.OutHeight, g.OutWidth);
            var tile = TileShape.For(g.OutHeight * image.Pitch, g.Filters);
            return StripConvolution.GoesByTap(image, tile, g.OutHeight, StripConvolution.DenseImages(image, tile, g.OutHeight, most: 8));
        }
    }

    [TestMethod]
    [DataRow(Precision.Mixed)]
    [DataRow(Precision.Single)]
    public void One_thread_and_two_give_the_same_bits(Precision precision)
    {
        foreach (var g in s_geometries)
        {
            using Layer one = new(g, precision, threads: 1), two = new(g, precision, threads: 2);
            foreach (var pass in s_passes) CollectionAssert.AreEqual(one.Run(pass), two.Run(pass), $"{pass} of {g}");
        }
    }

    [TestMethod]
    public void Running_a_bound_product_allocates_nothing()
    {
        using var layer = new Layer(s_geometries[^1], Precision.Mixed, threads: 2);
        foreach (var pass in s_passes)
        {
            var actions = layer.Bind(pass);
            // What is made once, in the first calls, does not count; every one of those behind does.
            for (int i = 0; i < 30; i++)
                foreach (var action in actions) action();
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (int i = 0; i < 30; i++)
                foreach (var action in actions) action();
            long after = GC.GetAllocatedBytesForCurrentThread(); // before the message, which allocates
            Assert.AreEqual(before, after, pass.ToString());
        }
    }

    /// <summary>The tensors of a convolution, with NaN around each: a product that uses what lies beside an operand shows it.</summary>
    private sealed class Layer : IDisposable
    {
        private readonly Conv2dGeometry _g;
        private readonly CpuBackend _backend;
        private readonly Tensor _image, _weights, _output, _imageGradient, _weightGradient, _result;
        private readonly float[] _imageValues, _weightValues, _outputValues;

        public Layer(Conv2dGeometry g, Precision precision, int threads)
        {
            (_g, _backend) = (g, new CpuBackend(precision, threads));
            int images = g.InPixels * g.Channels, weights = (int)g.GroupWeights * g.Groups, outputs = g.OutPixels * g.Filters;
            var arena = new List<Tensor>();
            Tensor Place(string name, int length)
            {
                var tensor = new Tensor(name, ElementType.Working, Region.Activations, length);
                arena.AddRange([new Tensor($"before {name}", ElementType.Working, Region.Activations, 2 * CpuVector.Width), tensor]);
                return tensor;
            }
            (_image, _weights, _output) = (Place("image", images), Place("weights", weights), Place("output", outputs));
            (_imageGradient, _weightGradient, _result) = (Place("image gradient", images), Place("weight gradient", weights), Place("result", outputs));
            int size = _backend.SizeOf(ElementType.Working);
            long bytes = 0;
            foreach (var tensor in arena) // one directly after the other, as no planner places them
            {
                tensor.ArenaOffset = bytes;
                bytes += tensor.Length * size;
            }
            _backend.Allocate(new Dictionary<Region, long> { [Region.Activations] = bytes });
            foreach (var tensor in arena) _backend.Upload(tensor, [.. Enumerable.Repeat(float.NaN, (int)tensor.Length)]);

            var random = new Random(11);
            float[] Values(Tensor tensor)
            {
                float[] values = [.. Enumerable.Range(0, (int)tensor.Length).Select(_ => (float)(Half)(random.NextDouble() * 2 - 1))];
                _backend.Upload(tensor, values);
                return values;
            }
            (_imageValues, _weightValues, _outputValues) = (Values(_image), Values(_weights), Values(_output));
        }

        /// <summary>Terms in the sum of one element.</summary>
        public static int Depth(Pass pass, Conv2dGeometry g) => pass switch
        {
            Pass.Forward => g.Patch,
            Pass.WeightGradient => g.OutPixels,
            _ => g.KernelHeight * g.KernelWidth * g.GroupFilters,
        };

        /// <param name="example">The only one whose terms are added; null for all.</param>
        public double[] Sum(Pass pass, Func<double, float, float, double> add, int? example = null)
        {
            var sums = new double[Target(pass).Length];
            int outputs = _g.OutPixels * _g.Filters / _g.Batch;
            foreach (var t in Convolution.Terms(_g))
            {
                if (example is { } n && t.Output / outputs != n) continue;
                var (element, a, b) = pass switch
                {
                    Pass.Forward => (t.Output, _imageValues[t.Image], _weightValues[t.Weight]),
                    Pass.WeightGradient => (t.Weight, _imageValues[t.Image], _outputValues[t.Output]),
                    _ => (t.Image, _outputValues[t.Output], _weightValues[t.Weight]),
                };
                sums[element] = add(sums[element], a, b);
            }
            return sums;
        }

        public float[] Run(Pass pass)
        {
            foreach (var action in Bind(pass)) action();
            var values = new float[Target(pass).Length];
            _backend.Download(Target(pass), values);
            return values;
        }

        public Action[] Bind(Pass pass) => [.. Enumerable.Range(0, _g.Groups).Select(group => _backend.Bind(Product(pass, group)))];

        public void Dispose() => _backend.Dispose();

        private Tensor Target(Pass pass) => pass switch { Pass.Forward => _result, Pass.WeightGradient => _weightGradient, _ => _imageGradient };

        private MatrixProduct Product(Pass pass, int group) => pass switch
        {
            Pass.Forward => new MatrixProduct("Forward", new PatchesOperand(_image, _g, group, Transposed: false),
                new DenseOperand(_weights, _g.Patch, _g.GroupFilters, group * _g.GroupWeights, _g.GroupFilters, Transposed: false), _result, group * _g.GroupFilters, _g.Filters),
            Pass.WeightGradient => new MatrixProduct("WeightGradient", new PatchesOperand(_image, _g, group, Transposed: true),
                new DenseOperand(_output, _g.OutPixels, _g.GroupFilters, group * _g.GroupFilters, _g.Filters, Transposed: false), _weightGradient, group * _g.GroupWeights, _g.GroupFilters),
            _ => new MatrixProduct("InputGradient", new GradientPatchesOperand(_output, _g, group),
                new ReversedTapsOperand(_weights, _g, group), _imageGradient, group * _g.GroupChannels, _g.Channels),
        };
    }
}
