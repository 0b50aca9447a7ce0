/* A tile of products of rows with a matrix: DN_TILE_ROWS rows by two vectors of columns, and by one. Included by
 * body_rows.h for each vector, DN_V, and each number of rows; DN_EACH_ROW(DO) expands DO for each of them. The sums are
 * in variables of their own, as compilers leave arrays of them in memory. Each is its inputs' products added one after
 * the other, so that no result depends on the tiles that it is made by. */

static inline void DN_TILED(store)(const dn_rows *m, float *y, DN_V sum) {
    if (m->add) sum = DN_OF(add)(DN_OF(load)(y), sum);
    DN_OF(store)(y, DN_OF(min)(DN_OF(max)(sum, DN_OF(set)(-DN_ROWS_MOST)), DN_OF(set)(DN_ROWS_MOST)));
}

static inline DN_V DN_TILED(bias)(const dn_rows *m, int row, int column) {
    return m->bias ? DN_OF(load)(m->bias + row * m->bias_row + column) : DN_OF(set)(0);
}

static inline void DN_TILED(two)(const dn_rows *m, int row, int column) {
    const float *w = m->w + column;
    int step = m->x_step, j = 0;
#define DN_START(r)                                                                                                    \
    const float *x##r = m->x + (row + r) * m->x_row;                                                                   \
    DN_V a##r = DN_TILED(bias)(m, row + r, column);                                                                    \
    DN_V b##r = DN_TILED(bias)(m, row + r, column + DN_VECTOR);
#define DN_STEP(r)                                                                                                     \
    in = DN_OF(set)(x##r[j]);                                                                                          \
    a##r = DN_OF(muladd)(in, w0, a##r);                                                                                \
    b##r = DN_OF(muladd)(in, w1, b##r);
#define DN_STORE(r)                                                                                                    \
    DN_TILED(store)(m, m->y + (row + r) * m->y_row + column, a##r);                                                    \
    DN_TILED(store)(m, m->y + (row + r) * m->y_row + column + DN_VECTOR, b##r);
    DN_EACH_ROW(DN_START)
    for (int left = m->inputs; left > 0; left--, j += step, w += m->w_row) {
        DN_V w0 = DN_OF(load)(w), w1 = DN_OF(load)(w + DN_VECTOR), in;
        DN_EACH_ROW(DN_STEP)
    }
    DN_EACH_ROW(DN_STORE)
#undef DN_START
#undef DN_STEP
#undef DN_STORE
}

static inline void DN_TILED(one)(const dn_rows *m, int row, int column) {
    const float *w = m->w + column;
    int step = m->x_step, j = 0;
#define DN_START(r)                                                                                                    \
    const float *x##r = m->x + (row + r) * m->x_row;                                                                   \
    DN_V a##r = DN_TILED(bias)(m, row + r, column);
#define DN_STEP(r) a##r = DN_OF(muladd)(DN_OF(set)(x##r[j]), w0, a##r);
#define DN_STORE(r) DN_TILED(store)(m, m->y + (row + r) * m->y_row + column, a##r);
    DN_EACH_ROW(DN_START)
    for (int left = m->inputs; left > 0; left--, j += step, w += m->w_row) {
        DN_V w0 = DN_OF(load)(w);
        DN_EACH_ROW(DN_STEP)
    }
    DN_EACH_ROW(DN_STORE)
#undef DN_START
#undef DN_STEP
#undef DN_STORE
}
