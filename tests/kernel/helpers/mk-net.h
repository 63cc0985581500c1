/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The commands of mk-net that speak to netfilter. */
#ifndef MK_NET_H
#define MK_NET_H

int mk_xt(int prog, char **args);
int mk_nft(int prog, char **args);

#endif
