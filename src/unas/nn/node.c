/* One node of a DARTS cell: its operations on earlier states, mixed, forward and backward.
 *
 * Numbers are float32, or float64 where FLOAT64 is defined; images are channels last. A stage is
 * ReLU, depthwise k×k, pointwise, BatchNorm; its outcome before BatchNorm is kept, and whoever reads
 * it normalises it on the way. So every image goes through a whole stage while it is in the cache of
 * one core. Channels are padded with zeros to whole vectors in all that is ours.
 *
 * Threads are those of PyTorch's OpenMP library. Each has images of its own (or whole operations,
 * where a hard sample leaves few images for each), so results depend on their number alone.
 *
 * All members of the structures have eight bytes: Python writes them as rows of integers.
 */

#include <math.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#define LANES 16
#define PAD 3 /* pixels of zeros around a plane */
#define MAX_TAPS 49
#define TILE 8 /* pixels whose sums are in registers at once */
#define PATIENCE 20000 /* looks at a barrier before a thread gives its core away */
#define GROUP 7 /* operations between which threads don't wait for each other; as in node_call.py */

#ifdef FLOAT64
typedef double real;
typedef long integer; /* of as many bytes */
#else
typedef float real;
typedef int integer;
#endif

typedef real lanes __attribute__((vector_size(sizeof(real) * LANES), aligned(sizeof(real)), may_alias));
typedef integer masks __attribute__((vector_size(sizeof(real) * LANES)));

#define INLINE static inline __attribute__((always_inline))

enum kind { IDENTITY, SEPARABLE, DILATED, POINTWISE, REDUCE, MAX_POOL, AVERAGE_POOL };

struct stage {
  const real *depthwise; /* [C][k*k] */
  const real *pointwise; /* [C out][C in] */
  const real *gain, *shift; /* [C], or none */
  real *running_mean, *running_variance; /* [C], or none */
  real *outcome; /* [rows][pixels][padded] */
  real *sums; /* of the outcome and of its squares, [rows][2][padded] */
  real *moments; /* mean, 1/deviation, scale and offset, [4][padded] */
  real *slope_sums; /* of gradient·outcome and of the gradient, [rows][2][padded] */
  real *depthwise_gradient, *pointwise_gradient; /* [threads] of them, `gradient_size` apart */
  real *gain_gradient, *shift_gradient;
};

struct operation {
  long kind, state, channels, kernel, stride, dilation, num_stages; /* `channels` of the state */
  const long *rows; /* the images that it works on */
  long num_rows, column; /* `column` of the node's weights */
  long owner; /* the thread that has it whole; -1: threads share its rows */
  real *input_gradient; /* [rows][pixels of the state][padded], by operation */
  struct stage stages[2];
};

struct node {
  long batch, channels, padded, height, width; /* of the node */
  long num_states, num_operations, num_columns, threads;
  long by_operation, wants_parameters, gradient_size;
  const real **states;
  real **state_gradients; /* none where nobody asks */
  const long *state_sizes; /* height, width and channels of each */
  const real *weights; /* [batch][columns] */
  real *weight_gradients; /* the same, or none */
  real *out;
  const real *gradient;
  real *gradient_sums; /* [batch][padded] */
  real *gradients; /* of all parameters, [threads][gradient_size] */
  struct operation *operations;
};

static void (*run_parallel)(void (*)(void *), void *, unsigned, unsigned);
static int (*thread_number)(void);
static int (*thread_count)(void);

void unas_use_threads(void *parallel, void *number, void *count) {
  run_parallel = (void (*)(void (*)(void *), void *, unsigned, unsigned))parallel;
  thread_number = (int (*)(void))number;
  thread_count = (int (*)(void))count;
}

struct barrier {
  long waiting, round;
};

struct call {
  const struct node *node;
  struct barrier *barrier;
  real eps, momentum;
};

/* What one thread needs while it works. */
struct room {
  real *plane, *slope_plane; /* padded by PAD pixels on each side */
  real *filtered, *slopes, *inner; /* whole images */
  real *line; /* one row of a state's image */
  real *taps, *flipped, *matrix, *transposed; /* weights in the order in which they are used */
  real *tap_sums, *matrix_sums; /* of their gradients */
  real *moments, *coefficients;
  real *row_slopes; /* gradients between the stages, [rows][pixels][padded] */
  struct barrier *barrier;
  long number, count; /* of the thread, of all */
};

INLINE lanes load(const real *at) { return *(const lanes *)at; }
INLINE void store(real *at, lanes value) { *(lanes *)at = value; }
INLINE lanes where(masks is_so, lanes x) { return (lanes)(is_so & (masks)x); }
INLINE lanes positive(lanes x) { return where(~(x <= 0), x); } /* keeps what is no number */

INLINE lanes load_some(const real *at, long count) {
  if (count >= LANES) return load(at);
  lanes value = {0};
  memcpy(&value, at, sizeof(real) * count);
  return value;
}

INLINE void store_some(real *at, lanes value, long count) {
  if (count >= LANES) store(at, value);
  else memcpy(at, &value, sizeof(real) * count);
}

static long most(long a, long b) { return a > b ? a : b; }

static long padding_to(long channels) { return (channels + LANES - 1) / LANES * LANES; }

/* ---- Planes: images with zeros around them ---- */

static long plane_size(long height, long width, long padded) { return (height + 2 * PAD) * (width + 2 * PAD) * padded; }

static real *inside(real *plane, long width, long padded) { return plane + (PAD * (width + 2 * PAD) + PAD) * padded; }

static void clear_border(real *plane, long height, long width, long padded) {
  const long line = (width + 2 * PAD) * padded;
  const long side = PAD * padded;
  memset(plane, 0, sizeof(real) * PAD * line);
  memset(plane + (height + PAD) * line, 0, sizeof(real) * PAD * line);
  for (long y = PAD; y < height + PAD; y++) {
    memset(plane + y * line, 0, sizeof(real) * side);
    memset(plane + y * line + line - side, 0, sizeof(real) * side);
  }
}

/* The ReLU of an image [pixels][channels]. */
static void fill_plane(real *plane, const real *image, long height, long width, long channels, long padded) {
  clear_border(plane, height, width, padded);
  for (long y = 0; y < height; y++) {
    real *to = inside(plane, width, padded) + y * (width + 2 * PAD) * padded;
    const real *from = image + y * width * channels;
    for (long x = 0; x < width; x++, to += padded, from += channels)
      for (long c = 0; c < padded; c += LANES) store(to + c, positive(load_some(from + c, channels - c)));
  }
}

/* The ReLU of a normalised outcome [pixels][padded]. */
static void fill_plane_normalised(real *plane, const real *outcome, const real *moments, long height, long width,
                                  long padded) {
  const real *scale = moments + 2 * padded;
  const real *offset = moments + 3 * padded;
  clear_border(plane, height, width, padded);
  for (long c = 0; c < padded; c += LANES) {
    const lanes a = load(scale + c);
    const lanes s = load(offset + c);
    for (long y = 0; y < height; y++) {
      real *to = inside(plane, width, padded) + y * (width + 2 * PAD) * padded + c;
      const real *from = outcome + y * width * padded + c;
      for (long x = 0; x < width; x++) store(to + x * padded, positive(load(from + x * padded) * a + s));
    }
  }
}

/* ---- Depthwise: sums over taps, each an offset into a plane and a weight for each channel ---- */

