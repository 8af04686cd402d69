/* SPDX-License-Identifier: GPL-2.0 */
/* The command-line tool: what its commands share. */
#ifndef SAMSARA_H
#define SAMSARA_H

#include <stdio.h>

#include "smr_file.h"
#include "symbols.h"

#define SAMSARA_VERSION	"0.1"

/* For %llu. */
#define ULL(x)		((unsigned long long)(x))

enum exit_status {
	EXIT_OK		= 0,
	EXIT_DAMAGED	= 1,	/* cut or damaged, but a part can be replayed */
	EXIT_UNREADABLE	= 2,	/* no recording, or nothing of it can be replayed */
	EXIT_USAGE	= 64,
	/* of samsara diff */
	EXIT_DIFFERENT	= 1,
	/* of samsara replay, as QEMU's */
	EXIT_SETUP	= 1,
};

#define MAX_STREAMS	(SMR_FILE_MAX_VCPUS + 1)
#define ANY_STREAM	-1
#define VM_STREAM	-2

struct options {
	const char *file;
	const char *shown;	/* the same for a terminal */
	bool json;
	bool all;		/* info: counts and stored descriptions, too */
	int stream;		/* vCPU, ANY_STREAM, VM_STREAM */
	u64 from, to;
	bool perfetto;		/* export: a trace instead of what devices got */
	const char *html;	/* report: a page */
	const char *symbols_file;
	const struct symbols *symbols;	/* of that, NULL: none */
	const char *images;	/* pack, export: where disk images are, NULL: where they were */
	/* pack, cut, recover: the copy; export: a directory, or the trace; diff: the other one */
	const char *output;
	const char *output_shown;
};

int cmd_info(const struct options *o, struct smr_reader *r);
int cmd_dump(const struct options *o, struct smr_reader *r);
int cmd_verify(const struct options *o, struct smr_reader *r);
int cmd_pack(const struct options *o, struct smr_reader *r);
int cmd_cut(const struct options *o, struct smr_reader *r);
int cmd_recover(const struct options *o, struct smr_reader *r);
int cmd_diff(const struct options *o, struct smr_reader *r);
int cmd_report(const struct options *o, struct smr_reader *r);
int cmd_export(const struct options *o, struct smr_reader *r);
/* samsara export --perfetto */
int export_trace(const struct options *o, struct smr_reader *r);
/* Have options of their own. */
int cmd_hunt(int argc, char **argv);
int cmd_replay(int argc, char **argv);

/* An option's value: digits only, and no more than fits; @base as of strtoull(). */
bool get_number(const char *text, int base, u64 *v);

/*
 * The QEMU that can replay: @given, or $QEMU, or what is in PATH.  NULL after an error
 * message.
 */
const char *find_qemu(const char *given);
/* "KEY=VALUE", with each comma twice, as QEMU wants it.  Returns its end. */
char *put_value(char *p, const char *key, const char *value);

/* What a terminal may show of @text; free() it.  NULL: out of memory. */
char *printable(const char *text);

/* Of a commit, whether --from and --to want it. */
bool in_range(const struct options *o, u64 commit);

/*
 * Opens a file to write what is told of a recording, for its owner only.  An old one is
 * replaced, if it is no recording.  NULL after an error message.
 */
FILE *open_output(const char *path);
/* Returns false after an error message, if not all could be written. */
bool close_output(FILE *f, const char *path);

/* How much is done of a work that may take long: shown on a terminal only. */
void progress(u64 done, u64 total);
void progress_end(void);

/* Exit status for what can be replayed. */
int extent_status(const struct smr_extent *x);

/* A blob that is text; free() it.  NULL: there is none, or something else. */
char *read_text(const struct smr_reader *r, const char *name);
/* The first lines of samsara info. */
void print_summary(const struct options *o, const struct smr_reader *r,
		   const struct smr_extent *x, const struct smr_totals *t);

/* What is wrong with a recording, if anything. */
struct findings {
	struct smr_extent x;	/* replayable: up to what KVM can't have produced, too */
	u64 records, inputs;
	struct {
		const char *field;	/* NULL: all could be from KVM */
		u64 commit;
		u32 stream;
		bool inputs;		/* they can't even be decoded */
	} bad;			/* the first one */
};

int check_recording(struct smr_reader *r, struct findings *f, struct smr_err *err);

/*
 * Copies @r, which is worth @x, to a new recording in @path: commits up to @limit; all and the
 * end, if that is all there are.  With @images, what was read from them is in the copy.
 * Returns 0, or an error and there is no such file.
 */
int copy_recording(const struct smr_reader *r, const struct smr_extent *x,
		   const struct smr_images *images, u64 limit, const char *path,
		   struct smr_err *err);

/* All records of a recording, merged into commit order. */
struct event {
	u32 stream;
	bool vm;		/* the VM's stream */
	u64 offset;		/* of the segment it is in */
	u32 time_ms;		/* when that was written */
	const u8 *bytes;	/* the record */
	u32 len;		/* of it */
	const struct smr_record *rec;
	bool inputs_bad;	/* rec->data does not hold input items */
	const char *impossible;	/* first field that KVM can't have produced, or NULL */
	u32 nr_inputs;
	u64 tsc;		/* the stream's last time stamp before this record */
};

struct head {
	struct smr_log *log;
	struct smr_record rec;
	const u8 *bytes;
	u32 len;
	bool have;
	u64 tsc;
};

struct walk {
	u32 nr;
	struct head head[MAX_STREAMS];
	int stale;		/* head to advance before the next event, -1: none */
	struct smr_err damage;	/* first of all streams */
	u64 size;		/* of the file */
	u64 events;		/* so far */
	bool silent;		/* tells no progress */
	u64 expected;		/* commit */
	u64 missing;		/* first commit that was not there, 0: none */
	bool inputs_bad;	/* those of an event */
};

/* Damage in a stream ends that stream only.  @limit as smr_log_open(); @images may be NULL. */
int walk_open(struct walk *w, const struct smr_reader *r, u64 limit,
	      const struct smr_images *images, struct smr_err *err);
/* 1, 0: no more, error.  The event is valid until the next call. */
int walk_next(struct walk *w, struct event *ev, struct smr_err *err);
void walk_close(struct walk *w);
/* Says what was wrong with the events that there were.  Returns an exit status. */
int walk_status(const struct walk *w, const struct smr_reader *r, const char *shown);
/* The records of one stream only. */
int walk_open_stream(struct walk *w, const struct smr_reader *r, u32 stream, u64 limit,
		     struct smr_err *err);

/* JSON, one value after the other. */
struct json {
	FILE *f;
	bool comma;
	bool lines;		/* newline and indentation between members */
	int depth;
};

void json_open(struct json *j, const char *key, char bracket);
void json_close(struct json *j, char bracket);
void json_u64(struct json *j, const char *key, u64 v);
void json_s64(struct json *j, const char *key, s64 v);
void json_hex(struct json *j, const char *key, u64 v);	/* a string: "0x..." */
void json_bool(struct json *j, const char *key, bool v);
void json_real(struct json *j, const char *key, double v);
void json_text(struct json *j, const char *key, const char *s);
void json_bytes(struct json *j, const char *key, const u8 *p, u32 len);

/* What is injected: "interrupt". */
const char *event_kind(u32 intr_info);
/* A line for it, and an object. */
void print_event(const struct event *ev, const struct symbols *symbols);
void json_event(struct json *j, const char *key, const struct event *ev,
		const struct symbols *symbols);

#endif /* SAMSARA_H */
