// NV12 to a model's input: what graphs/nv12.py says in ONNX, of many pictures at once and without copies between.

enum Element { FLOAT32, FLOAT16, UINT8 };

// As in letterbox.py, field by field.
struct Picture {
    const unsigned char *luma, *chroma;
    int pitch;                // bytes from one row to the next, of both planes
    int width, height;        // pixels
    int left, top;            // of its place in the input
    int new_width, new_height;
    int index;                // in the batch
    float colours[3][4];      // what Y, U, V and 1 add to B, G and R
};

struct Input {
    int width, height;
    int element, planar, rgb;
    float pad;                // pixel value
    float mean[3], scale[3];  // value = (pixel - mean) * scale, in the model's colour order
};

// Where a pixel lies between two of `size` others, with the centres of the outermost as limits.
struct Between {
    int first, second;
    float part;               // of the second

    __device__ Between(int position, int new_size, int size)
    {
        float at = (position + 0.5f) * ((float)size / new_size) - 0.5f;
        at = fminf(fmaxf(at, 0.f), size - 1.f);
        first = (int)at;
        second = min(first + 1, size - 1);
        part = at - first;
    }

    __device__ float of(float a, float b) const { return a + (b - a) * part; }
};

__device__ void put(void *out, size_t at, int element, float value)
{
    if (element == FLOAT16) {
        unsigned short half;
        asm("cvt.rn.f16.f32 %0, %1;" : "=h"(half) : "f"(value));
        ((unsigned short *)out)[at] = half;
    } else if (element == FLOAT32)
        ((float *)out)[at] = value;
    else
        ((unsigned char *)out)[at] = (unsigned char)value;
}

// Blocks of 32 x 8 pixels of the input; the third dimension of the grid counts pictures.
extern "C" __global__ void letterbox(const Picture *pictures, void *out, const Input input)
{
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= input.width || y >= input.height)
        return;
    const Picture &picture = pictures[blockIdx.z];
    float bgr[3] = {input.pad, input.pad, input.pad};
    int u = x - picture.left, v = y - picture.top;
    if (u >= 0 && v >= 0 && u < picture.new_width && v < picture.new_height) {
        Between column(u, picture.new_width, picture.width), row(v, picture.new_height, picture.height);
        const unsigned char *above = picture.luma + (size_t)row.first * picture.pitch;
        const unsigned char *below = picture.luma + (size_t)row.second * picture.pitch;
        float luma = row.of(column.of(above[column.first], above[column.second]),
                            column.of(below[column.first], below[column.second]));
        Between pair(u, picture.new_width, (picture.width + 1) / 2), line(v, picture.new_height, (picture.height + 1) / 2);
        const uchar2 *upper = (const uchar2 *)(picture.chroma + (size_t)line.first * picture.pitch);
        const uchar2 *lower = (const uchar2 *)(picture.chroma + (size_t)line.second * picture.pitch);
        uchar2 a = upper[pair.first], b = upper[pair.second], c = lower[pair.first], d = lower[pair.second];
        float chroma_u = line.of(pair.of(a.x, b.x), pair.of(c.x, d.x));
        float chroma_v = line.of(pair.of(a.y, b.y), pair.of(c.y, d.y));
        for (int i = 0; i < 3; ++i) {
            const float *add = picture.colours[i];
            float value = luma * add[0] + chroma_u * add[1] + chroma_v * add[2] + add[3];
            bgr[i] = fminf(fmaxf(value, 0.f), 255.f);
        }
    }
    size_t plane = (size_t)input.width * input.height, pixel = (size_t)y * input.width + x;
    for (int i = 0; i < 3; ++i) {
        float value = input.rgb ? bgr[2 - i] : bgr[i];
        if (input.element == UINT8)
            value = rintf(value);  // a conversion truncates
        value = (value - input.mean[i]) * input.scale[i];
        size_t place = input.planar ? i * plane + pixel : pixel * 3 + i;
        put(out, picture.index * plane * 3 + place, input.element, value);
    }
}