INLINE void correlate_tile(const int tile, const real *in, const long *offsets, const real *weights, long taps,
                           const long step, const long padded, real *out) {
  lanes sums[TILE];
  for (int i = 0; i < tile; i++) sums[i] = (lanes){0};
  for (long t = 0; t < taps; t++) {
    const lanes weight = load(weights + t * padded);
    const real *at = in + offsets[t];
    for (int i = 0; i < tile; i++) sums[i] += weight * load(at + i * step);
  }
  for (int i = 0; i < tile; i++) store(out + i * padded, sums[i]);
}

INLINE void correlate_row_of(const real *in, const long *offsets, const real *weights, long taps, const long step,
                             const long padded, real *out, long width) {
  for (long c = 0; c < padded; c += LANES) {
    long x = 0;
    for (; x + TILE <= width; x += TILE)
      correlate_tile(TILE, in + x * step + c, offsets, weights + c, taps, step, padded, out + x * padded + c);
    for (; x + 4 <= width; x += 4)
      correlate_tile(4, in + x * step + c, offsets, weights + c, taps, step, padded, out + x * padded + c);
    for (; x < width; x++)
      correlate_tile(1, in + x * step + c, offsets, weights + c, taps, step, padded, out + x * padded + c);
  }
}

/* out[x] = sum over taps of weight·in[x·step + offset], for a row of outputs `padded` apart. */
static void correlate_row(const real *in, const long *offsets, const real *weights, long taps, long step, long padded,
                          real *out, long width) {
  if (padded == 16 && step == 16) correlate_row_of(in, offsets, weights, taps, 16, 16, out, width);
  else if (padded == 32 && step == 32) correlate_row_of(in, offsets, weights, taps, 32, 32, out, width);
  else if (padded == 64 && step == 64) correlate_row_of(in, offsets, weights, taps, 64, 64, out, width);
  else correlate_row_of(in, offsets, weights, taps, step, padded, out, width);
}

/* sums[t] += sum over x of slopes[x]·in[x·step + t·tap_step], for the taps of one line of a filter. */
INLINE void line_gradient(const int kernel, const real *slopes, const real *in, const long tap_step, const long step,
                          const long padded, long width, lanes *sums) {
  for (long x = 0; x < width; x++) {
    const lanes slope = load(slopes + x * padded);
    for (int t = 0; t < kernel; t++) sums[t] += slope * load(in + x * step + t * tap_step);
  }
}

INLINE void filter_gradient_of(const int kernel, const real *slopes, long slope_line, const real *in, long in_line,
                               const long tap_step, const long tap_line, const long step, const long padded,
                               long height, long width, real *sums) {
  for (long c = 0; c < padded; c += LANES)
    if (kernel == 3) { /* all nine taps at once: three sums would wait for each other */
      lanes taps[9] = {0};
      for (long y = 0; y < height; y++) {
        const real *slope_row = slopes + y * slope_line + c;
        const real *row = in + y * in_line + c;
        for (long x = 0; x < width; x++) {
          const lanes slope = load(slope_row + x * padded);
          for (int ky = 0; ky < 3; ky++)
            for (int kx = 0; kx < 3; kx++)
              taps[3 * ky + kx] += slope * load(row + x * step + ky * tap_line + kx * tap_step);
        }
      }
      for (int t = 0; t < 9; t++) store(sums + t * padded + c, load(sums + t * padded + c) + taps[t]);
    } else {
      for (int ky = 0; ky < kernel; ky++) {
        lanes taps[7] = {0};
        for (long y = 0; y < height; y++)
          line_gradient(kernel, slopes + y * slope_line + c, in + y * in_line + ky * tap_line + c, tap_step, step,
                        padded, width, taps);
        real *to = sums + ky * kernel * padded + c;
        for (int t = 0; t < kernel; t++) store(to + t * padded, load(to + t * padded) + taps[t]);
      }
    }
}

#define FILTER_GRADIENT(KERNEL, TAP_STEP, STEP, PADDED)                                                         \
  filter_gradient_of(KERNEL, slopes, slope_line, in, in_line, TAP_STEP, tap_line, STEP, PADDED, height, width, sums)

/* The gradient of a filter [k·k][padded], added to `sums`; `in` is where its first tap is for the first pixel. */
static void filter_gradient(long kernel, const real *slopes, long slope_line, const real *in, long in_line,
                            long tap_step, long tap_line, long step, long padded, long height, long width, real *sums) {
  const int plain = tap_step == padded && step == padded;
  switch (kernel) {
    case 3:
      if (plain && padded == 16) FILTER_GRADIENT(3, 16, 16, 16);
      else if (plain && padded == 32) FILTER_GRADIENT(3, 32, 32, 32);
      else if (plain && padded == 64) FILTER_GRADIENT(3, 64, 64, 64);
      else FILTER_GRADIENT(3, tap_step, step, padded);
      break;
    case 5:
      if (plain && padded == 16) FILTER_GRADIENT(5, 16, 16, 16);
      else if (plain && padded == 32) FILTER_GRADIENT(5, 32, 32, 32);
      else if (plain && padded == 64) FILTER_GRADIENT(5, 64, 64, 64);
      else FILTER_GRADIENT(5, tap_step, step, padded);
      break;
    case 7:
      if (plain && padded == 16) FILTER_GRADIENT(7, 16, 16, 16);
      else if (plain && padded == 32) FILTER_GRADIENT(7, 32, 32, 32);
      else if (plain && padded == 64) FILTER_GRADIENT(7, 64, 64, 64);
      else FILTER_GRADIENT(7, tap_step, step, padded);
      break;
  }
}

/* ---- Pointwise: small matrices ---- */

INLINE void multiply_tile(const int tile, const int blocks, const real *rows, long row_step, const real *matrix,
                          const long depth, const long padded, real *out, long out_step, const int adds) {
  lanes sums[TILE][2];
  for (int i = 0; i < tile; i++)
    for (int j = 0; j < blocks; j++)
      sums[i][j] = adds ? load(out + i * out_step + j * LANES) : (lanes){0};
  for (long k = 0; k < depth; k++) {
    lanes line[2];
    for (int j = 0; j < blocks; j++) line[j] = load(matrix + k * padded + j * LANES);
    for (int i = 0; i < tile; i++)
      for (int j = 0; j < blocks; j++) sums[i][j] += rows[i * row_step + k] * line[j];
  }
  for (int i = 0; i < tile; i++)
    for (int j = 0; j < blocks; j++) store(out + i * out_step + j * LANES, sums[i][j]);
}

INLINE void multiply_of(const real *rows, long row_step, long num_rows, const real *matrix, const long depth,
                        const long padded, real *out, long out_step, const int adds) {
  long i = 0;
  for (; i + TILE <= num_rows; i += TILE) {
    long c = 0;
    for (; c + 2 * LANES <= padded; c += 2 * LANES)
      multiply_tile(TILE, 2, rows + i * row_step, row_step, matrix + c, depth, padded, out + i * out_step + c, out_step,
                    adds);
    for (; c < padded; c += LANES)
      multiply_tile(TILE, 1, rows + i * row_step, row_step, matrix + c, depth, padded, out + i * out_step + c, out_step,
                    adds);
  }
  for (; i < num_rows; i++)
    for (long c = 0; c < padded; c += LANES)
      multiply_tile(1, 1, rows + i * row_step, row_step, matrix + c, depth, padded, out + i * out_step + c, out_step,
                    adds);
}

