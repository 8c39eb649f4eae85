namespace Microsoft.ML.MixedPrecision;

public sealed partial class Network
{
    /// <summary>
    /// Writes the values that the network starts from, those of <see cref="MixedPrecisionTransformer.Network"/> say, for <see cref="LoadWeights"/>: a safetensors file of FP32 tensors, "Conv2d1.Weight" and the like, in the
    /// layout that they have here (filters last; a Linear is [inputs, outputs]).
    /// </summary>
    /// <param name="path">A file in an existing folder; replaced if it is there.</param>
    /// <exception cref="InvalidOperationException">A layer has none: the network was not trained.</exception>
    /// <exception cref="IOException">The file cannot be written; the message names the path.</exception>
    public void SaveWeights(string path)
    {
        var tensors = new List<(string Name, IReadOnlyList<int> Shape, float[] Values)>();
        foreach (var (node, names, shapes) in Values())
        {
            var start = node.Start ?? throw new InvalidOperationException($"SaveWeights: expected a network that was trained, got {node.Op!.Kind} '{node.Name}' without weights; take MixedPrecisionTransformer.Network.");
            foreach (var (i, values) in start.Parameters.Concat(start.Buffers).Index()) tensors.Add((names[i], shapes[i], values));
        }
        WholeFile.Write(path, "weights", stream => SafeTensors.Write(stream, tensors));
    }

    /// <summary>The same network, starting from the values of a file that <see cref="SaveWeights"/> wrote, for layers of the same names.</summary>
    /// <param name="path">A safetensors file of FP32 or FP16 tensors.</param>
    /// <param name="strict">Whether the file must have the values of all layers and no others, as it must by default; else layers that it lacks keep what they start from, and what is not a layer's is left out.</param>
    /// <exception cref="ArgumentException">The layers' values are not there, or have another shape; the message names one.</exception>
    /// <exception cref="InvalidDataException">The file is no such file.</exception>
    /// <exception cref="IOException">The file cannot be read.</exception>
    public Network LoadWeights(string path, bool strict = true)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        Dictionary<string, (int[] Shape, float[] Values)> tensors;
        try
        {
            using var stream = File.OpenRead(path);
            tensors = SafeTensors.Read(stream);
        }
        catch (InvalidDataException e)
        {
            throw new InvalidDataException($"LoadWeights: expected a file that SaveWeights wrote, got {path} ({e.Message}).", e);
        }
        var loaded = new Dictionary<Node, StartValues>();
        foreach (var (node, names, shapes) in Values())
        {
            int there = names.Count(tensors.ContainsKey);
            if (there == 0 && !strict) continue;
            if (there < names.Count) throw new ArgumentException($"LoadWeights: expected '{names.First(name => !tensors.ContainsKey(name))}' in {path}, got {Listed(tensors.Keys)}; load the file that was written from this network{(there == 0 ? ", or with strict: false, where layers may lack" : "")}.", nameof(path));
            foreach (var (name, shape) in names.Zip(shapes))
                if (!tensors[name].Shape.SequenceEqual(shape)) throw new ArgumentException($"LoadWeights: '{name}': expected [{string.Join('x', shape)}], got [{string.Join('x', tensors[name].Shape)}] in {path}; load the file that was written from this network.", nameof(path));
            float[][] values = [.. names.Select(name => tensors[name].Values)];
            int parameters = node.Op!.Parameters(node.InputShapes).Count;
            loaded.Add(node, new StartValues(values[..parameters], values[parameters..]));
            foreach (string name in names) tensors.Remove(name);
        }
        if (strict && tensors.Count > 0) throw new ArgumentException($"LoadWeights: expected the values of this network's layers alone in {path}, got {Listed(tensors.Keys)} too; load the file that was written from this network, or with strict: false.", nameof(path));
        return StartingFrom(node => loaded.GetValueOrDefault(node) ?? node.Start);

        static string Listed(IReadOnlyCollection<string> names) => names.Count == 0 ? "none" : string.Join(", ", names.Take(4).Select(name => $"'{name}'")) + (names.Count > 4 ? $" and {names.Count - 4} more" : "");
    }

    /// <summary>The layers that have values, with the names and shapes of these.</summary>
    private IEnumerable<(Node Node, IReadOnlyList<string> Names, IReadOnlyList<IReadOnlyList<int>> Shapes)> Values()
    {
        var nodes = Node.Sorted();
        var names = Node.UniqueNames(nodes);
        foreach (var node in nodes.Where(node => node.Op is not null))
        {
            var (parameters, buffers) = (node.Op!.Parameters(node.InputShapes), node.Op.Buffers(node.InputShapes));
            if (parameters.Count + buffers.Count > 0)
                yield return (node, [.. parameters.Select(p => p.Name).Concat(buffers.Select(b => b.Name)).Select(name => $"{names[node]}.{name}")], [.. parameters.Select(p => p.Dimensions), .. buffers.Select(b => new[] { b.Length })]);
        }
    }
}
