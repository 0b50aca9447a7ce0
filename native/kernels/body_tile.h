/* A tile of products of rows with a matrix: several rows by two vectors of columns, and by one. Included by
 * body_row_map.h for each vector of sums, DN_V, and each number of rows; DN_EACH_ROW(DO) expands DO for each of them.
 * DN_MAP is dn_rows and DN_NUMBER float, or dn_shorts and int32_t. The sums are in variables of their own, as compilers
 * leave arrays of them in memory. Each is its inputs' products added one after the other, so that no result depends on
 * the tiles that it is made by. */

static inline void DN_TILED(two)(const DN_MAP *m, int row, int column) {
    const DN_NUMBER *w = m->w + column;
    int step = m->x_step, j = 0;
#define DN_START(r)                                                                                                    \
    const DN_NUMBER *x##r = m->x + (row + r) * m->x_row;                                                               \
    DN_V a##r = DN_OF(start)(m, row + r, column);                                                                      \
    DN_V b##r = DN_OF(start)(m, row + r, column + DN_VECTOR);
#define DN_STEP(r)                                                                                                     \
    in = DN_OF(input)(x##r[j]);                                                                                        \
    a##r = DN_OF(products)(in, w0, a##r);                                                                              \
    b##r = DN_OF(products)(in, w1, b##r);
#define DN_STORE(r)                                                                                                    \
    DN_OF(finish)(m, row + r, column, a##r, unit0);                                                                    \
    DN_OF(finish)(m, row + r, column + DN_VECTOR, b##r, unit1);
    DN_EACH_ROW(DN_START)
    for (int left = m->inputs; left > 0; left--, j += step, w += m->w_row) {
        DN_V w0 = DN_OF(weights)(w), w1 = DN_OF(weights)(w + DN_VECTOR), in;
        DN_EACH_ROW(DN_STEP)
    }
    const DN_OF(unit) unit0 = DN_OF(unit_of)(m, column), unit1 = DN_OF(unit_of)(m, column + DN_VECTOR);
    DN_EACH_ROW(DN_STORE)
#undef DN_START
#undef DN_STEP
#undef DN_STORE
}

static inline void DN_TILED(one)(const DN_MAP *m, int row, int column) {
    const DN_NUMBER *w = m->w + column;
    int step = m->x_step, j = 0;
#define DN_START(r)                                                                                                    \
    const DN_NUMBER *x##r = m->x + (row + r) * m->x_row;                                                               \
    DN_V a##r = DN_OF(start)(m, row + r, column);
#define DN_STEP(r) a##r = DN_OF(products)(DN_OF(input)(x##r[j]), w0, a##r);
#define DN_STORE(r) DN_OF(finish)(m, row + r, column, a##r, unit0);
    DN_EACH_ROW(DN_START)
    for (int left = m->inputs; left > 0; left--, j += step, w += m->w_row) {
        DN_V w0 = DN_OF(weights)(w);
        DN_EACH_ROW(DN_STEP)
    }
    const DN_OF(unit) unit0 = DN_OF(unit_of)(m, column);
    DN_EACH_ROW(DN_STORE)
#undef DN_START
#undef DN_STEP
#undef DN_STORE
}