/* out[i] (+)= sum over k of rows[i][k]·matrix[k]; `row_step` and `out_step` are from one to the next. */
static void multiply(const real *rows, long row_step, long num_rows, const real *matrix, long depth, long padded,
                     real *out, long out_step, int adds) {
  if (depth == 16 && padded == 16 && row_step == 16 && !adds)
    multiply_of(rows, 16, num_rows, matrix, 16, 16, out, out_step, 0);
  else if (depth == 32 && padded == 32 && row_step == 32 && !adds)
    multiply_of(rows, 32, num_rows, matrix, 32, 32, out, out_step, 0);
  else if (depth == 64 && padded == 64 && row_step == 64 && !adds)
    multiply_of(rows, 64, num_rows, matrix, 64, 64, out, out_step, 0);
  else if (adds) multiply_of(rows, row_step, num_rows, matrix, depth, padded, out, out_step, 1);
  else multiply_of(rows, row_step, num_rows, matrix, depth, padded, out, out_step, 0);
}

/* sums[k] += sum over i of left[i][k]·right[i]: [left_padded][padded]. */
static void multiply_transposed(const real *left, long left_padded, const real *right, long num_rows, long padded,
                                real *sums) {
  for (long k = 0; k < left_padded; k += LANES)
    for (long c = 0; c < padded; c += LANES) {
      lanes block[LANES];
      for (int j = 0; j < LANES; j++) block[j] = load(sums + (k + j) * padded + c);
      for (long i = 0; i < num_rows; i++) {
        const lanes line = load(right + i * padded + c);
        const real *factors = left + i * left_padded + k;
        for (int j = 0; j < LANES; j++) block[j] += factors[j] * line;
      }
      for (int j = 0; j < LANES; j++) store(sums + (k + j) * padded + c, block[j]);
    }
}

/* ---- BatchNorm ---- */

static long pixels_of(const struct node *n) { return n->height * n->width; }

static void sum_squares(const real *outcome, long pixels, long padded, real *sums) {
  for (long c = 0; c < padded; c += LANES) {
    lanes total[4] = {0};
    lanes squares[4] = {0};
    long i = 0;
    for (; i + 4 <= pixels; i += 4)
      for (int j = 0; j < 4; j++) {
        const lanes value = load(outcome + (i + j) * padded + c);
        total[j] += value;
        squares[j] += value * value;
      }
    for (; i < pixels; i++) {
      const lanes value = load(outcome + i * padded + c);
      total[0] += value;
      squares[0] += value * value;
    }
    store(sums + c, total[0] + total[1] + (total[2] + total[3]));
    store(sums + padded + c, squares[0] + squares[1] + (squares[2] + squares[3]));
  }
}

/* Mean, 1/deviation, and what a value is scaled by and then shifted by. */
static void find_moments(const struct call *call, const struct operation *op, const struct stage *stage, real *moments,
                         int keeps) {
  const struct node *n = call->node;
  const double count = (double)op->num_rows * pixels_of(n);
  for (long c = 0; c < n->padded; c++) {
    double sum = 0;
    double squares = 0;
    for (long r = 0; r < op->num_rows; r++) {
      sum += stage->sums[2 * r * n->padded + c];
      squares += stage->sums[(2 * r + 1) * n->padded + c];
    }
    const int is_real = c < n->channels;
    const double mean = sum / count;
    const double variance = fmax(squares / count - mean * mean, 0);
    const double rate = 1 / sqrt(variance + call->eps);
    const double scale = rate * (stage->gain && is_real ? stage->gain[c] : 1);
    moments[c] = mean;
    moments[n->padded + c] = rate;
    moments[2 * n->padded + c] = scale;
    moments[3 * n->padded + c] = (stage->shift && is_real ? stage->shift[c] : 0) - mean * scale;
    if (isnan(squares)) moments[c] = moments[2 * n->padded + c] = squares; /* fmax would hide it */
    if (keeps && stage->running_mean && is_real) {
      stage->running_mean[c] += call->momentum * (mean - stage->running_mean[c]);
      stage->running_variance[c] += call->momentum * (variance * count / (count - 1) - stage->running_variance[c]);
    }
  }
  if (keeps) memcpy(stage->moments, moments, 4 * sizeof(real) * n->padded);
}

/* The gradient in an outcome is slope·[0] + outcome·[1] + [2], where `slope` is that in the normalised one. */
static void find_coefficients(const struct call *call, const struct operation *op, const struct stage *stage,
                              const real *row_weights, real *coefficients, int keeps) {
  const struct node *n = call->node;
  const long padded = n->padded;
  const double count = (double)op->num_rows * pixels_of(n);
  for (long c = 0; c < padded; c++) {
    double slope = 0;
    double product = 0;
    for (long r = 0; r < op->num_rows; r++) {
      const double weight = row_weights ? row_weights[op->rows[r] * n->num_columns] : 1;
      product += weight * stage->slope_sums[2 * r * padded + c];
      slope += weight * stage->slope_sums[(2 * r + 1) * padded + c];
    }
    const double mean = stage->moments[c];
    const double rate = stage->moments[padded + c];
    const double scale = stage->moments[2 * padded + c];
    product = rate * (product - mean * slope); /* with the normalised outcome */
    coefficients[c] = scale;
    coefficients[padded + c] = -scale * product / count * rate;
    coefficients[2 * padded + c] = scale * (product / count * rate * mean - slope / count);
    if (keeps && n->wants_parameters && stage->gain_gradient && c < n->channels) {
      stage->gain_gradient[c] = product;
      stage->shift_gradient[c] = slope;
    }
  }
}

/* ---- A stage ---- */

struct shape {
  long height, width; /* of its input */
  long stride, dilation, kernel, line; /* `line`: floats from one row of its plane to the next */
};

static struct shape shape_of(const struct node *n, const struct operation *op, int s) {
  struct shape g = {n->height, n->width, 1, op->dilation, op->kernel, 0};
  if (s == 0) {
    g.height = n->state_sizes[3 * op->state];
    g.width = n->state_sizes[3 * op->state + 1];
    g.stride = op->stride;
  }
  g.line = (g.width + 2 * PAD) * n->padded;
  return g;
}

/* Write a filter [C][k·k] as [k·k][padded]. */
static void write_taps(const real *weights, long taps, long channels, long padded, real *to) {
  memset(to, 0, sizeof(real) * taps * padded);
  for (long c = 0; c < channels; c++)
    for (long t = 0; t < taps; t++) to[t * padded + c] = weights[c * taps + t];
}

/* Write a matrix [out][in] as [out][padded], or transposed as [in][padded]. */
static void write_matrix(const real *weights, long channels, long padded, real *to, real *transposed) {
  for (long o = 0; o < channels; o++) {
    for (long i = 0; i < padded; i++) to[o * padded + i] = i < channels ? weights[o * channels + i] : 0;
    for (long i = 0; i < channels; i++) transposed[i * padded + o] = weights[o * channels + i];
  }
  for (long i = 0; i < channels; i++)
    for (long o = channels; o < padded; o++) transposed[i * padded + o] = 0;
}

static void write_weights(const struct node *n, const struct operation *op, int s, struct room *room) {
  write_taps(op->stages[s].depthwise, op->kernel * op->kernel, n->channels, n->padded, room->taps);
  write_matrix(op->stages[s].pointwise, n->channels, n->padded, room->matrix, room->transposed);
}

static void forward_offsets(const struct shape *g, long padded, long *offsets) {
  for (long ky = 0; ky < g->kernel; ky++)
    for (long kx = 0; kx < g->kernel; kx++)
      offsets[ky * g->kernel + kx] = ky * g->dilation * g->line + kx * g->dilation * padded;
}

