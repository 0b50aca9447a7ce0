/* The kernels in plain C, which every processor runs. */
#include "kernels/vec_scalar.h"

#define DN_TABLE dn_kernels_scalar
#define DN_TABLE_NAME "scalar"
#include "kernels/body.h"
