namespace Microsoft.ML.MixedPrecision.Tests;

[TestClass]
public sealed class OnnxFileTests
{
    private readonly string _folder = Directory.CreateTempSubdirectory("onnxfile").FullName;

    private static OnnxModel Model => LinearModel.Build(OnnxPrecision.Half, [1, 2], [0]);

    [TestCleanup]
    public void Remove() => Directory.Delete(_folder, recursive: true);

    [TestMethod]
    public void SavingReplacesTheFileAndLeavesNothingElse()
    {
        string path = Path.Combine(_folder, "net.onnx");
        File.WriteAllText(path, "something old");
        OnnxFile.Save(Model, path);
        CollectionAssert.AreEqual(Model.ToBytes(), File.ReadAllBytes(path));
        Assert.HasCount(1, Directory.GetFiles(_folder));

        using var stream = new MemoryStream();
        OnnxFile.Save(Model, stream);
        CollectionAssert.AreEqual(Model.ToBytes(), stream.ToArray());
    }

    [TestMethod]
    [DataRow("absent/net.onnx", "does not exist")]
    [DataRow("file/net.onnx", "does not exist")]
    [DataRow("folder", "it is a folder")]
    [DataRow("folder/", "names a folder")]
    public void APathThatCannotBeWrittenIsNamedWithARemedy(string path, string reason)
    {
        File.WriteAllText(Path.Combine(_folder, "file"), "");
        Directory.CreateDirectory(Path.Combine(_folder, "folder"));
        string full = Path.Combine(_folder, path);
        var e = Assert.ThrowsExactly<IOException>(() => OnnxFile.Save(Model, full));
        StringAssert.Contains(e.Message, full);
        StringAssert.Contains(e.Message, reason);
        StringAssert.Contains(e.Message, "Choose a file in an existing folder");
    }

    [TestMethod]
    public void AFailingWriteKeepsTheOldFile()
    {
        // A name so long that the temporary one beside it cannot exist: the write fails after every check has passed.
        string path = Path.Combine(_folder, new string('n', 250));
        File.WriteAllText(path, "old");
        var e = Assert.ThrowsExactly<IOException>(() => OnnxFile.Save(Model, path));
        StringAssert.Contains(e.Message, path);
        Assert.IsNotNull(e.InnerException);
        Assert.AreEqual("old", File.ReadAllText(path));
        Assert.HasCount(1, Directory.GetFiles(_folder));
    }
}