/* Where in a plane the first tap of the first pixel is. */
static const real *first_tap(const real *plane, const struct shape *g, long padded) {
  const long padding = g->dilation * (g->kernel - 1) / 2;
  return plane + (PAD - padding) * (g->line + padded);
}

static void fill_input(const struct node *n, const struct operation *op, int s, long row, struct room *room) {
  const struct shape g = shape_of(n, op, s);
  if (s == 0) {
    const real *image = n->states[op->state] + op->rows[row] * g.height * g.width * n->channels;
    fill_plane(room->plane, image, g.height, g.width, n->channels, n->padded);
  } else {
    const real *outcome = op->stages[0].outcome + row * pixels_of(n) * n->padded;
    fill_plane_normalised(room->plane, outcome, room->moments, g.height, g.width, n->padded);
  }
}

/* Run a stage on some rows; of the second one, room->moments are those of the first. */
static void run_stage(const struct node *n, const struct operation *op, int s, long from, long to, struct room *room) {
  const struct stage *stage = &op->stages[s];
  const struct shape g = shape_of(n, op, s);
  const long padded = n->padded;
  long offsets[MAX_TAPS];
  write_weights(n, op, s, room);
  forward_offsets(&g, padded, offsets);
  for (long r = from; r < to; r++) {
    real *outcome = stage->outcome + r * pixels_of(n) * padded;
    fill_input(n, op, s, r, room);
    const real *in = first_tap(room->plane, &g, padded);
    for (long y = 0; y < n->height; y++) {
      correlate_row(in + y * g.stride * g.line, offsets, room->taps, g.kernel * g.kernel, g.stride * padded, padded,
                    room->filtered, n->width);
      multiply(room->filtered, padded, n->width, room->transposed, n->channels, padded, outcome + y * n->width * padded,
               padded, 0);
    }
    sum_squares(outcome, pixels_of(n), padded, stage->sums + 2 * r * padded);
  }
}

/* ---- A pointwise convolution alone, or two that halve the resolution, the second of them shifted by a pixel ---- */

struct half {
  long first, count; /* of the node's channels */
  const real *weights; /* [count][C in] */
  real *gradient;
  long shift; /* pixels down and right */
};

static int halves_of(const struct node *n, const struct operation *op, const struct room *room, struct half *halves) {
  const long at = room->number * n->gradient_size;
  const long first = op->kind == REDUCE ? n->channels / 2 : n->channels;
  halves[0] = (struct half){0, first, op->stages[0].pointwise, op->stages[0].pointwise_gradient + at, 0};
  halves[1] = (struct half){first, n->channels - first, op->stages[1].pointwise, op->stages[1].pointwise_gradient + at, 1};
  return op->kind == REDUCE ? 2 : 1;
}

/* Write both matrices as [out][padded in], and each transposed, with zeros for what the other one gives. */
static void write_halves(const struct node *n, const struct operation *op, const struct half *halves, int count,
                         struct room *room) {
  const long padded_in = padding_to(op->channels);
  memset(room->matrix, 0, sizeof(real) * n->padded * padded_in);
  memset(room->transposed, 0, sizeof(real) * count * n->padded * padded_in);
  for (int h = 0; h < count; h++)
    for (long o = 0; o < halves[h].count; o++)
      for (long i = 0; i < op->channels; i++) {
        const real weight = halves[h].weights[o * op->channels + i];
        room->matrix[(halves[h].first + o) * padded_in + i] = weight;
        room->transposed[(h * padded_in + i) * n->padded + halves[h].first + o] = weight;
      }
}

/* The ReLU of every stride-th pixel of a row from `shift` on, zeros where there is none: [width][padded in]. */
static void fill_line(const struct node *n, const struct operation *op, const real *image, long y, long shift,
                      real *line) {
  const struct shape g = shape_of(n, op, 0);
  const long padded_in = padding_to(op->channels);
  const long row = y * g.stride + shift;
  for (long x = 0; x < n->width; x++) {
    const long column = x * g.stride + shift;
    const int is_inside = row < g.height && column < g.width;
    const real *pixel = image + (row * g.width + column) * op->channels;
    for (long c = 0; c < padded_in; c += LANES)
      store(line + x * padded_in + c, is_inside ? positive(load_some(pixel + c, op->channels - c)) : (lanes){0});
  }
}

static const real *image_of(const struct node *n, const struct operation *op, long row) {
  return n->states[op->state] + op->rows[row] * n->state_sizes[3 * op->state] * n->state_sizes[3 * op->state + 1] * op->channels;
}

static void run_pointwise(const struct node *n, const struct operation *op, long from, long to, struct room *room) {
  const struct stage *stage = &op->stages[0];
  const long padded = n->padded;
  const long padded_in = padding_to(op->channels);
  struct half halves[2];
  const int count = halves_of(n, op, room, halves);
  write_halves(n, op, halves, count, room);
  for (long r = from; r < to; r++) {
    real *outcome = stage->outcome + r * pixels_of(n) * padded;
    for (long y = 0; y < n->height; y++)
      for (int h = 0; h < count; h++) {
        fill_line(n, op, image_of(n, op, r), y, halves[h].shift, room->line);
        multiply(room->line, padded_in, n->width, room->transposed + h * padded_in * padded, op->channels, padded,
                 outcome + y * n->width * padded, padded, h > 0);
      }
    sum_squares(outcome, pixels_of(n), padded, stage->sums + 2 * r * padded);
  }
}

static void run_part(const struct node *n, const struct operation *op, int s, long from, long to, struct room *room) {
  if (op->kind == REDUCE || op->kind == POINTWISE) run_pointwise(n, op, from, to, room);
  else run_stage(n, op, s, from, to, room);
}

/* ---- What has no weights ---- */

struct window {
  long top, bottom, left, right;
};

static struct window window_of(const struct shape *g, long y, long x) {
  const long top = y * g->stride - 1;
  const long left = x * g->stride - 1;
  const struct window w = {most(top, 0), top + 3 < g->height ? top + 3 : g->height, most(left, 0),
                           left + 3 < g->width ? left + 3 : g->width};
  return w;
}

/* One pixel of a pooling or of the image itself; `count` channels from `image` on. */
INLINE lanes pooled(const struct operation *op, const struct shape *g, const real *image, long y, long x,
                    long channels, long count) {
  if (op->kind == IDENTITY) return load_some(image + (y * g->width + x) * channels, count);
  const struct window w = window_of(g, y, x);
  lanes value = load_some(image + (w.top * g->width + w.left) * channels, count);
  for (long i = w.top; i < w.bottom; i++)
    for (long j = w.left; j < w.right; j++) {
      if (i == w.top && j == w.left) continue;
      const lanes other = load_some(image + (i * g->width + j) * channels, count);
      if (op->kind == MAX_POOL) {
        const masks is_larger = (other > value) | (other != other);
        value = where(is_larger, other) + where(~is_larger, value);
      }
      else value += other;
    }
  if (op->kind == AVERAGE_POOL) value /= (real)((w.bottom - w.top) * (w.right - w.left));
  return value;
}

INLINE void add_some(real *to, lanes value, long count) { store_some(to, load_some(to, count) + value, count); }

