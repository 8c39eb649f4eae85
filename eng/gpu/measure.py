"""What run.sh runs: the stages within their time, one JSON and one table of what they gave. measure.py TREE OUTPUT SECONDS [STAGE=SECONDS ...]"""
import concurrent.futures
import ctypes
import datetime
import glob
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import time

WEIGHTS = {"tests": 28, "kernels": 28, "steps": 28, "accuracy": 8, "rest": 8}  # of the time that is left
REHEARSAL = os.environ.get("DEVICE") == "cpu"
MOST_PROCESSES = 14  # of tests at once
ROUNDS = 9  # at most; the time limits them before
STEP_SECONDS = 0.3 if REHEARSAL else 1
GAP = 5  # seconds kept for writing and for processes that end

# What is asked of an H100 or H200: parts of PyTorch's speed in the same run, or of our own copy's bandwidth.
KERNEL_BARS = (("matmul", 0.60), ("conv", 0.55))
COPY_BAR = 0.85
STEP_BARS = {("mlp", "eager"): 3, ("cnn", "eager"): 3, ("resnet20", "eager"): 3, ("resnet50", "eager"): 0.5,
             **{(workload, kind): 1 for workload in ("mlp", "cnn", "resnet20") for kind in ("compiled", "graph")}}
SINGLE_BAR = 3
ACCURACY_BARS = {"digits": 0.975, "Fashion-MNIST": 0.895}  # as on the CPU
ACCURACY_APART = 0.004  # Fashion-MNIST's means of both precisions
FASHION_MNIST = os.environ.get("FASHION_MNIST", "/usr/share/datasets/fashion-mnist")
STEPS = {"resnet50": ("eager",), "mlp": ("eager", "graph", "compiled"), "cnn": ("eager", "graph", "compiled"), "resnet20": ("eager", "graph", "compiled"),
         "encoder": ("eager", "graph", "compiled"), "lstm": ("eager", "graph", "compiled"), "words": ("eager", "graph")}  # what takes longest first: a short run has it
SLOW = ("compiled", "single")  # to start, or at work: behind all others of a round, so that a short run has the rest


def driver():
    """The driver's library and its first GPU; or why there is none."""
    folders = [*os.environ.get("LD_LIBRARY_PATH", "").split(":"), "/usr/local/nvidia/lib64", "/usr/local/nvidia/lib", "/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib/wsl/lib"]
    paths = ["libcuda.so.1", *(path for folder in folders if folder for path in sorted(glob.glob(os.path.join(folder, "libcuda.so*"))))]
    for path in paths:
        try:
            cuda = ctypes.CDLL(path)
            break
        except OSError:
            continue
    else:
        return None, "libcuda.so.1 is not on this machine: install the NVIDIA driver (in a container: start it with GPU access)"
    status, count = cuda.cuInit(0), ctypes.c_int()
    if status != 0 or cuda.cuDeviceGetCount(ctypes.byref(count)) != 0 or count.value == 0:
        return None, f"{path} is there, but reports no GPU (cuInit: {status}): check nvidia-smi and CUDA_VISIBLE_DEVICES"
    device, name, memory, version = ctypes.c_int(), ctypes.create_string_buffer(256), ctypes.c_size_t(), ctypes.c_int()
    cuda.cuDeviceGet(ctypes.byref(device), 0)
    cuda.cuDeviceGetName(name, 256, device)
    cuda.cuDeviceTotalMem_v2(ctypes.byref(memory), device)
    cuda.cuDriverGetVersion(ctypes.byref(version))
    loaded = next((line.split()[-1] for line in open("/proc/self/maps", encoding="utf-8") if "/libcuda.so" in line), path)
    return {"name": name.value.decode(), "memory_bytes": memory.value, "cuda": f"{version.value // 1000}.{version.value % 1000 // 10}", "library": os.path.realpath(loaded)}, ""


