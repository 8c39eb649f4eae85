/* A stand-in for libcuda: device memory is host memory, kernels do nothing, and every call that matters is a line in a log.
   It applies the driver's documented rules for stream capture, and refuses what the environment tells it to:
     FAKECUDA_LOG           the log
     FAKECUDA_NEWEST_PTX    modules of a newer PTX version do not load (83 for 8.3)
     FAKECUDA_NO_CAPTURE    captures are invalidated
     FAKECUDA_MOST_BYTES    allocations beyond that fail, although cuMemGetInfo says otherwise
     FAKECUDA_LAUNCHES      the device is lost after as many launches */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int Result;
typedef void *Pointer;
enum { SUCCESS = 0, OUT_OF_MEMORY = 2, UNSUPPORTED_PTX = 222, LAUNCH_FAILED = 719, CAPTURE_UNSUPPORTED = 900, CAPTURE_INVALIDATED = 901, CAPTURE_IMPLICIT = 906 };

static FILE *file;
static Pointer capturing;
static int invalid, nodes, graph_nodes;
static intptr_t waits[64]; /* the nodes that the next one of the capture waits for */
static int waiting;
static long launches;

static void note(const char *call)
{
    if (!file)
    {
        const char *path = getenv("FAKECUDA_LOG");
        file = path ? fopen(path, "w") : stderr;
    }
    fprintf(file, "%s%s\n", call, capturing ? " (captured)" : "");
    fflush(file);
}

static long setting(const char *name, long none)
{
    const char *value = getenv(name);
    return value ? atol(value) : none;
}

static int lost(void) { return launches > setting("FAKECUDA_LAUNCHES", INT64_MAX / 2); }

/* Calls that the driver does not allow while a stream is captured: they end the capture. */
#define NEVER_CAPTURED(name) do { note(name); if (capturing) { invalid = 1; return CAPTURE_UNSUPPORTED; } if (lost()) return LAUNCH_FAILED; } while (0)
/* Work for a stream: a node of the graph while that stream is captured. */
#define WORK(name, stream) do { note(name); if (lost()) return LAUNCH_FAILED; if (capturing && (stream) != capturing) { invalid = 1; return CAPTURE_IMPLICIT; } if (capturing) { waits[0] = ++nodes; waiting = 1; return SUCCESS; } } while (0)

void fakeMark(const char *text) { note(text); }