/* Add to the gradient of an image what one pixel of a pooling passes on. */
INLINE void pass_on(const struct operation *op, const struct shape *g, const real *image, real *gradient, long y,
                    long x, long channels, long count, lanes slope) {
  if (op->kind == IDENTITY) {
    add_some(gradient + (y * g->width + x) * channels, slope, count);
    return;
  }
  const struct window w = window_of(g, y, x);
  if (op->kind == AVERAGE_POOL) slope /= (real)((w.bottom - w.top) * (w.right - w.left));
  const lanes highest = op->kind == MAX_POOL ? pooled(op, g, image, y, x, channels, count) : (lanes){0};
  masks is_open = {0};
  is_open = ~is_open; /* of several largest pixels the first one gets it */
  for (long i = w.top; i < w.bottom; i++)
    for (long j = w.left; j < w.right; j++) {
      const long at = (i * g->width + j) * channels;
      if (op->kind == AVERAGE_POOL) {
        add_some(gradient + at, slope, count);
        continue;
      }
      const lanes value = load_some(image + at, count);
      const masks is_here = is_open & ((value == highest) | (value != value));
      add_some(gradient + at, where(is_here, slope), count);
      is_open &= ~is_here;
    }
}

/* ---- The mixture ---- */

static real weight_of(const struct node *n, const struct operation *op, long row) {
  return n->weights[op->rows[row] * n->num_columns + op->column];
}

/* Add to an image of the node what an operation has made of it. */
static void add_outcome(const struct node *n, const struct operation *op, long row, const real *moments) {
  const real weight = weight_of(n, op, row);
  const long channels = n->channels;
  const long padded = n->padded;
  if (weight == 0) return;
  real *out = n->out + op->rows[row] * pixels_of(n) * channels;
  if (op->num_stages > 0) {
    const real *outcome = op->stages[op->num_stages - 1].outcome + row * pixels_of(n) * padded;
    for (long c = 0; c < padded; c += LANES) {
      const lanes a = weight * load(moments + 2 * padded + c);
      const lanes s = weight * load(moments + 3 * padded + c);
      for (long i = 0; i < pixels_of(n); i++)
        add_some(out + i * channels + c, load(outcome + i * padded + c) * a + s, channels - c);
    }
    return;
  }
  const struct shape g = shape_of(n, op, 0);
  const real *image = n->states[op->state] + op->rows[row] * g.height * g.width * channels;
  for (long y = 0; y < n->height; y++)
    for (long x = 0; x < n->width; x++)
      for (long c = 0; c < channels; c += LANES) {
        const lanes value = pooled(op, &g, image + c, y, x, channels, channels - c);
        add_some(out + (y * n->width + x) * channels + c, weight * value, channels - c);
      }
}

static real total(lanes value) {
  real sum = 0;
  for (int i = 0; i < LANES; i++) sum += value[i];
  return sum;
}

/* The gradient in a weight of an operation without weights: the product of its outcome and the node's gradient. */
static real pooled_product(const struct node *n, const struct operation *op, long row) {
  const struct shape g = shape_of(n, op, 0);
  const long channels = n->channels;
  const real *image = n->states[op->state] + op->rows[row] * g.height * g.width * channels;
  const real *gradient = n->gradient + op->rows[row] * pixels_of(n) * channels;
  lanes product = {0};
  for (long y = 0; y < n->height; y++)
    for (long x = 0; x < n->width; x++)
      for (long c = 0; c < channels; c += LANES) {
        const lanes value = pooled(op, &g, image + c, y, x, channels, channels - c);
        product += value * load_some(gradient + (y * n->width + x) * channels + c, channels - c);
      }
  return total(product);
}

static void pass_pooled(const struct node *n, const struct operation *op, long row) {
  const struct shape g = shape_of(n, op, 0);
  const real weight = weight_of(n, op, row);
  const long channels = n->channels;
  const long at = op->rows[row] * g.height * g.width * channels;
  const real *gradient = n->gradient + op->rows[row] * pixels_of(n) * channels;
  real *to = n->state_gradients[op->state];
  if (!to || weight == 0) return;
  for (long y = 0; y < n->height; y++)
    for (long x = 0; x < n->width; x++)
      for (long c = 0; c < channels; c += LANES) {
        const lanes slope = weight * load_some(gradient + (y * n->width + x) * channels + c, channels - c);
        pass_on(op, &g, n->states[op->state] + at + c, to + at + c, y, x, channels, channels - c, slope);
      }
}

/* ---- Backward through a stage ---- */

/* Sums over an image of the node's gradient, alone and times the outcome. */
static void sum_slopes(const struct node *n, const struct operation *op, long row) {
  const struct stage *stage = &op->stages[op->num_stages - 1];
  const long padded = n->padded;
  const long channels = n->channels;
  const real *outcome = stage->outcome + row * pixels_of(n) * padded;
  const real *gradient = n->gradient + op->rows[row] * pixels_of(n) * channels;
  real *sums = stage->slope_sums + 2 * row * padded;
  for (long c = 0; c < padded; c += LANES) {
    lanes products[4] = {0};
    long i = 0;
    for (; i + 4 <= pixels_of(n); i += 4)
      for (int j = 0; j < 4; j++)
        products[j] += load(outcome + (i + j) * padded + c) * load_some(gradient + (i + j) * channels + c, channels - c);
    for (; i < pixels_of(n); i++)
      products[0] += load(outcome + i * padded + c) * load_some(gradient + i * channels + c, channels - c);
    store(sums + c, products[0] + products[1] + (products[2] + products[3]));
  }
  memcpy(sums + padded, n->gradient_sums + op->rows[row] * padded, sizeof(real) * padded);
  if (!n->weight_gradients) return;
  const real *scale = stage->moments + 2 * padded;
  const real *offset = stage->moments + 3 * padded;
  double product = 0;
  for (long c = 0; c < channels; c++) product += (double)scale[c] * sums[c] + (double)offset[c] * sums[padded + c];
  n->weight_gradients[op->rows[row] * n->num_columns + op->column] = product;
}

static void sum_gradient(const struct node *n, long image) {
  const real *gradient = n->gradient + image * pixels_of(n) * n->channels;
  for (long c = 0; c < n->padded; c += LANES) {
    lanes sum = {0};
    for (long i = 0; i < pixels_of(n); i++) sum += load_some(gradient + i * n->channels + c, n->channels - c);
    store(n->gradient_sums + image * n->padded + c, sum);
  }
}

/* Write the gradient in an outcome of the last stage, [pixels][padded]. */
static void slopes_of_mixture(const struct node *n, const struct operation *op, long row, const real *k, real *to) {
  const real *outcome = op->stages[op->num_stages - 1].outcome + row * pixels_of(n) * n->padded;
  const real *gradient = n->gradient + op->rows[row] * pixels_of(n) * n->channels;
  const real weight = weight_of(n, op, row);
  for (long c = 0; c < n->padded; c += LANES) {
    const lanes of_slope = weight * load(k + c);
    const lanes of_outcome = load(k + n->padded + c);
    const lanes constant = load(k + 2 * n->padded + c);
    for (long i = 0; i < pixels_of(n); i++) {
      const lanes slope = load_some(gradient + i * n->channels + c, n->channels - c);
      store(to + i * n->padded + c, of_slope * slope + of_outcome * load(outcome + i * n->padded + c) + constant);
    }
  }
}