class Run:
    def __init__(self, tree, output, seconds, limits, device):
        self.tree, self.output, self.limits, self.device = tree, output, limits, device
        self.end = time.monotonic() + seconds - GAP
        self.app = os.path.join(tree, "artifacts", "app")
        self.environment = {**os.environ, "TESTINGPLATFORM_TELEMETRY_OPTOUT": "1", "DOTNET_CLI_TELEMETRY_OPTOUT": "1"}
        if not REHEARSAL:
            self.link_driver(device["library"])
        stamp = datetime.datetime.now(datetime.timezone.utc)
        slug = re.sub(r"[^a-z0-9]+", "-", device["name"].lower()).strip("-")
        self.name = f"{stamp:%Y-%m-%d-%H%M}-{slug}"
        os.makedirs(output, exist_ok=True)
        self.logs = os.path.join(output, f"{self.name}-logs")
        os.makedirs(self.logs, exist_ok=True)
        version = os.path.join(self.app, "version")
        self.torch = self.find_torch()
        self.result = {
            "date": f"{stamp:%Y-%m-%d %H:%M} UTC", "device": device, "sources": open(version, encoding="utf-8").read().strip() if os.path.exists(version) else None,
            "pytorch": self.torch, "seconds": seconds, "rehearsal": REHEARSAL, "tests": {}, "kernels": [], "steps": [], "accuracy": [], "plan_bytes": None, "errors": [], "peer_errors": []}
        self.deadline = self.end

    def link_driver(self, library):
        """ILGPU asks for libcuda.so, and a driver may have installed libcuda.so.1 only, in a folder that the loader does not know."""
        folder = os.path.join(self.app, "driver")
        os.makedirs(folder, exist_ok=True)
        for name in ("libcuda.so", "libcuda.so.1"):
            link = os.path.join(folder, name)
            if os.path.lexists(link):
                os.remove(link)
            os.symlink(library, link)
        self.environment["LD_LIBRARY_PATH"] = ":".join(filter(None, [folder, os.path.dirname(library), self.environment.get("LD_LIBRARY_PATH", "")]))

    def find_torch(self):
        peer = subprocess.run([sys.executable, self.peer(), "version"], capture_output=True, text=True, env=self.environment)
        print(peer.stdout.strip() or f"Ours only: {(peer.stderr.strip() or 'no answer').splitlines()[-1]}", flush=True)
        return peer.stdout.strip() or None

    def peer(self):
        return os.path.join(self.tree, "eng", "gpu", "peer_pytorch.py")

    def stage(self, name, weights):
        """Seconds of a stage: those asked for, or its share of those that are left."""
        left = self.end - time.monotonic()
        seconds = min(left, self.limits.get(name, left * weights[name] / sum(weights.values())))
        self.deadline = time.monotonic() + seconds
        if seconds > 0:
            print(f"--- {name}: at most {seconds:.0f} s", flush=True)
        return seconds > 0

    def left(self):
        return self.deadline - time.monotonic()

    def program(self, name, log, command):
        """Runs a program in the stage's time with its output in a log; returns the output, and None or what went wrong."""
        path = os.path.join(self.logs, f"{log}.log")
        if self.left() <= 0:
            return "", "no time left"
        with open(path, "a", encoding="utf-8") as file:
            process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, cwd=self.logs, env=self.environment, start_new_session=True)
            try:
                status = process.wait(timeout=max(self.left(), 0.1))
                wrong = None if status == 0 else f"exit code {status}"
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                wrong = "cut off by the stage's time"
        text = open(path, encoding="utf-8", errors="replace").read()
        if wrong:
            last = next((line.strip() for line in reversed(text.splitlines()) if line.strip() and not line.startswith("   at ")), "")
            print(f"{name}: {wrong}: {last[:200]}", flush=True)
            if not wrong.startswith("cut off"):
                self.result["peer_errors" if command[0] == sys.executable else "errors"].append(f"{name}: {wrong}: {last[:500]}")
        return text, wrong

    def benchmarks(self, *arguments):
        return [os.path.join(self.app, "benchmarks", "Microsoft.ML.MixedPrecision.Benchmarks"), *arguments, "--device", "cpu" if REHEARSAL else "cuda:0"]

    # The stages.

    def test(self, name, condition):
        """All tests of a condition in one process, one after the other."""
        self.count(name, [self.tests(name, condition)])

    def test_classes(self, name, condition):
        """The same with a process for each class, several at once: most of the time the driver compiles kernels, on one core for each process. Where a class compiles every tile, with one for each method."""
        groups = []
        for path in sorted(glob.glob(os.path.join(self.tree, "test", "Microsoft.ML.MixedPrecision.Tests", "**", "*Tests.cs"), recursive=True)):
            text = open(path, encoding="utf-8").read()
            for found in re.findall(r"\bclass (\w+Tests)\b", text):
                methods = re.findall(r"^    public void (\w+)\(", text, re.MULTILINE) if "TensorProductTests.All" in text or found == "TensorProductTests" else [""]
                groups += [f"{found}.{method}" for method in methods]
        groups.sort(key=lambda group: group.endswith("."))  # the long ones first
        with concurrent.futures.ThreadPoolExecutor(min(os.cpu_count() or 1, MOST_PROCESSES)) as pool:
            self.count(name, list(pool.map(lambda group: self.tests(f"{name}-{group.strip('.')}", f"FullyQualifiedName~.{group}&({condition})"), groups)))

    def tests(self, log, condition):
        if self.left() <= 2 * GAP:
            return "", "no time left"
        return self.program(log, log, [
            os.path.join(self.app, "tests", "Microsoft.ML.MixedPrecision.Tests"), "--filter", condition, "--output", "Detailed", "--no-ansi", "--progress", "off", "--results-directory", self.logs,
            "--ignore-exit-code", "8", "--timeout", f"{max(self.left() - GAP, 1):.0f}s"])  # 8: the condition leaves a class none

    def count(self, name, runs):
        outcomes = [found for text, _ in runs for found in re.findall(r"^(passed|failed|skipped) (.+?) \(\d[^()]*\)$", text, re.MULTILINE)]
        wrong = "; ".join(dict.fromkeys(wrong for _, wrong in runs if wrong)) or None
        count = {outcome: sum(1 for found, _ in outcomes if found == outcome) for outcome in ("passed", "failed", "skipped")}
        on_cuda = {outcome: sum(1 for found, row in outcomes if found == outcome and row.startswith("cuda,")) for outcome in count}
        self.result["tests"][name] = {**count, "cuda": on_cuda, "wrong": wrong}
        print(f"{name}: {count['passed']} passed, {count['failed']} failed, {count['skipped']} skipped; rows run on CUDA: {on_cuda['passed'] + on_cuda['failed']}", flush=True)
        self.save()

    def kernels(self):
        size, largest, batch, millions = ("256", "256", "1", "1") if REHEARSAL else ("4096,8192", "4096", "128", "64")
        self.environment.update(SIZES=size, SINGLES=largest, BATCH=batch, MILLIONS=millions)
        groups = {"matmul": ["gemm", "mixed", "0", *size.split(",")], "singles": ["gemm", "single", "0", largest], "bandwidth": ["bandwidth", "mixed", millions], "convolutions": ["gemm", "mixed", "0", "convolutions", "--batch", batch]}
        failed = set()
        for round in range(1 if REHEARSAL else ROUNDS):
            for group, command in groups.items():
                for who in ("ours", "pytorch") if round % 2 == 0 else ("pytorch", "ours"):
                    if (who, group) in failed or (who == "pytorch" and not self.torch) or self.left() <= 0:
                        continue
                    file = os.path.join(self.logs, f"kernels-{group}-{who}-{round}.jsonl")
                    arguments = self.benchmarks(*command, "--json", file) if who == "ours" else [sys.executable, self.peer(), "kernels", file, group]
                    _, wrong = self.program(f"{who} {group}", f"kernels-{group}-{who}", arguments)
                    if wrong and not wrong.startswith("cut off"):
                        failed.add((who, group))
                    if os.path.exists(file):
                        lines = [json.loads(line) for line in open(file, encoding="utf-8") if line.endswith("\n")]
                        self.result["kernels"] += [{"who": who, "round": round, "group": group, **line} for line in lines]
                        os.remove(file)
                    self.save()

    def steps(self):
        text, _ = self.program("plan of resnet50", "plan", self.benchmarks("plan", "resnet50"))
        total = re.search(r"^Total\s+([\d,]+)\s+([\d,]+)", text, re.MULTILINE)
        if total:
            self.result["plan_bytes"] = {"resnet50": dict(zip(("mixed", "single"), (int(number.replace(",", "")) for number in total.groups())))}
        failed = set()
        for round in range(1 if REHEARSAL else ROUNDS):
            for workload, types, slow in [(*item, slow) for slow in (False, True) for item in STEPS.items()]:
                batch = "2" if REHEARSAL and workload == "resnet50" else None
                peers = [kind for kind in types if self.torch and (kind in SLOW) == slow]
                whos = [*peers, *(["single"] if workload == "resnet50" else [])] if slow else ["mixed", *peers]
                for who in whos if round % 2 == 0 else reversed(whos):
                    if (workload, who) in failed or self.left() <= 0:
                        continue
                    command = [sys.executable, self.peer(), workload, who, str(STEP_SECONDS), *([batch] if batch else [])] if who in types \
                        else self.benchmarks("train", workload, who, str(STEP_SECONDS), *(["--batch", batch] if batch else []))
                    text, wrong = self.program(f"{workload} {who}", f"steps-{workload}-{who}", command)
                    found = re.findall(r"([\d.]+) samples/s\s+peak ([\d.]+) MB", text)
                    if wrong or len(found) == 0:
                        if not (wrong or "").startswith("cut off"):
                            failed.add((workload, who))
                        continue
                    rate, peak = map(float, found[-1])
                    print(f"{workload} {who}: {rate:,.0f} samples/s, {peak:,.0f} MB", flush=True)
                    self.result["steps"].append({"workload": workload, "who": who, "round": round, "samples_per_second": rate, "peak_megabytes": peak})
                    self.save()

    def accuracy(self):
        """The samples' own trainings, with their own settings: what a user would see."""
        device = "cpu" if REHEARSAL else "cuda:0"
        text, wrong = self.program("digits", "accuracy-digits", self.sample("quickstart", "Quickstart", "--device", device))
        if not wrong:
            rows = re.findall(r"\b(Mixed|Single)\s+\S\s+([\d.]+) %\s+\S\s+[\d,]+\s+\S\s+[\d,]+\s+\S\s+(\d+)", text)
            if len(rows) != 2:
                self.result["errors"].append(f"digits: expected a row of its table for each precision, found {len(rows)}; see accuracy-digits.log")
            for precision, percent, skipped in rows:
                self.result["accuracy"].append({"data": "digits", "precision": precision, "seed": 1, "accuracy": float(percent) / 100, "skipped": int(skipped)})
            self.save()
        if not os.path.isdir(FASHION_MNIST):
            print(f"Fashion-MNIST: left out, because {FASHION_MNIST} is not there; FASHION_MNIST names the folder of its files.", flush=True)
            return
        epochs, seeds = ("1", "1") if REHEARSAL else ("3", "3")
        file = os.path.join(self.logs, "fashion-mnist.json")
        _, wrong = self.program("Fashion-MNIST", "accuracy-fashion-mnist", self.sample("fashion-mnist", "FashionMnist", os.path.abspath(FASHION_MNIST), epochs, seeds, file, "--device", device))
        if not wrong:
            self.result["accuracy"] += [{"data": "Fashion-MNIST", "precision": r["Precision"], "seed": r["Seed"], "accuracy": r["Accuracy"], "skipped": r["SkippedUpdates"],
                                         "samples_per_second": r["SamplesPerSecond"]} for r in json.load(open(file, encoding="utf-8"))["Results"]]
            self.save()

    def sample(self, folder, program, *arguments):
        return [os.path.join(self.app, folder, program), *arguments]

    # What comes of it.

    def save(self):
        self.result["summary"] = {"kernels": self.kernel_rows(), "steps": self.step_rows(), "accuracy": self.accuracy_rows()}
        for name, text in ((f"{self.name}.json", json.dumps(self.result, indent=1)), (f"{self.name}.md", self.table())):
            path = os.path.join(self.output, name)
            with open(path + ".part", "w", encoding="utf-8") as file:
                file.write(text + "\n")
            os.replace(path + ".part", path)

    def kernel_rows(self):
        def seconds(who, name, round=None):
            """The median of the rounds, or one round's. PyTorch's name with a + is the sum of kernels of ours."""
            parts = [[k["seconds"] for k in self.result["kernels"] if k["who"] == who and k["name"] == part and round in (None, k["round"])]
                     for part in (name.split(" + ") if who == "ours" else [name])]
            return sum(map(statistics.median, parts)) if all(parts) else None

        ours = list(dict.fromkeys(k["name"] for k in self.result["kernels"] if k["who"] == "ours"))
        theirs = list(dict.fromkeys(k["name"] for k in self.result["kernels"] if k["who"] == "pytorch"))
        rows = []
        for name in [*ours, *(name for name in theirs if " + " in name)]:
            first = next((k for k in self.result["kernels"] if k["name"] == name), None)
            mine, rounds = seconds("ours", name), sorted({k["round"] for k in self.result["kernels"]})
            if mine is None:
                continue
            peer = seconds("pytorch", name) if name in theirs else None
            pairs = [(seconds("pytorch", name, r), seconds("ours", name, r)) for r in rounds] if peer else []
            ratios = [theirs / own for theirs, own in pairs if theirs and own]
            row = {"name": name, "milliseconds": mine * 1e3, "pytorch_milliseconds": peer and peer * 1e3, "part_of_pytorch": statistics.median(ratios) if ratios else None, "rounds": len(ratios)}
            if first["flop"]:
                row["tflops"] = first["flop"] / mine / 1e12
                bar, reached = next((bar for prefix, bar in KERNEL_BARS if name.startswith(prefix)), None), row["part_of_pytorch"]
            elif " + " not in name:
                row["gigabytes_per_second"] = first["bytes"] / mine / 1e9
                copies = [(k, next(c for c in self.result["kernels"] if c["who"] == "ours" and c["name"] == "Copy" and c["round"] == k["round"]))
                          for k in self.result["kernels"] if k["who"] == "ours" and k["name"] == name]
                row["part_of_copy"] = reached = statistics.median((k["bytes"] / k["seconds"]) / (c["bytes"] / c["seconds"]) for k, c in copies)
                bar = None if name == "Copy" else COPY_BAR
            else:
                bar = reached = None
            row["bar"], row["met"] = bar, None if bar is None or reached is None else reached >= bar
            rows.append(row)
        return rows

    def step_rows(self):
        def rates(workload, who):
            return {s["round"]: s["samples_per_second"] for s in self.result["steps"] if s["workload"] == workload and s["who"] == who}

        rows = []
        for workload, types in STEPS.items():
            mixed = rates(workload, "mixed")
            if not mixed:
                continue
            for who in ("single", *types):
                other = rates(workload, who)
                ratios = [mixed[round] / other[round] for round in mixed if other.get(round)]
                bar = SINGLE_BAR if who == "single" else STEP_BARS.get((workload, who))
                if ratios or who != "single":
                    ratio = statistics.median(ratios) if ratios else None
                    rows.append({"workload": workload, "to": who, "samples_per_second": statistics.median(mixed.values()), "other": statistics.median(other.values()) if other else None,
                                 "ratio": ratio, "rounds": len(ratios), "bar": bar, "met": None if ratio is None or bar is None else ratio >= bar})
        return rows

    def accuracy_rows(self):
        def accuracies(data, precision):
            return [a["accuracy"] for a in self.result["accuracy"] if (a["data"], a["precision"]) == (data, precision)]

        rows = []
        for data, bar in ACCURACY_BARS.items():
            mixed, single = accuracies(data, "Mixed"), accuracies(data, "Single")
            if mixed and single:
                apart = abs(statistics.mean(mixed) - statistics.mean(single))
                met = min(statistics.mean(mixed), statistics.mean(single)) >= bar and (data == "digits" or apart <= ACCURACY_APART)
                rows.append({"data": data, "mixed": statistics.mean(mixed), "single": statistics.mean(single), "apart": apart, "seeds": len(mixed), "bar": bar, "met": met})
        return rows

    def table(self):
        def cell(value, form="{:.2f}"):
            return "" if value is None else "yes" if value is True else "no" if value is False else form.format(value)

        lines = [f"# {self.result['device']['name']}, {self.result['date']}", "",
                 f"{'A rehearsal on a CPU: these figures mean nothing. ' if REHEARSAL else ''}Sources {self.result['sources']}. {self.torch or 'No PyTorch.'}", ""]
        for name, tests in self.result["tests"].items():
            lines.append(f"- {name}: {tests['passed']} passed, {tests['failed']} failed, {tests['skipped']} skipped; rows run on CUDA: {tests['cuda']['passed'] + tests['cuda']['failed']}{'; ' + tests['wrong'] if tests['wrong'] else ''}")
        lines += ["", "| kernel | ms | TFLOP/s | GB/s | PyTorch, ms | part of PyTorch | part of copy | bar | met |", "|---|---|---|---|---|---|---|---|---|"]
        for row in self.kernel_rows():
            lines.append("| " + " | ".join([row["name"], cell(row["milliseconds"], "{:.4f}"), cell(row.get("tflops"), "{:.1f}"), cell(row.get("gigabytes_per_second"), "{:.0f}"),
                         cell(row["pytorch_milliseconds"], "{:.4f}"), cell(row["part_of_pytorch"]), cell(row.get("part_of_copy")), cell(row["bar"]), cell(row["met"])]) + " |")
        lines += ["", "| training step | mixed, samples/s | compared with | samples/s | ratio | rounds | bar | met |", "|---|---|---|---|---|---|---|---|"]
        for row in self.step_rows():
            lines.append("| " + " | ".join([row["workload"], cell(row["samples_per_second"], "{:,.0f}"), "ours, single" if row["to"] == "single" else f"PyTorch, {row['to']}",
                         cell(row["other"], "{:,.0f}"), cell(row["ratio"]), str(row["rounds"]), cell(row["bar"]), cell(row["met"])]) + " |")
        if self.accuracy_rows():
            lines += ["", "| accuracy | mixed | ours, single | seeds | bar | met |", "|---|---|---|---|---|---|"]
            lines += ["| " + " | ".join([row["data"], cell(row["mixed"], "{:.2%}"), cell(row["single"], "{:.2%}"), str(row["seeds"]), cell(row["bar"], "{:.1%}"), cell(row["met"])]) + " |"
                      for row in self.accuracy_rows()]
        if self.result["plan_bytes"]:
            plan = self.result["plan_bytes"]["resnet50"]
            lines += ["", f"Plan of resnet50: {plan['mixed']:,} bytes mixed, {plan['single']:,} single: {plan['mixed'] / plan['single']:.3f} (bar 0.55)."]
        for title, errors in (("What went wrong:", self.result["errors"]), ("What went wrong in PyTorch:", self.result["peer_errors"])):
            if errors:
                lines += ["", title, *(f"- {error}" for error in errors)]
        return "\n".join(lines)


