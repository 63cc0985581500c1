/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The skeleton of the BPF programs. bpftool 7.5 makes casts in it that clang warns of. */
#ifndef BPFREFS_SKELETON_H
#define BPFREFS_SKELETON_H

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wcast-align"
#include "walk.skel.h"
#pragma GCC diagnostic pop

#endif
