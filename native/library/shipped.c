/* The list that shipped.sh writes has a line FILE(label, "path") for each file, and ONE(name, label) or
 * TWO(name, label, label, precision) for each model. */
#include "library/shipped.h"

#define BYTES(label) extern const unsigned char dn_file_##label[], dn_end_##label[];
#define FILE(label, path) BYTES(label)
#define ONE(name, label)
#define TWO(name, first, second, precision)
#include DN_SHIPPED_FILES
#undef ONE
#undef TWO
#undef FILE

#define FILE(label, path)
#define ONE(name, label) {name, dn_file_##label, dn_end_##label, NULL, NULL, DN_AS_STORED},
#define TWO(name, first, second, precision)                                                                            \
    {name, dn_file_##first, dn_end_##first, dn_file_##second, dn_end_##second, precision},

static const dn_shipped models[] = {
#include DN_SHIPPED_FILES
    {NULL, NULL, NULL, NULL, NULL, DN_AS_STORED}};

const dn_shipped *dn_shipped_model(int32_t index) {
    const int32_t count = (int32_t)(sizeof(models) / sizeof(models[0])) - 1;
    return index >= 0 && index < count ? &models[index] : NULL;
}
