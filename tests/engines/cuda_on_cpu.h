// What a kernel needs of CUDA, for g++: the threads of a block are threads, and blocks run one after another.
#include <pthread.h>

#include <cmath>
#include <cstddef>
#include <thread>
#include <vector>

#define __global__
#define __device__
#define __shared__ static

using std::fmin;
using std::isnan;

struct float4 {
    float x, y, z, w;
};
struct Index {
    unsigned int x;
};

static thread_local Index threadIdx;
static Index blockIdx, blockDim;
static pthread_barrier_t block_meets, warp_meets;
static unsigned int votes;
alignas(16) static unsigned char shared_memory[48 * 1024];

static void __syncthreads() { pthread_barrier_wait(&block_meets); }

static int atomicAdd(int *sum, int value) { return __atomic_fetch_add(sum, value, __ATOMIC_SEQ_CST); }

static int __popc(unsigned int bits) { return __builtin_popcount(bits); }

// Of the first warp alone.
static unsigned int __ballot_sync(unsigned int, bool vote)
{
    if (threadIdx.x == 0)
        votes = 0;
    pthread_barrier_wait(&warp_meets);
    if (vote)
        __atomic_fetch_or(&votes, 1u << threadIdx.x, __ATOMIC_SEQ_CST);
    pthread_barrier_wait(&warp_meets);
    unsigned int all = votes;
    pthread_barrier_wait(&warp_meets);
    return all;
}

template <typename Kernel> void run(int blocks, int threads, Kernel kernel)
{
    pthread_barrier_init(&block_meets, nullptr, threads);
    pthread_barrier_init(&warp_meets, nullptr, 32);
    blockDim.x = threads;
    for (int block = 0; block < blocks; ++block) {
        blockIdx.x = block;
        std::vector<std::thread> running;
        for (int i = 0; i < threads; ++i)
            running.emplace_back([=] {
                threadIdx.x = i;
                kernel();
            });
        for (std::thread &each : running)
            each.join();
    }
}
