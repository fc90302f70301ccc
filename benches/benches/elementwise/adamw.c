// What AdamW costs at memory speed: the loop of a C programmer, built by the benchmark with `cc -O3 -march=native -fno-math-errno -fopenmp`.
#include <math.h>
void adamw(long n, float *restrict p, const float *restrict g, float *restrict m, float *restrict v, int threads) {
#pragma omp parallel for simd num_threads(threads)
    for (long i = 0; i < n; i++) {
        float gg = g[i];
        float mm = .9f * m[i] + .1f * gg;
        float vv = .999f * v[i] + .001f * gg * gg;
        m[i] = mm;
        v[i] = vv;
        p[i] = p[i] * .9999f - 1e-3f * mm / (__builtin_sqrtf(vv) + 1e-8f);
    }
}