Result cuInit(unsigned flags) { return SUCCESS; }
Result cuDriverGetVersion(int *version) { *version = 12040; return SUCCESS; }
Result cuDeviceGet(int *device, int ordinal) { *device = ordinal; return SUCCESS; }
Result cuDeviceGetCount(int *count) { *count = 1; return SUCCESS; }
Result cuDeviceGetName(char *name, int length, int device) { snprintf(name, length, "Fake GPU"); return SUCCESS; }
Result cuDeviceTotalMem_v2(size_t *bytes, int device) { *bytes = (size_t)1 << 34; return SUCCESS; }
Result cuDeviceGetAttribute(int *value, int attribute, int device)
{
    switch (attribute)
    {
        case 1: case 2: case 3: *value = 1024; break;
        case 4: *value = 64; break;
        case 5: *value = 2147483647; break;
        case 6: case 7: *value = 65535; break;
        case 8: *value = 49152; break;
        case 9: case 12: case 82: *value = 65536; break;
        case 10: *value = 32; break;
        case 16: *value = 132; break;
        case 39: *value = 2048; break;
        case 75: *value = 9; break;
        case 76: *value = 0; break;
        case 81: *value = 233472; break;
        default: *value = 1;
    }
    return SUCCESS;
}
Result cuCtxCreate_v2(Pointer *context, int flags, int device) { *context = (Pointer)0xC0; return SUCCESS; }
Result cuCtxDestroy_v2(Pointer context) { return SUCCESS; }
Result cuCtxSetCurrent(Pointer context) { return SUCCESS; }
Result cuCtxSynchronize(void) { NEVER_CAPTURED("cuCtxSynchronize"); return SUCCESS; }
Result cuCtxGetCacheConfig(int *config) { *config = 0; return SUCCESS; }
Result cuCtxSetCacheConfig(int config) { return SUCCESS; }
Result cuCtxGetSharedMemConfig(int *config) { *config = 0; return SUCCESS; }
Result cuCtxSetSharedMemConfig(int config) { return SUCCESS; }
Result cuDeviceCanAccessPeer(int *can, int a, int b) { *can = 0; return SUCCESS; }
Result cuPointerGetAttribute(Pointer value, int attribute, Pointer pointer) { *(int *)value = 2; return SUCCESS; }
Result cuMemGetInfo_v2(size_t *free_bytes, size_t *total) { *free_bytes = *total = (size_t)1 << 34; return SUCCESS; }
Result cuMemAlloc_v2(Pointer *pointer, size_t bytes)
{
    NEVER_CAPTURED("cuMemAlloc");
    if ((long)bytes > setting("FAKECUDA_MOST_BYTES", INT64_MAX / 2)) return OUT_OF_MEMORY;
    *pointer = aligned_alloc(256, (bytes + 255) / 256 * 256);
    return *pointer ? SUCCESS : OUT_OF_MEMORY;
}
Result cuMemFree_v2(Pointer pointer) { NEVER_CAPTURED("cuMemFree"); free(pointer); return SUCCESS; }
Result cuMemAllocHost_v2(Pointer *pointer, size_t bytes) { NEVER_CAPTURED("cuMemAllocHost"); *pointer = malloc(bytes); return SUCCESS; }
Result cuMemFreeHost(Pointer pointer) { NEVER_CAPTURED("cuMemFreeHost"); free(pointer); return SUCCESS; }
Result cuMemcpyAsync(Pointer to, Pointer from, size_t bytes, Pointer stream) { char call[48]; snprintf(call, sizeof call, "cuMemcpyAsync stream %d", (int)(intptr_t)stream); WORK(call, stream); memcpy(to, from, bytes); return SUCCESS; }
Result cuMemsetD8Async(Pointer to, unsigned char value, size_t bytes, Pointer stream) { WORK("cuMemsetD8Async", stream); memset(to, value, bytes); return SUCCESS; }
Result cuMemHostRegister_v2(Pointer host, size_t bytes, int flags) { NEVER_CAPTURED("cuMemHostRegister"); return SUCCESS; }
Result cuMemHostUnregister(Pointer host) { NEVER_CAPTURED("cuMemHostUnregister"); return SUCCESS; }
Result cuMemHostGetDevicePointer_v2(Pointer *device, Pointer host, int flags) { *device = host; return SUCCESS; }
Result cuStreamCreate(Pointer *stream, int flags) { static intptr_t next = 0x51; *stream = (Pointer)next++; return SUCCESS; }
Result cuStreamCreateWithPriority(Pointer *stream, int flags, int priority) { return cuStreamCreate(stream, flags); }
Result cuStreamDestroy_v2(Pointer stream) { return SUCCESS; }
Result cuStreamSynchronize(Pointer stream) { NEVER_CAPTURED("cuStreamSynchronize"); return SUCCESS; }
Result cuGetErrorString(int error, const char **text)
{
    *text = error == OUT_OF_MEMORY ? "out of memory" : error == UNSUPPORTED_PTX ? "the provided PTX was compiled with an unsupported toolchain."
        : error == LAUNCH_FAILED ? "unspecified launch failure" : error == CAPTURE_UNSUPPORTED ? "operation not permitted when stream is capturing"
        : error == CAPTURE_INVALIDATED ? "operation failed due to a previous error during capture" : error == CAPTURE_IMPLICIT ? "dependency created on uncaptured work in another stream" : "error";
    return SUCCESS;
}
static Result load(Pointer *module, const char *ptx)
{
    int major = 0, minor = 0;
    const char *version = strstr(ptx, ".version ");
    if (version) sscanf(version, ".version %d.%d", &major, &minor);
    char line[64];
    snprintf(line, sizeof line, "cuModuleLoad PTX %d.%d", major, minor);
    NEVER_CAPTURED(line);
    if (major * 10 + minor > setting("FAKECUDA_NEWEST_PTX", 999)) return UNSUPPORTED_PTX;
    *module = (Pointer)0xD0;
    return SUCCESS;
}
Result cuModuleLoadData(Pointer *module, const char *ptx) { return load(module, ptx); }
Result cuModuleLoadDataEx(Pointer *module, const char *ptx, int options, Pointer names, Pointer values) { return load(module, ptx); }
Result cuModuleUnload(Pointer module) { return SUCCESS; }
Result cuModuleGetFunction(Pointer *function, Pointer module, const char *name) { *function = (Pointer)0xF0; return SUCCESS; }
Result cuLaunchKernel(Pointer function, int gx, int gy, int gz, int bx, int by, int bz, int shared, Pointer stream, Pointer *arguments, Pointer *extra)
{
    launches++;
    WORK("cuLaunchKernel", stream);
    return SUCCESS;
}
Result cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, Pointer function, int threads, size_t shared) { *blocks = 2; return SUCCESS; }
Result cuOccupancyMaxPotentialBlockSize(int *grid, int *block, Pointer function, Pointer size, size_t shared, int limit) { *grid = 132; *block = 256; return SUCCESS; }
Result cuFuncSetAttribute(Pointer function, int attribute, int value) { return SUCCESS; }
Result cuEventCreate(Pointer *event, int flags) { *event = (Pointer)0xE0; return SUCCESS; }
Result cuEventDestroy_v2(Pointer event) { return SUCCESS; }
Result cuEventQuery(Pointer event) { NEVER_CAPTURED("cuEventQuery"); return SUCCESS; }
Result cuEventElapsedTime(float *milliseconds, Pointer a, Pointer b) { *milliseconds = 1; return SUCCESS; }
Result cuEventRecord(Pointer event, Pointer stream) { note("cuEventRecord"); return SUCCESS; }
Result cuEventSynchronize(Pointer event) { NEVER_CAPTURED("cuEventSynchronize"); return SUCCESS; }
Result cuStreamWaitEvent(Pointer stream, Pointer event, unsigned flags) { note("cuStreamWaitEvent"); return SUCCESS; }
Result cuStreamBeginCapture_v2(Pointer stream, int mode)
{
    note(mode == 1 ? "cuStreamBeginCapture of this thread" : "cuStreamBeginCapture");
    if (!stream) return CAPTURE_UNSUPPORTED; /* the legacy stream */
    capturing = stream;
    invalid = nodes = waiting = 0;
    return SUCCESS;
}
Result cuStreamGetCaptureInfo_v2(Pointer stream, int *status, Pointer id, Pointer graph, const intptr_t **before, size_t *count)
{
    *status = stream == capturing;
    *before = waits;
    *count = waiting;
    return SUCCESS;
}
Result cuStreamUpdateCaptureDependencies(Pointer stream, intptr_t *before, size_t count, unsigned flags)
{
    char call[512] = "wait for";
    if (stream != capturing || flags != 1 || count > 64) return 1;
    for (waiting = 0; waiting < (int)count; waiting++) snprintf(call + strlen(call), sizeof call - strlen(call), " %d", (int)(waits[waiting] = before[waiting]));
    note(call);
    return SUCCESS;
}
Result cuStreamEndCapture(Pointer stream, Pointer *graph)
{
    note("cuStreamEndCapture");
    capturing = 0;
    graph_nodes = nodes;
    *graph = 0;
    if (invalid || setting("FAKECUDA_NO_CAPTURE", 0)) return CAPTURE_INVALIDATED;
    *graph = (Pointer)0x60;
    return SUCCESS;
}
Result cuGraphGetNodes(Pointer graph, Pointer *list, size_t *count) { *count = graph_nodes; return SUCCESS; }
Result cuGraphInstantiateWithFlags(Pointer *executable, Pointer graph, unsigned long long flags) { note("cuGraphInstantiate"); *executable = (Pointer)0x61; return SUCCESS; }
Result cuGraphLaunch(Pointer executable, Pointer stream) { launches++; WORK("cuGraphLaunch", stream); return SUCCESS; }
Result cuGraphExecDestroy(Pointer executable) { note("cuGraphExecDestroy"); return SUCCESS; }
Result cuGraphDestroy(Pointer graph) { note("cuGraphDestroy"); return SUCCESS; }