/* The same of a first stage that a second one follows; `slopes` is the gradient in its normalised outcome. */
static void slopes_of_stage(const struct node *n, const struct operation *op, long row, const real *k,
                            const real *slopes, real *to) {
  const real *outcome = op->stages[0].outcome + row * pixels_of(n) * n->padded;
  for (long c = 0; c < n->padded; c += LANES) {
    const lanes of_slope = load(k + c);
    const lanes of_outcome = load(k + n->padded + c);
    const lanes constant = load(k + 2 * n->padded + c);
    for (long i = 0; i < pixels_of(n); i++)
      store(to + i * n->padded + c, of_slope * load(slopes + i * n->padded + c) +
                                        of_outcome * load(outcome + i * n->padded + c) + constant);
  }
}

/* The taps that reach input pixels of one parity, as offsets into the plane of slopes, weights packed behind them. */
struct parity {
  long taps, offsets[MAX_TAPS];
  real *weights;
};

static void find_parity(const struct shape *g, long py, long px, const real *taps, long line, long padded,
                        struct parity *to) {
  const long padding = g->dilation * (g->kernel - 1) / 2;
  to->taps = 0;
  for (long ky = 0; ky < g->kernel; ky++)
    for (long kx = 0; kx < g->kernel; kx++) {
      const long y = py + padding - ky * g->dilation; /* stride times the output's row, from this pixel's */
      const long x = px + padding - kx * g->dilation;
      if (y % g->stride != 0 || x % g->stride != 0) continue;
      to->offsets[to->taps] = y / g->stride * line + x / g->stride * padded;
      memcpy(to->weights + to->taps * padded, taps + (ky * g->kernel + kx) * padded, sizeof(real) * padded);
      to->taps++;
    }
}

/* The gradient [H·W][padded] in a stage's input, after its ReLU, from the plane of slopes of its filtered images. */
static void input_slopes(const struct node *n, const struct shape *g, struct room *room, real *to) {
  const long padded = n->padded;
  const long line = (n->width + 2 * PAD) * padded;
  const real *slopes = inside(room->slope_plane, n->width, padded);
  struct parity parity;
  parity.weights = room->flipped;
  for (long py = 0; py < g->stride; py++)
    for (long px = 0; px < g->stride; px++) {
      find_parity(g, py, px, room->taps, line, padded, &parity);
      const long width = (g->width - px + g->stride - 1) / g->stride;
      for (long y = py; y < g->height; y += g->stride) {
        real *row = to + y * g->width * padded;
        const real *from = slopes + y / g->stride * line;
        if (g->stride == 1) {
          correlate_row(from, parity.offsets, parity.weights, parity.taps, padded, padded, row, width);
          continue;
        }
        correlate_row(from, parity.offsets, parity.weights, parity.taps, padded, padded, room->filtered, width);
        for (long x = 0; x < width; x++)
          memcpy(row + (x * g->stride + px) * padded, room->filtered + x * padded, sizeof(real) * padded);
      }
    }
}

/* Add up the gradients of a stage's weights: room->slopes are those of its outcome for the row. */
static void add_weight_gradients(const struct node *n, const struct operation *op, int s, long row,
                                 const struct shape *g, const long *offsets, struct room *room) {
  const long padded = n->padded;
  const long line = (n->width + 2 * PAD) * padded;
  fill_input(n, op, s, row, room);
  const real *in = first_tap(room->plane, g, padded);
  for (long y = 0; y < n->height; y++)
    correlate_row(in + y * g->stride * g->line, offsets, room->taps, g->kernel * g->kernel, g->stride * padded, padded,
                  room->filtered + y * n->width * padded, n->width);
  multiply_transposed(room->filtered, padded, room->slopes, pixels_of(n), padded, room->matrix_sums);
  filter_gradient(g->kernel, inside(room->slope_plane, n->width, padded), line, in, g->stride * g->line,
                  g->dilation * padded, g->dilation * g->line, g->stride * padded, padded, n->height, n->width,
                  room->tap_sums);
}

/* Add the gradient behind a ReLU, [pixels][padded], to that of a state's image; or write it for later. */
static void pass_to_state(const struct node *n, const struct operation *op, long row, const real *slopes) {
  const long size = n->state_sizes[3 * op->state] * n->state_sizes[3 * op->state + 1];
  const long at = op->rows[row] * size * n->channels;
  const real *image = n->states[op->state] + at;
  real *to = n->by_operation ? op->input_gradient + row * size * n->padded : n->state_gradients[op->state] + at;
  for (long i = 0; i < size; i++)
    for (long c = 0; c < n->padded; c += LANES) {
      const lanes value = load_some(image + i * n->channels + c, n->channels - c);
      const lanes slope = where(~(value <= 0), load(slopes + i * n->padded + c));
      if (n->by_operation) store(to + i * n->padded + c, slope);
      else add_some(to + i * n->channels + c, slope, n->channels - c);
    }
}

/* Keep the gradient in the normalised outcome of the first stage, and what its BatchNorm needs of it. */
static void pass_to_first_stage(const struct node *n, const struct operation *op, long row, const real *slopes,
                                const real *moments, real *to) {
  const long padded = n->padded;
  const real *outcome = op->stages[0].outcome + row * pixels_of(n) * padded;
  real *sums = op->stages[0].slope_sums + 2 * row * padded;
  for (long c = 0; c < padded; c += LANES) {
    const lanes a = load(moments + 2 * padded + c);
    const lanes s = load(moments + 3 * padded + c);
    lanes product = {0};
    lanes sum = {0};
    for (long i = 0; i < pixels_of(n); i++) {
      const lanes value = load(outcome + i * padded + c);
      const lanes slope = where(~(value * a + s <= 0), load(slopes + i * padded + c));
      store(to + i * padded + c, slope);
      product += slope * value;
      sum += slope;
    }
    store(sums + c, product);
    store(sums + padded + c, sum);
  }
}

static void keep_weight_gradients(const struct node *n, const struct operation *op, int s, struct room *room) {
  const struct stage *stage = &op->stages[s];
  const long taps = op->kernel * op->kernel;
  const long at = room->number * n->gradient_size;
  for (long c = 0; c < n->channels; c++)
    for (long t = 0; t < taps; t++) stage->depthwise_gradient[at + c * taps + t] = room->tap_sums[t * n->padded + c];
  for (long o = 0; o < n->channels; o++)
    for (long i = 0; i < n->channels; i++)
      stage->pointwise_gradient[at + o * n->channels + i] = room->matrix_sums[i * n->padded + o];
}

static void stage_backward(const struct node *n, const struct operation *op, int s, long from, long to,
                           struct room *room) {
  const struct shape g = shape_of(n, op, s);
  const int is_last = s == op->num_stages - 1;
  const int wants_input = s == 1 || n->by_operation || n->state_gradients[op->state];
  const long padded = n->padded;
  const long size = pixels_of(n) * padded;
  long offsets[MAX_TAPS];
  write_weights(n, op, s, room);
  forward_offsets(&g, padded, offsets);
  memset(room->tap_sums, 0, sizeof(real) * g.kernel * g.kernel * padded);
  memset(room->matrix_sums, 0, sizeof(real) * padded * padded);
  clear_border(room->slope_plane, n->height, n->width, padded);
  if (s == 1) memcpy(room->moments, op->stages[0].moments, 4 * sizeof(real) * padded);
  for (long r = from; r < to; r++) {
    real *kept = room->row_slopes + (r - from) * size;
    if (is_last) slopes_of_mixture(n, op, r, room->coefficients, room->slopes);
    else slopes_of_stage(n, op, r, room->coefficients, kept, room->slopes);
    for (long y = 0; y < n->height; y++)
      multiply(room->slopes + y * n->width * padded, padded, n->width, room->matrix, n->channels, padded,
               inside(room->slope_plane, n->width, padded) + y * (n->width + 2 * PAD) * padded, padded, 0);
    if (n->wants_parameters) add_weight_gradients(n, op, s, r, &g, offsets, room);
    if (!wants_input) continue;
    input_slopes(n, &g, room, room->inner);
    if (s == 0) pass_to_state(n, op, r, room->inner);
    else pass_to_first_stage(n, op, r, room->inner, room->moments, kept);
  }
  if (n->wants_parameters) keep_weight_gradients(n, op, s, room);
}

