/* The weight gradient of a depthwise convolution of channels-last float32 images.
 *
 * out[ky][kx][c] = sum over b, y, x of images[b][y*stride + ky*dilation - padding][x*stride + kx*dilation - padding][c]
 *                                      * gradient[b][y][x][c]
 *
 * One row of the kernel for one block of channels stays in registers while the images stream by.
 */

#define MAX_KERNEL 7

struct shape {
  long height, width, channels, out_height, out_width, kernel, stride, dilation, padding;
};

#define DEFINE_BLOCK(LANES)                                                                                        \
  typedef float lanes##LANES __attribute__((vector_size(4 * LANES), aligned(4)));                                  \
                                                                                                                   \
  static inline __attribute__((always_inline)) void row##LANES(                                                    \
      const float *images, const float *gradient, lanes##LANES *sum, const struct shape *s, const long kernel) {   \
    for (long x = 0; x < s->out_width; x++) {                                                                      \
      const lanes##LANES g = *(const lanes##LANES *)(gradient + x * s->channels);                                  \
      const long left = x * s->stride - s->padding;                                                                \
      const int is_inside = left >= 0 && left + (kernel - 1) * s->dilation < s->width;                             \
      for (long kx = 0; kx < kernel; kx++) {                                                                       \
        const long at = left + kx * s->dilation;                                                                   \
        if (is_inside || (at >= 0 && at < s->width))                                                               \
          sum[kx] += g * *(const lanes##LANES *)(images + at * s->channels);                                       \
      }                                                                                                            \
    }                                                                                                              \
  }                                                                                                                \
                                                                                                                   \
  static void block##LANES(const float *images, const float *gradient, float *out, const struct shape *s,          \
                           long c, long ky, long batch) {                                                          \
    lanes##LANES sum[MAX_KERNEL] = {0};                                                                            \
    for (long b = 0; b < batch; b++)                                                                               \
      for (long y = 0; y < s->out_height; y++) {                                                                   \
        const long in_y = y * s->stride + ky * s->dilation - s->padding;                                           \
        if (in_y < 0 || in_y >= s->height) continue;                                                               \
        const float *image_row = images + (b * s->height + in_y) * s->width * s->channels + c;                     \
        const float *gradient_row = gradient + (b * s->out_height + y) * s->out_width * s->channels + c;           \
        switch (s->kernel) { /* a constant kernel lets the compiler keep the sums in registers */                  \
          case 3: row##LANES(image_row, gradient_row, sum, s, 3); break;                                           \
          case 5: row##LANES(image_row, gradient_row, sum, s, 5); break;                                           \
          case 7: row##LANES(image_row, gradient_row, sum, s, 7); break;                                           \
        }                                                                                                          \
      }                                                                                                            \
    for (long kx = 0; kx < s->kernel; kx++)                                                                        \
      for (long i = 0; i < LANES; i++) out[(ky * s->kernel + kx) * s->channels + c + i] = sum[kx][i];              \
  }

DEFINE_BLOCK(16)
DEFINE_BLOCK(8)
DEFINE_BLOCK(4)

void unas_depthwise_weight_gradient(const float *images, const float *gradient, float *out, const struct shape *s,
                                    long batch) {
  for (long ky = 0; ky < s->kernel; ky++) {
    long c = 0;
    for (; c + 16 <= s->channels; c += 16) block16(images, gradient, out, s, c, ky, batch);
    for (; c + 8 <= s->channels; c += 8) block8(images, gradient, out, s, c, ky, batch);
    for (; c + 4 <= s->channels; c += 4) block4(images, gradient, out, s, c, ky, batch);
  }
}
