/* Matrices by which rows are multiplied, in one of three forms, in panels of 16 columns: kernels/table.h has them. */
#ifndef DN_MATRIX_H
#define DN_MATRIX_H

#include "kernels/table.h"

typedef enum { DN_FLOATS, DN_HALVES, DN_STEPS } dn_matrix_form;

typedef struct {
    dn_matrix_form form;
    int inputs, columns; /* columns is a multiple of 16; of DN_STEPS inputs is one of 4 */
    void *w;             /* from dn_new, as are the two that follow, which DN_STEPS alone have */
    float *scale;        /* [columns] */
    int32_t *sums;       /* [columns], 128 times the sum of a column */
} dn_matrix;

/* Rounds up to whole panels. */
static inline int dn_round_up_16(int n) {
    return (n + 15) / 16 * 16;
}

/* Rows as a matrix takes them: floats, and where its form is DN_STEPS steps[rows][step_row] and their sizes. */
typedef struct {
    const float *x;
    int x_row;
    int8_t *steps;
    int step_row;
    float *size;
} dn_rows_in;

/* Makes the steps of rows for a matrix, if its form has them; n of each row are there. */
void dn_rows_prepare(const dn_rows_in *in, const dn_matrix *m, const dn_kernels *k, int n, int rows);

/* y[rows][columns] = bias, or y where add, plus the rows, which are prepared, times the matrix. */
void dn_matrix_run(const dn_matrix *m, const dn_kernels *k, const dn_rows_in *in, const float *bias, float *y,
                   int y_row, int rows, int add);

void dn_matrix_discard(dn_matrix *m);

#endif
