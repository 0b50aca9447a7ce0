/* Traits of the families of networks, all in which they differ: a model has those of its own. */
#ifndef DN_FAMILY_H
#define DN_FAMILY_H

#include "frame_features.h"
#include "network.h"

typedef struct {
    dn_family family;
    size_t size;                 /* bytes of its network, which begins with a dn_network */
    dn_samples_run *run_samples; /* of a network that takes samples; NULL: it has all that follows up to run */
    dn_hops_run *run_hops;       /* of one that takes hops of its own length; it has nothing of that either */
    const dn_band_layout *bands;
    int features; /* values that the network sees of a frame, DN_MAX_FEATURES or fewer */
    dn_make_features *make_features;
    int look_ahead; /* frames by which the network sees further than the frame that its gains act on: 0 or 1 */
    dn_network_run *run;
    int rate;   /* Hz; 0: DN_RATE */
    float most; /* magnitude of a number in a channel's memory that restoring takes for sound */

    /* NULL of a network that lies in more than one file. Reads a network of that size, all zero, out of a file; after a
     * failure too it is to be discarded. */
    dn_status (*read)(dn_network *net, const void *data, size_t size, uint32_t *fingerprint, char *message);
    void (*discard)(dn_network *net); /* all that it has allocated; not itself */

    /* Parts of it, by index; NULL where it has none of the sort. */
    dn_layer (*layer)(const dn_network *net, int index);
    dn_map (*map)(const dn_network *net, int index);
} dn_traits;

const dn_traits *dn_family_traits(dn_family family);

#endif
