/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef BPFREFS_DOT_NODE_H
#define BPFREFS_DOT_NODE_H

#include "text/picture.h"

/* Appends the statement of a group, the node that stands for all of it. */
void dot_node_add(GString *out, const struct picture *picture, uint32_t group);
/* Appends the name of the node of a group whose first member is node number @first. */
void dot_node_name(GString *out, const struct picture *picture, uint32_t first);
/* Appends, on a line of its own, where a holder that is no object is. False: it is nowhere. */
bool dot_node_place(GString *out, const struct bpfrefs_ref *ref);

#endif
