/* One of the two networks of a DTLN as an ONNX graph has it: where its weights are, and that it computes what
 * network_dtln.h does and nothing else. */
#ifndef DN_CORE_H
#define DN_CORE_H

#include "models/core_weights.h"

/* Recognises the graph of a file. DN_UNKNOWN_MODEL, with the reason, if there is a node in it of another network, or
 * sizes beyond most_width inputs and outputs and most_units. */
dn_status dn_core_recognise(dn_core *core, const dn_onnx *onnx, int most_width, int most_units, char *message);

#endif
