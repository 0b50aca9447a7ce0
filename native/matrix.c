#include "matrix.h"

#include "memory.h"

void dn_rows_prepare(const dn_rows_in *in, const dn_matrix *m, const dn_kernels *k, int n, int rows) {
    if (m->form != DN_STEPS) return;
    for (int r = 0; r < rows; r++) in->size[r] = k->step_rows(in->steps + r * in->step_row, in->x + r * in->x_row, n);
}

void dn_matrix_run(const dn_matrix *m, const dn_kernels *k, const dn_rows_in *in, const float *bias, float *y,
                   int y_row, int rows, int add) {
    if (m->form == DN_STEPS) {
        const dn_steps map = {.x = in->steps,
                              .x_row = in->step_row,
                              .size = in->size,
                              .w = m->w,
                              .scale = m->scale,
                              .bias = bias,
                              .sums = m->sums,
                              .y = y,
                              .y_row = y_row,
                              .inputs = m->inputs,
                              .columns = m->columns,
                              .rows = rows,
                              .add = add};
        k->map_steps(&map);
        return;
    }
    const dn_panels map = {.x = in->x,
                           .x_row = in->x_row,
                           .w = m->w,
                           .bias = bias,
                           .y = y,
                           .y_row = y_row,
                           .inputs = m->inputs,
                           .columns = m->columns,
                           .rows = rows,
                           .add = add};
    (m->form == DN_HALVES ? k->map_panels_halves : k->map_panels)(&map);
}

void dn_matrix_discard(dn_matrix *m) {
    dn_delete(m->w);
    dn_delete(m->scale);
    dn_delete(m->sums);
}
