/* map_panels for one form of the weights, DN_WEIGHT, which DN_LOAD makes a vector of; DN_NAMED gives the functions
 * names. Included by body_panels.h. */

#ifdef DN_WIDE
#define DN_LOAD DN_LOAD_16
#define DN_V v16
#define DN_VECTOR 16
#define DN_OF(op) v16_##op
#define DN_TILED DN_NAMED(panels_8_2)
#define DN_EACH_ROW DN_EIGHT_ROWS
#define DN_EACH_VECTOR DN_TWO_VECTORS
#include "kernels/body_panel_tile.h"
#define DN_TILED DN_NAMED(panels_8_1)
#define DN_EACH_ROW DN_EIGHT_ROWS
#define DN_EACH_VECTOR DN_ONE_VECTOR
#include "kernels/body_panel_tile.h"
#define DN_TILED DN_NAMED(panels_4_4)
#define DN_EACH_ROW DN_FOUR_ROWS
#define DN_EACH_VECTOR DN_FOUR_VECTORS
#include "kernels/body_panel_tile.h"
#define DN_TILED DN_NAMED(panels_4_1)
#define DN_EACH_ROW DN_FOUR_ROWS
#define DN_EACH_VECTOR DN_ONE_VECTOR
#include "kernels/body_panel_tile.h"
#define DN_TILED DN_NAMED(panels_2_4)
#define DN_EACH_ROW DN_TWO_ROWS
#define DN_EACH_VECTOR DN_FOUR_VECTORS
#include "kernels/body_panel_tile.h"
#define DN_TILED DN_NAMED(panels_2_1)
#define DN_EACH_ROW DN_TWO_ROWS
#define DN_EACH_VECTOR DN_ONE_VECTOR
#include "kernels/body_panel_tile.h"
#define DN_TILED DN_NAMED(panels_1_8)
#define DN_EACH_ROW DN_ONE_ROW
#define DN_EACH_VECTOR DN_EIGHT_VECTORS
#include "kernels/body_panel_tile.h"
#define DN_TILED DN_NAMED(panels_1_1)
#define DN_EACH_ROW DN_ONE_ROW
#define DN_EACH_VECTOR DN_ONE_VECTOR
#include "kernels/body_panel_tile.h"
#undef DN_LOAD
#undef DN_V
#undef DN_VECTOR
#undef DN_OF

static void DN_NAMED(map_panels)(const dn_panels *m) {
    int row = 0, column = 0;
    for (int rows = m->rows - m->rows % 8; column < m->columns && rows; column += 16) {
        int two = column + 32 <= m->columns;
        for (row = 0; row < rows; row += 8) (two ? DN_NAMED(panels_8_2) : DN_NAMED(panels_8_1))(m, row, column);
        column += two ? 16 : 0;
    }
    if (m->rows - row >= 4) {
        for (column = 0; column + 64 <= m->columns; column += 64) DN_NAMED(panels_4_4)(m, row, column);
        for (; column < m->columns; column += 16) DN_NAMED(panels_4_1)(m, row, column);
        row += 4;
    }
    if (m->rows - row >= 2) {
        for (column = 0; column + 64 <= m->columns; column += 64) DN_NAMED(panels_2_4)(m, row, column);
        for (; column < m->columns; column += 16) DN_NAMED(panels_2_1)(m, row, column);
        row += 2;
    }
    if (m->rows - row) {
        for (column = 0; column + 128 <= m->columns; column += 128) DN_NAMED(panels_1_8)(m, row, column);
        for (; column < m->columns; column += 16) DN_NAMED(panels_1_1)(m, row, column);
    }
}
#else
#define DN_LOAD DN_LOAD_8
#define DN_V v8
#define DN_VECTOR 8
#define DN_OF(op) v8_##op
#define DN_TILED DN_NAMED(panels_4_2)
#define DN_EACH_ROW DN_FOUR_ROWS
#define DN_EACH_VECTOR DN_TWO_VECTORS
#include "kernels/body_panel_tile.h"
#define DN_TILED DN_NAMED(panels_2_4)
#define DN_EACH_ROW DN_TWO_ROWS
#define DN_EACH_VECTOR DN_FOUR_VECTORS
#include "kernels/body_panel_tile.h"
#define DN_TILED DN_NAMED(panels_2_2)
#define DN_EACH_ROW DN_TWO_ROWS
#define DN_EACH_VECTOR DN_TWO_VECTORS
#include "kernels/body_panel_tile.h"
#define DN_TILED DN_NAMED(panels_1_8)
#define DN_EACH_ROW DN_ONE_ROW
#define DN_EACH_VECTOR DN_EIGHT_VECTORS
#include "kernels/body_panel_tile.h"
#define DN_TILED DN_NAMED(panels_1_2)
#define DN_EACH_ROW DN_ONE_ROW
#define DN_EACH_VECTOR DN_TWO_VECTORS
#include "kernels/body_panel_tile.h"
#undef DN_LOAD
#undef DN_V
#undef DN_VECTOR
#undef DN_OF

static void DN_NAMED(map_panels)(const dn_panels *m) {
    int fours = m->rows - m->rows % 4, row = fours, column = 0;
    for (; column < m->columns && fours; column += 16) {
        for (int r = 0; r < fours; r += 4) DN_NAMED(panels_4_2)(m, r, column);
    }
    if (m->rows - row >= 2) {
        for (column = 0; column + 32 <= m->columns; column += 32) DN_NAMED(panels_2_4)(m, row, column);
        for (; column < m->columns; column += 16) DN_NAMED(panels_2_2)(m, row, column);
        row += 2;
    }
    if (m->rows - row) {
        for (column = 0; column + 64 <= m->columns; column += 64) DN_NAMED(panels_1_8)(m, row, column);
        for (; column < m->columns; column += 16) DN_NAMED(panels_1_2)(m, row, column);
    }
}
#endif
