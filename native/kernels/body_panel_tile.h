/* A tile of products of rows with a matrix in panels of 16 columns: rows by vectors of columns, DN_EACH_ROW(DO, v) and
 * DN_EACH_VECTOR(DO, r) expanding DO(r, v) for each of them, DN_VECTORS of them. Included by body_panels.h for each
 * vector, DN_V, each form of the weights, DN_WEIGHT, and each size. The sums are in variables of their own, as
 * compilers leave arrays of them in memory. Each is its inputs' products added one after the other, so that no result
 * depends on the tiles that it is made by. */

static inline void DN_TILED(const dn_panels *m, int row, int column) {
    const int panel = 16 * m->inputs;
    const DN_WEIGHT *w = (const DN_WEIGHT *)m->w + column * m->inputs;
#define DN_PLACE(v) ((v)*DN_VECTOR / 16 * panel + (v)*DN_VECTOR % 16)
#define DN_AT(r, v) (m->y + (row + r) * m->y_row + column + v * DN_VECTOR)
#define DN_START(r, v)                                                                                                 \
    DN_V a##r##_##v = m->add    ? DN_OF(load)(DN_AT(r, v))                                                             \
                      : m->bias ? DN_OF(load)(m->bias + column + v * DN_VECTOR)                                        \
                                : DN_OF(set)(0);
#define DN_START_ROW(r)                                                                                                \
    const float *x##r = m->x + (row + r) * m->x_row;                                                                   \
    DN_EACH_VECTOR(DN_START, r)
#define DN_FETCH(r, v) DN_V w##v = DN_LOAD(w + DN_PLACE(v));
#define DN_STEP(r, v) a##r##_##v = DN_OF(fma)(in, w##v, a##r##_##v);
#define DN_STEP_ROW(r)                                                                                                 \
    in = DN_OF(set)(x##r[j]);                                                                                          \
    DN_EACH_VECTOR(DN_STEP, r)
#define DN_STORE(r, v) DN_OF(store)(DN_AT(r, v), a##r##_##v);
#define DN_STORE_ROW(r) DN_EACH_VECTOR(DN_STORE, r)
    DN_EACH_ROW(DN_START_ROW)
    for (int j = 0; j < m->inputs; j++, w += 16) {
        DN_V in;
        DN_EACH_VECTOR(DN_FETCH, 0)
        DN_EACH_ROW(DN_STEP_ROW)
    }
    DN_EACH_ROW(DN_STORE_ROW)
#undef DN_PLACE
#undef DN_AT
#undef DN_START
#undef DN_START_ROW
#undef DN_FETCH
#undef DN_STEP
#undef DN_STEP_ROW
#undef DN_STORE
#undef DN_STORE_ROW
}
#undef DN_TILED
#undef DN_EACH_ROW
#undef DN_EACH_VECTOR
