// The web API of a model that Model Builder's files trained: POST /predict with one diamond, or with many. Stock ML.NET and ONNX Runtime; the library that trained it is not here.
// Arguments: --model FILE, by default DiamondPrice.mlnet in the current folder; --urls http://localhost:5000, and whatever else ASP.NET Core knows.
using Microsoft.Extensions.ObjectPool;
using Microsoft.ML;
using ModelBuilder;
using Engine = Microsoft.ML.PredictionEngine<ModelBuilder.DiamondPrice.ModelInput, ModelBuilder.DiamondPrice.ModelOutput>;

var builder = WebApplication.CreateBuilder(args);
string path = builder.Configuration["model"] ?? DiamondPrice.MLNetModelPath;
if (!File.Exists(path))
{
    Console.Error.WriteLine($"Expected a model at {path}, found none: train it with 'dotnet run -c Release --project samples/ModelBuilder', or name one with --model.");
    return 1;
}

// A prediction engine is for one thread at a time, so requests share a pool of them. PredictionEnginePool of the package Microsoft.Extensions.ML does the same and also watches the file.
var pool = new DefaultObjectPool<Engine>(new Engines(path));
pool.Return(pool.Get()); // A model that does not load ends the start, and no request waits for it.
builder.Services.AddSingleton<ObjectPool<Engine>>(pool);
builder.Logging.AddFilter("Microsoft.AspNetCore", LogLevel.Warning);

var app = builder.Build();
app.MapPost("/predict", (DiamondPrice.ModelInput diamond, ObjectPool<Engine> engines) => Predict([diamond], engines)[0]);
app.MapPost("/predict/many", (DiamondPrice.ModelInput[] diamonds, ObjectPool<Engine> engines) => Predict(diamonds, engines));
app.Run();
return 0;

static DiamondPrice.ModelOutput[] Predict(DiamondPrice.ModelInput[] diamonds, ObjectPool<Engine> engines)
{
    var engine = engines.Get();
    try
    {
        return Array.ConvertAll(diamonds, engine.Predict);
    }
    finally
    {
        engines.Return(engine);
    }
}

/// <summary>The file is read once; each engine is another view of that model.</summary>
internal sealed class Engines(string path) : PooledObjectPolicy<Engine>
{
    private readonly MLContext _mlContext = new();
    private ITransformer? _model;

    public override Engine Create()
    {
        lock (_mlContext)
        {
            _model ??= _mlContext.Model.Load(path, out _);
            return _mlContext.Model.CreatePredictionEngine<DiamondPrice.ModelInput, DiamondPrice.ModelOutput>(_model);
        }
    }

    public override bool Return(Engine obj) => true;
}