/* Where the gradient in a state's image goes: to it, or to memory of the operation's own. */
static real *gradient_of_image(const struct node *n, const struct operation *op, long row) {
  const long size = n->state_sizes[3 * op->state] * n->state_sizes[3 * op->state + 1];
  if (n->by_operation) return op->input_gradient + row * size * n->padded;
  real *gradients = n->state_gradients[op->state];
  return gradients ? gradients + op->rows[row] * size * op->channels : NULL;
}

/* Pass the slopes of a row of the node on to the pixels that a half has seen. */
static void pass_line(const struct node *n, const struct operation *op, const real *image, real *gradient, long y,
                      long shift, const real *slopes) {
  const struct shape g = shape_of(n, op, 0);
  const long padded_in = padding_to(op->channels);
  const long step = n->by_operation ? padded_in : op->channels;
  const long row = y * g.stride + shift;
  if (row >= g.height) return;
  for (long x = 0; x < n->width; x++) {
    const long column = x * g.stride + shift;
    if (column >= g.width) return;
    const long pixel = row * g.width + column;
    for (long c = 0; c < padded_in; c += LANES) {
      const lanes value = load_some(image + pixel * op->channels + c, op->channels - c);
      add_some(gradient + pixel * step + c, where(~(value <= 0), load(slopes + x * padded_in + c)), step - c);
    }
  }
}

static void pointwise_backward(const struct node *n, const struct operation *op, long from, long to,
                               struct room *room) {
  const long padded = n->padded;
  const long padded_in = padding_to(op->channels);
  struct half halves[2];
  const int count = halves_of(n, op, room, halves);
  write_halves(n, op, halves, count, room);
  memset(room->matrix_sums, 0, sizeof(real) * count * padded * padded_in);
  for (long r = from; r < to; r++) {
    real *gradient = gradient_of_image(n, op, r);
    const real *image = image_of(n, op, r);
    if (n->by_operation)
      memset(gradient, 0, sizeof(real) * n->state_sizes[3 * op->state] * n->state_sizes[3 * op->state + 1] * padded_in);
    slopes_of_mixture(n, op, r, room->coefficients, room->slopes);
    for (long y = 0; y < n->height; y++)
      for (int h = 0; h < count; h++) {
        const real *slopes = room->slopes + y * n->width * padded;
        if (n->wants_parameters) {
          fill_line(n, op, image, y, halves[h].shift, room->line);
          multiply_transposed(room->line, padded_in, slopes, n->width, padded, room->matrix_sums + h * padded_in * padded);
        }
        if (!gradient) continue;
        multiply(slopes + halves[h].first, padded, n->width, room->matrix + halves[h].first * padded_in, halves[h].count,
                 padded_in, room->line, padded_in, 0);
        pass_line(n, op, image, gradient, y, halves[h].shift, room->line);
      }
  }
  if (!n->wants_parameters) return;
  for (int h = 0; h < count; h++)
    for (long o = 0; o < halves[h].count; o++)
      for (long i = 0; i < op->channels; i++)
        halves[h].gradient[o * op->channels + i] = room->matrix_sums[(h * padded_in + i) * padded + halves[h].first + o];
}

static void part_backward(const struct node *n, const struct operation *op, int s, long from, long to,
                          struct room *room) {
  if (op->kind == REDUCE || op->kind == POINTWISE) pointwise_backward(n, op, from, to, room);
  else stage_backward(n, op, s, from, to, room);
}

/* ---- Threads ---- */

static _Thread_local real *space;
static _Thread_local size_t space_size;

static real *take(real **from, long count) {
  real *taken = *from;
  *from += (count + LANES - 1) / LANES * LANES;
  return taken;
}

static long number_here(void) { return run_parallel ? thread_number() : 0; }

static long threads_here(void) { return run_parallel ? thread_count() : 1; }

/* Lay out this thread's memory, which it keeps; `rows` of gradients fit between the stages. */
static struct room open_room(const struct call *call, long rows) {
  const struct node *n = call->node;
  long height = n->height;
  long width = n->width;
  long widest = n->padded;
  for (long j = 0; j < n->num_states; j++) {
    height = most(height, n->state_sizes[3 * j]);
    width = most(width, n->state_sizes[3 * j + 1]);
    widest = most(widest, padding_to(n->state_sizes[3 * j + 2]));
  }
  const long padded = n->padded;
  const long image = height * width * padded;
  const long plane = plane_size(height, width, padded);
  const long matrix = 2 * widest * padded;
  const long line = most(width * widest, padded);
  const long taps = MAX_TAPS * padded;
  const long all = 2 * plane + 3 * image + 3 * taps + 3 * matrix + line + 8 * padded + rows * pixels_of(n) * padded + 16 * LANES;
  if (space_size < (size_t)all) {
    free(space);
    space = aligned_alloc(64, (sizeof(real) * all + 63) / 64 * 64);
    if (!space) abort();
    space_size = all;
  }
  real *free_space = space;
  struct room room = {.barrier = call->barrier, .number = number_here(), .count = threads_here()};
  room.plane = take(&free_space, plane);
  room.slope_plane = take(&free_space, plane);
  room.line = take(&free_space, line);
  room.filtered = take(&free_space, image);
  room.slopes = take(&free_space, image);
  room.inner = take(&free_space, image);
  room.taps = take(&free_space, taps);
  room.flipped = take(&free_space, taps);
  room.tap_sums = take(&free_space, taps);
  room.matrix = take(&free_space, matrix);
  room.transposed = take(&free_space, matrix);
  room.matrix_sums = take(&free_space, matrix);
  room.moments = take(&free_space, 4 * padded);
  room.coefficients = take(&free_space, 3 * padded);
  room.row_slopes = take(&free_space, rows * pixels_of(n) * padded);
  return room;
}

/* Wait for all threads of the call. One that waits longer gives its core away: beside other work, the thread it waits
 * for may have none. */
static void wait_all(const struct room *room) {
  struct barrier *barrier = room->barrier;
  if (room->count == 1) return;
  const long round = __atomic_load_n(&barrier->round, __ATOMIC_ACQUIRE);
  if (__atomic_add_fetch(&barrier->waiting, 1, __ATOMIC_ACQ_REL) == room->count) {
    barrier->waiting = 0;
    __atomic_store_n(&barrier->round, round + 1, __ATOMIC_RELEASE);
    return;
  }
  for (long turns = 0; __atomic_load_n(&barrier->round, __ATOMIC_ACQUIRE) == round; turns++)
    if (turns > PATIENCE) sched_yield();
}

/* What of an operation a thread does: some of its rows, all of them, or none. */
struct share {
  long from, to;
  int keeps; /* it writes what is found of all rows */
};

static struct share share_of(const struct operation *op, const struct room *room) {
  if (op->owner < 0) {
    const long from = op->num_rows * room->number / room->count;
    const long to = op->num_rows * (room->number + 1) / room->count;
    return (struct share){from, to, room->number == 0};
  }
  const int is_own = op->owner % room->count == room->number;
  return (struct share){0, is_own ? op->num_rows : 0, is_own};
}

