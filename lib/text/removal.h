/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command that removes a reference, in the making. A holder class writes it (removes in struct
 * holder_class) by these functions, and free.sh shows it. Every word that comes from the kernel or from
 * a path goes through removal_word(), which quotes it for sh.
 */
#ifndef BPFREFS_REMOVAL_H
#define BPFREFS_REMOVAL_H

#include "procfs/enter.h"

enum removal_how {
	/* nothing was written: the reference ends with its holder, a process or an object */
	REMOVAL_BY_HOLDER,
	REMOVAL_COMMAND,
	/* the same, but the reader must complete it or decide: it is shown as a comment */
	REMOVAL_SUGGESTION,
	REMOVAL_FOLLOWS, /* it ends with another reference that the script removes */
	REMOVAL_NO_WAY,	 /* no command can remove it */
	REMOVAL_NEVER,	 /* it stays as long as the kernel runs */
};

struct removal {
	const struct bpfrefs_snapshot *snap;
	struct enter *enter;
	const struct bpfrefs_script_options *options;
	enum removal_how how;
	GString *command; /* the words, quoted, each after a blank */
	GString *note;	  /* a sentence for a comment; may be empty */
};

/* The variable that has a newline, where a word ends with one. */
#define REMOVAL_NEWLINE "$nl"

/*
 * Appends a word of sh: a blank, and @word in quotes if it needs them. Control characters and what is not
 * ASCII are made by printf(1), so that a terminal shows what the script does, and a command is one line.
 */
void removal_quote(GString *out, const char *word);

/* Append words to the command. */
void removal_word(struct removal *removal, const char *word);
void removal_words(struct removal *removal, ...) G_GNUC_NULL_TERMINATED;
void removal_number(struct removal *removal, uint64_t number);
/*
 * Append the value of a field. If it is absent or not known, the command becomes a suggestion that
 * names what is missing.
 */
void removal_field(struct removal *removal, const struct bpfrefs_ref *ref, unsigned int field);
/* "id 12" */
void removal_id(struct removal *removal, struct bpfrefs_key key);
/*
 * Has the rest of the command run in a network namespace (nsenter(1)), unless the caller of bpfrefs is
 * in it.
 */
void removal_in_netns(struct removal *removal, const struct bpfrefs_ref *ref, unsigned int field);
/* The key of a map's slot, as bpftool-map(8) takes it, from a field as HELD_SLOT. */
void removal_map_key(struct removal *removal, const struct bpfrefs_ref *ref, unsigned int field);

/* The name of the script's function that removes a pin. */
#define REMOVAL_UNPIN "unpin"
/* Removes a pin, whose reference has a place, by a path that leads to it. */
void removal_pin(struct removal *removal, const struct bpfrefs_ref *ref, const char *path);

/* Appends the assignment of that variable, if @words need it. */
void removal_newline(GString *out, const char *words);
/*
 * Appends what stands before the steps: the variable "file", the path of free.sh of the object below
 * @mountpoint; the function above, if a step needs it; and a check that this file has the same commands
 * when the script runs. Many commands say where something is and not what, so that a second run, or a
 * late one, would remove what is there by then.
 */
void removal_check(GString *out, const char *steps, const char *mountpoint,
		   struct bpfrefs_key object);

/* Sets what becomes of the reference, and a sentence that says why. @note is a constant. */
void removal_set(struct removal *removal, enum removal_how how, const char *note);
/* Has the command shown as a comment, for a reason. */
void removal_suggest(struct removal *removal, const char *why);

/* For classes of what only processes hold: writes nothing. */
void removal_by_process(struct removal *removal, const struct bpfrefs_ref *ref);

/* Returns false if a name is not one that nft(8) can write: it has no quotes for names. */
bool removal_is_plain(struct bpfrefs_value name);

#endif
