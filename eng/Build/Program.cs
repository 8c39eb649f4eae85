using Microsoft.ML.MixedPrecision.Build;

string verb = args.Length == 0 ? "help" : args[0];
string[] rest = args.Length == 0 ? [] : args[1..];

try
{
    return verb switch
    {
        "test" => TestVerb.Run(rest),
        "build" => Gates.Restore() && Gates.Build() ? 0 : 1,
        "format" => Gates.Format(verify: false) ? 0 : 1,
        "pack" => Packages.Pack() ? 0 : 1,
        "bench" => Benchmarks.Run(rest),
        "consumer" => Consumer.Run(),
        "public-api" => PublicApi.Update() ? 0 : 1,
        "help" or "-h" or "--help" => Help(),
        _ => Unknown(verb),
    };
}
catch (BuildException e)
{
    Console.Error.WriteLine(e.Message);
    return 1;
}

static int Help()
{
    Console.WriteLine("""
        build.sh test        restore, build, check the formatting, run every test with coverage; arguments go to the tests
        build.sh build       restore and build everything, warnings as errors
        build.sh format      put the formatting right
        build.sh pack        the NuGet package and its symbols, to artifacts/packages
        build.sh bench       the benchmarks; arguments go to them
        build.sh consumer    pack, then train from a project outside the repository that knows only the package
        build.sh public-api  write the public surface into PublicAPI.Unshipped.txt
        """);
    return 0;
}

static int Unknown(string verb)
{
    Console.Error.WriteLine($"build.sh: '{verb}' is not a verb.");
    Help();
    return 1;
}
