// NMS within each class, of many pictures at once: what postprocess.suppress does on the host, to the last bit.

// OpenCV's, so that both keep the same: the sum of two areas up to which it takes boxes for equal.
const double NOTHING = 2.220446049250313e-16;

__device__ double area(const float4 &box)
{
    return ((double)box.z - box.x) * ((double)box.w - box.y);
}

// How far two stretches reach into each other, each from its begin on and of its length; 0 or less: they do not.
__device__ double reach(double begin, double length, double other, double other_length)
{
    bool first = begin < other;
    double between = first ? other - begin : begin - other;
    return first ? fmin(length - between, other_length) : fmin(other_length - between, length);
}

// IoU of two boxes whose areas sum up to `sum`, with OpenCV's steps and roundings.
__device__ float overlap(const float4 &a, const float4 &b, double sum)
{
    double wide = (double)a.z - a.x, high = (double)a.w - a.y;
    double other_wide = (double)b.z - b.x, other_high = (double)b.w - b.y;
    double both = 0;
    if (wide > 0 && high > 0 && other_wide > 0 && other_high > 0) {
        double x = reach(a.x, wide, b.x, other_wide), y = reach(a.y, high, b.y, other_high);
        both = x > 0 && y > 0 ? x * y : 0;
    }
    return 1.f - (float)(1. - both / (sum - both));
}

// One block a picture. boxes [B, K, 4] xyxy, scores [B, K] in descending order, labels [B, K] as the detector gives
// them. What is kept goes to the front of kept_*, of the same shapes, in the same order, and its number to counts [B];
// -1: there is a NaN. The first score is written in any case. Shared memory: 29 bytes a candidate.
extern "C" __global__ void suppress(const float4 *boxes, const float *scores, const int *labels,
                                    float4 *kept_boxes, float *kept_scores, int *kept_labels, int *counts,
                                    int candidates, float confidence, float iou)
{
    extern __shared__ float4 box[];
    double *areas = (double *)(box + candidates);
    int *label = (int *)(areas + candidates);
    unsigned char *dead = (unsigned char *)(label + candidates);
    __shared__ int enough, invalid;
    size_t first = (size_t)blockIdx.x * candidates;
    boxes += first, scores += first, labels += first;
    kept_boxes += first, kept_scores += first, kept_labels += first;
    if (threadIdx.x == 0)
        enough = invalid = 0;
    __syncthreads();

    int mine = 0;
    for (int i = threadIdx.x; i < candidates; i += blockDim.x) {
        mine += scores[i] >= confidence;
        if (isnan(scores[i]))
            invalid = 1;
    }
    atomicAdd(&enough, mine);
    __syncthreads();
    int count = enough;
    for (int i = threadIdx.x; i < count; i += blockDim.x) {
        float4 here = box[i] = boxes[i];
        areas[i] = area(here);
        label[i] = labels[i];
        dead[i] = count > 1 && !(scores[i] > 0);  // OpenCV leaves these out, and is not asked about one alone
        if (isnan(here.x) || isnan(here.y) || isnan(here.z) || isnan(here.w))
            invalid = 1;
    }
    __syncthreads();

    for (int i = 0; i < count && !invalid; ++i) {
        if (dead[i])  // by a box before, since when all threads have met; so it is the same for all of them
            continue;
        for (int j = i + 1 + threadIdx.x; j < count; j += blockDim.x) {
            if (dead[j])
                continue;
            double sum = areas[i] + areas[j];
            float ratio = 0;
            if (sum <= NOTHING)
                ratio = 1;
            else if (label[i] == label[j] && box[i].x < box[j].z && box[j].x < box[i].z && box[i].y < box[j].w &&
                     box[j].y < box[i].w)
                ratio = overlap(box[i], box[j], sum);
            if (!(ratio <= iou))
                dead[j] = 1;
        }
        __syncthreads();
    }

    if (threadIdx.x >= 32)
        return;
    int kept = 0;
    for (int from = 0; from < count; from += 32) {
        int i = from + threadIdx.x;
        bool stays = i < count && !dead[i];
        unsigned int all = __ballot_sync(0xffffffffu, stays);
        if (stays) {
            int place = kept + __popc(all & ((1u << threadIdx.x) - 1));
            kept_boxes[place] = box[i];
            kept_scores[place] = scores[i];
            kept_labels[place] = label[i];
        }
        kept += __popc(all);
    }
    if (threadIdx.x == 0) {
        counts[blockIdx.x] = invalid ? -1 : kept;
        kept_scores[0] = scores[0];
    }
}
