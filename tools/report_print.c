// SPDX-License-Identifier: GPL-2.0
/* samsara report: for people, for programs, and as a page. */
#include "report.h"

#define BAR_WIDTH	320.0	/* of the longest one on the page */
#define BAR_HEIGHT	16u

static double share(const struct table *t, u64 n)
{
	return t->total ? 100 * (double)n / (double)t->total : 0;
}

static void text_table(const struct table *t)
{
	u32 i;

	if (!t->total)
		return;
	printf("\n%s:\n", t->title);
	for (i = 0; i < t->nr; i++)
		printf("  %12llu %5.1f %%  %s\n", ULL(t->row[i].n), share(t, t->row[i].n),
		       t->row[i].label);
	printf("  %12llu %s\n", ULL(t->total), t->what);
}

void report_text(const struct report *rep)
{
	u32 i;

	printf("%s: %llu commits, log %llu bytes, %llu stored\n", rep->o->shown,
	       ULL(rep->s->commits), ULL(rep->totals.raw[SMR_SEG_STREAM]),
	       ULL(rep->totals.stored[SMR_SEG_STREAM]));
	for (i = 0; i < NR_TABLES; i++)
		text_table(&rep->table[i]);
	if (rep->s->dma_named)
		printf("\nread from disk images that are named: %llu bytes\n",
		       ULL(rep->s->dma_named));
}

static void json_table(struct json *j, const struct table *t)
{
	u32 i;

	json_open(j, t->key, '{');
	json_u64(j, "total", t->total);
	json_open(j, "rows", '[');
	for (i = 0; i < t->nr; i++) {
		json_open(j, NULL, '{');
		json_text(j, "name", t->row[i].label);
		json_u64(j, "count", t->row[i].n);
		json_close(j, '}');
	}
	json_close(j, ']');
	json_close(j, '}');
}

void report_json(const struct report *rep)
{
	struct json json = { .f = stdout, .lines = true }, *j = &json;
	u32 i;

	json_open(j, NULL, '{');
	json_text(j, "file", rep->o->file);
	json_u64(j, "commits", rep->s->commits);
	json_u64(j, "log_bytes", rep->totals.raw[SMR_SEG_STREAM]);
	json_u64(j, "log_stored", rep->totals.stored[SMR_SEG_STREAM]);
	json_u64(j, "named_bytes", rep->s->dma_named);
	for (i = 0; i < NR_TABLES; i++)
		json_table(j, &rep->table[i]);
	json_close(j, '}');
}

static void html_text(FILE *f, const char *text)
{
	for (; *text; text++) {
		if (strchr("&<>\"'", *text))
			fprintf(f, "&#%d;", *text);
		else
			fputc(*text, f);
	}
}

static void html_bar(FILE *f, double of_longest)
{
	fprintf(f, "<svg width=\"%.0f\" height=\"%u\"><rect width=\"%.1f\" height=\"%u\"/></svg>",
		BAR_WIDTH, BAR_HEIGHT, BAR_WIDTH * of_longest, BAR_HEIGHT);
}

static void html_table(FILE *f, const struct table *t)
{
	u64 longest = 1;
	u32 i;

	if (!t->total)
		return;
	for (i = 0; i < t->nr; i++)
		longest = t->row[i].n > longest ? t->row[i].n : longest;
	fprintf(f, "<h2>%s</h2>\n<table>\n", t->title);
	for (i = 0; i < t->nr; i++) {
		fprintf(f, "<tr><td>");
		html_text(f, t->row[i].label);
		fprintf(f, "</td><td>%llu</td><td>%.1f&nbsp;%%</td><td>", ULL(t->row[i].n),
			share(t, t->row[i].n));
		html_bar(f, (double)t->row[i].n / (double)longest);
		fprintf(f, "</td></tr>\n");
	}
	fprintf(f, "<tr><th>all</th><th>%llu</th><th></th><th>%s</th></tr>\n</table>\n",
		ULL(t->total), t->what);
}

/* All of it is in the page: a policy keeps a browser from asking anybody for more. */
void report_html(const struct report *rep, FILE *f)
{
	u32 i;

	fprintf(f, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
		"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n<title>");
	html_text(f, rep->o->shown);
	fprintf(f, "</title>\n<style>\n"
		"body { font: 14px sans-serif; margin: 2em; }\n"
		"td, th { padding: 1px 8px; text-align: right; }\n"
		"td:first-child, th:first-child, td:last-child, th:last-child { text-align: left; }\n"
		"rect { fill: #4682b4; }\nsvg { vertical-align: middle; }\n"
		"</style>\n</head>\n<body>\n<h1>");
	html_text(f, rep->o->shown);
	fprintf(f, "</h1>\n<p>%llu commits; the log has %llu bytes, %llu stored", ULL(rep->s->commits),
		ULL(rep->totals.raw[SMR_SEG_STREAM]), ULL(rep->totals.stored[SMR_SEG_STREAM]));
	if (rep->s->dma_named)
		fprintf(f, ", and names %llu bytes of disk images", ULL(rep->s->dma_named));
	fprintf(f, ".</p>\n");
	for (i = 0; i < NR_TABLES; i++)
		html_table(f, &rep->table[i]);
	fprintf(f, "</body>\n</html>\n");
}
