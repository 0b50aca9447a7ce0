/* A tile of products in integers: DN_EACH_ROW and DN_EACH_PANEL, as in body_panel_tile.h, rows by panels of 16 columns.
 * Included by body_panels.h for each size. */

static inline void DN_TILED(const dn_steps *m, int row, int column) {
    const int panel = 16 * m->inputs;
    const int8_t *w = m->w + column * m->inputs;
#define DN_START(r, p) dots16 a##r##_##p = dots16_zero();
#define DN_START_ROW(r)                                                                                                \
    const int8_t *x##r = m->x + (row + r) * m->x_row;                                                                  \
    DN_EACH_PANEL(DN_START, r)
#define DN_STEP(r, p) a##r##_##p = dots16_add(a##r##_##p, w + p * panel, in);
#define DN_STEP_ROW(r)                                                                                                 \
    in = steps16_load(x##r + j);                                                                                       \
    DN_EACH_PANEL(DN_STEP, r)
#define DN_STORE(r, p)                                                                                                 \
    dots16_store(a##r##_##p, m, column + 16 * p, m->size[row + r], m->y + (row + r) * m->y_row + column + 16 * p);
#define DN_STORE_ROW(r) DN_EACH_PANEL(DN_STORE, r)
    DN_EACH_ROW(DN_START_ROW)
    for (int j = 0; j < m->inputs; j += 4, w += 64) {
        steps16 in;
        DN_EACH_ROW(DN_STEP_ROW)
    }
    DN_EACH_ROW(DN_STORE_ROW)
#undef DN_START
#undef DN_START_ROW
#undef DN_STEP
#undef DN_STEP_ROW
#undef DN_STORE
#undef DN_STORE_ROW
}
#undef DN_TILED
#undef DN_EACH_ROW
#undef DN_EACH_PANEL
