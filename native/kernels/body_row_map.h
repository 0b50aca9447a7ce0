/* A map of rows by a matrix, DN_NAME(map), in tiles. Included by body_rows.h for floats and for integers: DN_MAP is
 * dn_rows and DN_NUMBER float, or dn_shorts and int32_t; DN_NAME(v8) is what holds eight sums, and DN_NAME(v8_start)
 * and so on what is done with them; likewise v16 where DN_WIDE. */

#define DN_V DN_NAME(v8)
#define DN_VECTOR 8
#define DN_OF(op) DN_NAME(v8_##op)
#define DN_TILED(part) DN_NAME(v8_1_##part)
#define DN_EACH_ROW DN_ONE_ROW
#include "kernels/body_tile.h"
#undef DN_TILED
#undef DN_EACH_ROW
#define DN_TILED(part) DN_NAME(v8_4_##part)
#define DN_EACH_ROW DN_FOUR_ROWS
#include "kernels/body_tile.h"
#undef DN_TILED
#undef DN_EACH_ROW
#define DN_TILED(part) DN_NAME(v8_8_##part)
#define DN_EACH_ROW DN_EIGHT_ROWS
#include "kernels/body_tile.h"
#undef DN_TILED
#undef DN_EACH_ROW
#undef DN_OF
#undef DN_VECTOR
#undef DN_V

#ifdef DN_WIDE
#define DN_V DN_NAME(v16)
#define DN_VECTOR 16
#define DN_OF(op) DN_NAME(v16_##op)
#define DN_TILED(part) DN_NAME(v16_8_##part)
#define DN_EACH_ROW DN_EIGHT_ROWS
#include "kernels/body_tile.h"
#undef DN_TILED
#undef DN_EACH_ROW
#undef DN_OF
#undef DN_VECTOR
#undef DN_V
#endif

static void DN_NAME(map)(const DN_MAP *m) {
    int column = 0;
#ifdef DN_WIDE
    int eights = m->rows - m->rows % 8;
    for (; eights && column + 16 <= m->columns;) {
        int two = column + 32 <= m->columns;
        for (int row = 0; row < eights; row += 8) {
            if (two) {
                DN_NAME(v16_8_two)(m, row, column);
            } else {
                DN_NAME(v16_8_one)(m, row, column);
            }
        }
        for (int row = eights; row < m->rows; row++) {
            for (int part = 0; part < (two ? 32 : 16); part += 16) DN_NAME(v8_1_two)(m, row, column + part);
        }
        column += two ? 32 : 16;
    }
#endif
    int fours = m->rows - m->rows % 4;
    for (; column < m->columns;) {
        int two = column + 16 <= m->columns, row = 0;
        for (; !two && row + 8 <= m->rows; row += 8) { /* as many sums as four rows of two */
            DN_NAME(v8_8_one)(m, row, column);
        }
        for (; row < fours; row += 4) {
            if (two) {
                DN_NAME(v8_4_two)(m, row, column);
            } else {
                DN_NAME(v8_4_one)(m, row, column);
            }
        }
        for (row = fours; row < m->rows; row++) {
            if (two) {
                DN_NAME(v8_1_two)(m, row, column);
            } else {
                DN_NAME(v8_1_one)(m, row, column);
            }
        }
        column += two ? 16 : 8;
    }
}

#undef DN_NAME
#undef DN_MAP
#undef DN_NUMBER