static int is_idle(const struct operation *op, const struct share *share) {
  return op->owner >= 0 && !share->keeps;
}

/* Operations whose threads wait for each other once for all of them. Few outcomes are then in the cache at once. */
static long end_of_group(const struct node *n, long first) {
  const long end = first + GROUP;
  return n->by_operation || end > n->num_operations ? n->num_operations : end;
}

/* Add the outcomes of operations that threads have shared out, each thread to images of its own. */
static void add_by_image(const struct node *n, long from, long to) {
  for (long e = 0; e < n->num_operations; e++) {
    const struct operation *op = &n->operations[e];
    const real *moments = op->num_stages ? op->stages[op->num_stages - 1].moments : NULL;
    for (long r = 0; r < op->num_rows; r++)
      if (op->rows[r] >= from && op->rows[r] < to) add_outcome(n, op, r, moments);
  }
}

static void forward_group(const struct call *call, struct room *room, long first, long end) {
  const struct node *n = call->node;
  for (int s = 0; s < 2; s++) {
    for (long e = first; e < end; e++) {
      const struct operation *op = &n->operations[e];
      const struct share share = share_of(op, room);
      if (s >= op->num_stages || is_idle(op, &share)) continue;
      if (s == 1) find_moments(call, op, &op->stages[0], room->moments, share.keeps);
      run_part(n, op, s, share.from, share.to, room);
    }
    wait_all(room);
  }
  for (long e = first; e < end; e++) {
    const struct operation *op = &n->operations[e];
    const struct share share = share_of(op, room);
    if (is_idle(op, &share)) continue;
    if (op->num_stages) find_moments(call, op, &op->stages[op->num_stages - 1], room->moments, share.keeps);
    if (n->by_operation) continue;
    for (long r = share.from; r < share.to; r++) add_outcome(n, op, r, room->moments);
  }
}

static void forward_thread(void *argument) {
  const struct call *call = argument;
  const struct node *n = call->node;
  struct room room = open_room(call, 0);
  const long from = n->batch * room.number / room.count;
  const long to = n->batch * (room.number + 1) / room.count;
  const long size = pixels_of(n) * n->channels;
  memset(n->out + from * size, 0, sizeof(real) * (to - from) * size);
  for (long e = 0; e < n->num_operations; e = end_of_group(n, e)) forward_group(call, &room, e, end_of_group(n, e));
  if (!n->by_operation) return;
  wait_all(&room);
  add_by_image(n, from, to);
}

static void pooled_backward(const struct node *n, const struct operation *op, long row) {
  if (n->weight_gradients)
    n->weight_gradients[op->rows[row] * n->num_columns + op->column] = pooled_product(n, op, row);
  pass_pooled(n, op, row);
}

/* The weight gradients of all threads are added up, each part by one of them. */
static void add_partial_gradients(const struct node *n, const struct room *room) {
  const long from = n->gradient_size * room->number / room->count;
  const long to = n->gradient_size * (room->number + 1) / room->count;
  for (long t = 1; t < room->count; t++) {
    const real *partial = n->gradients + t * n->gradient_size;
    for (long i = from; i < to; i++) n->gradients[i] += partial[i];
  }
}

/* Add up, image by image, what operations that threads have shared out pass on. */
static void pass_by_image(const struct node *n, long from, long to) {
  for (long e = 0; e < n->num_operations; e++) {
    const struct operation *op = &n->operations[e];
    const long size = n->state_sizes[3 * op->state] * n->state_sizes[3 * op->state + 1];
    real *gradient = n->state_gradients[op->state];
    for (long r = 0; r < op->num_rows; r++) {
      const long image = op->rows[r];
      if (image < from || image >= to) continue;
      if (op->num_stages == 0) pooled_backward(n, op, r);
      else if (gradient)
        for (long i = 0; i < size; i++)
          for (long c = 0; c < n->padded; c += LANES)
            add_some(gradient + (image * size + i) * n->channels + c,
                     load(op->input_gradient + (r * size + i) * n->padded + c), n->channels - c);
    }
  }
}

static void backward_group(const struct call *call, struct room *room, long first, long end) {
  const struct node *n = call->node;
  real *row_slopes = room->row_slopes;
  for (long e = first; e < end; e++) {
    const struct operation *op = &n->operations[e];
    const struct share share = share_of(op, room);
    for (long r = share.from; r < share.to && !is_idle(op, &share); r++)
      if (op->num_stages) sum_slopes(n, op, r);
      else if (!n->by_operation) pooled_backward(n, op, r);
  }
  for (int back = 0; back < 2; back++) { /* the last stages, then those before them */
    real *kept = row_slopes;
    wait_all(room);
    for (long e = first; e < end; e++) {
      const struct operation *op = &n->operations[e];
      const struct share share = share_of(op, room);
      const int s = op->num_stages - 1 - back;
      if (s < 0 || is_idle(op, &share)) continue;
      room->row_slopes = kept;
      find_coefficients(call, op, &op->stages[s], back ? NULL : n->weights + op->column, room->coefficients, share.keeps);
      part_backward(n, op, s, share.from, share.to, room);
      if (op->num_stages == 2) kept += (share.to - share.from) * pixels_of(n) * n->padded;
    }
  }
  room->row_slopes = row_slopes;
}

/* How many rows of gradients a thread has between stages at once. */
static long kept_rows(const struct node *n) {
  const struct room room = {.number = number_here(), .count = threads_here()};
  long largest = 0;
  for (long first = 0; first < n->num_operations; first = end_of_group(n, first)) {
    long rows = 0;
    for (long e = first; e < end_of_group(n, first); e++) {
      const struct share share = share_of(&n->operations[e], &room);
      if (n->operations[e].num_stages == 2) rows += share.to - share.from;
    }
    largest = most(largest, rows);
  }
  return largest;
}

static void backward_thread(void *argument) {
  const struct call *call = argument;
  const struct node *n = call->node;
  struct room room = open_room(call, kept_rows(n));
  const long from = n->batch * room.number / room.count;
  const long to = n->batch * (room.number + 1) / room.count;
  for (long j = 0; j < n->num_states; j++) {
    const long size = n->state_sizes[3 * j] * n->state_sizes[3 * j + 1] * n->state_sizes[3 * j + 2];
    if (n->state_gradients[j]) memset(n->state_gradients[j] + from * size, 0, sizeof(real) * (to - from) * size);
  }
  for (long b = from; b < to; b++) sum_gradient(n, b);
  wait_all(&room);
  for (long e = 0; e < n->num_operations; e = end_of_group(n, e)) backward_group(call, &room, e, end_of_group(n, e));
  wait_all(&room);
  if (n->wants_parameters) add_partial_gradients(n, &room);
  if (n->by_operation) pass_by_image(n, from, to);
}

static void run(void (*thread)(void *), struct node *n, double eps, double momentum) {
  struct barrier barrier = {0, 0};
  struct call call = {n, &barrier, (real)eps, (real)momentum};
  if (run_parallel && n->threads > 1) run_parallel(thread, &call, n->threads, 0);
  else thread(&call);
}

void unas_node_forward(struct node *n, double eps, double momentum) { run(forward_thread, n, eps, momentum); }

void unas_node_backward(struct node *n, double eps, double momentum) { run(backward_thread, n, eps, momentum); }