def main(tree, output, seconds, *stages):
    limits = {}
    for stage in stages:
        name, _, value = stage.partition("=")
        if name not in WEIGHTS or not value.isdigit():
            sys.exit(f"run.sh: expected STAGE=SECONDS with one of {', '.join(WEIGHTS)}, got '{stage}'.")
        limits[name] = int(value)
    if not seconds.isdigit():
        sys.exit(f"run.sh: expected a number of seconds, got '{seconds}'.")
    device, missing = driver()
    if REHEARSAL:
        device = {"name": "rehearsal without a GPU"}
    elif device is None:
        sys.exit(f"run.sh: expected a machine with an NVIDIA GPU, found none: {missing}. DEVICE=cpu rehearses without one.")
    else:
        print(f"{device['name']}, {device['memory_bytes'] / 2 ** 30:.0f} GiB, CUDA {device['cuda']}", flush=True)

    run = Run(tree, os.path.abspath(output), int(seconds), limits, device)
    run.save()
    actions = {"tests": lambda: run.test_classes("tests", "Name~LayerNorm|Name~cuda" if REHEARSAL else "Name~cuda"), "kernels": run.kernels, "steps": run.steps, "accuracy": run.accuracy,
               "rest": lambda: run.test("rest", "Name!~cuda")}
    weights = {name: WEIGHTS[name] for name in WEIGHTS if limits.get(name) != 0}
    while weights:
        name = next(iter(weights))
        if run.stage(name, weights):
            actions[name]()
        del weights[name]
    run.save()
    print(f"\n{run.table()}\n\n{os.path.join(run.output, run.name)}.json", flush=True)

    tests = run.result["tests"]
    on_cuda = sum(t["cuda"]["passed"] + t["cuda"]["failed"] for t in tests.values())
    if "tests" in tests and on_cuda == 0 and not REHEARSAL:
        sys.exit("run.sh: expected rows that ran on CUDA, but all were skipped or none was found; see tests.log.")
    if any(t["failed"] or t["wrong"] for t in tests.values()) or run.result["errors"]:
        sys.exit("run.sh: something failed; see the table and the logs.")


if __name__ == "__main__":
    main(*sys.argv[1:])
