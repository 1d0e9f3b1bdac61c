/* SPDX-License-Identifier: Apache-2.0
 *
 * For the unit tests of the configuration: files of the source tree, and a directory of
 * one's own with the modes that a configuration must have.
 */
#ifndef MK_TEST_CONF_FILES_H
#define MK_TEST_CONF_FILES_H

#include "agent/base/file.h"
#include "agent/conf/conf.h"
#include "mk/own.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MK_SOURCE_DIR
#define MK_SOURCE_DIR "."
#endif
#define TEXT_MAX 65536

#define KEY "REPLACE/BY/WHAT/makinictl/audit/keygen/says="
/* The least that is a configuration. */
#define LEAST                                                                         \
	"environment = \"production\";\n"                                             \
	"backends = ( { name = \"a\"; type = \"local\"; file = \"store/s\"; key_file = \"keys/k\"; } );\n" \
	"audit = { recipient = \"" KEY "\"; };\n"

struct dir {
	char path[64];
};

static inline void path_in(const struct dir *d, const char *name, char out[256])
{
	snprintf(out, 256, "%s/%s", d->path, name);
}

static inline struct dir dir_new(void)
{
	struct dir d = { "/tmp/mk-conf-XXXXXX" };
	assert_non_null(mkdtemp(d.path));
	return d;
}

static inline void put(const struct dir *d, const char *name, const void *p, size_t n)
{
	char path[256];
	path_in(d, name, path);
	const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(fchmod(fd, 0644), 0);
	assert_int_equal(mk_write_all(fd, p, n), MK_OK);
	close(fd);
}

static inline void put_text(const struct dir *d, const char *name, const char *text)
{
	put(d, name, text, strlen(text));
}

static inline void dir_free(struct dir *d)
{
	DIR *list = opendir(d->path);
	assert_non_null(list);
	for (struct dirent *e = readdir(list); e; e = readdir(list)) {
		char path[512];
		snprintf(path, sizeof path, "%s/%.200s", d->path, e->d_name);
		if (e->d_name[0] != '.' || e->d_name[1] == '.')
			if (unlink(path) != 0)
				(void)rmdir(path);
	}
	closedir(list);
	(void)rmdir(d->path);
}

/* A file of the source tree; false where there is none. */
static inline bool source_text(const char *name, char out[TEXT_MAX], size_t *ret_n)
{
	char path[2048];
	snprintf(path, sizeof path, "%s/%s", MK_SOURCE_DIR, name);
	FILE *f = fopen(path, "re");
	if (!f)
		return false;
	*ret_n = fread(out, 1, TEXT_MAX - 1, f);
	out[*ret_n] = '\0';
	fclose(f);
	return true;
}

static inline void copy_source(const struct dir *d, const char *name, const char *from, const char *file)
{
	static char text[TEXT_MAX];
	char path[512];
	size_t n = 0;
	snprintf(path, sizeof path, "%s/%s", from, file);
	if (!source_text(path, text, &n))
		fail_msg("%s is not there", path);
	put(d, name, text, n);
}

/* Loads agent.conf of the directory. */
static inline enum mk_err load(const struct dir *d, struct mk_conf **ret, struct mk_why *why)
{
	char path[256];
	path_in(d, "agent.conf", path);
	return mk_conf_load(path, ret, why);
}

#endif
