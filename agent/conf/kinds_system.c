/* SPDX-License-Identifier: Apache-2.0
 *
 * The kinds of values that name things of the system: paths, users, groups, addresses
 * and public keys. Asks the user database, and nothing else outside the text.
 */
#include "agent/conf/keys.h"

#include "agent/base/file.h"
#include "agent/base/units.h"

#include <arpa/inet.h>
#include <grp.h>
#include <pwd.h>
#include <sodium.h>
#include <sys/socket.h>

#define NOBODY 65534u       /* what an unmapped uid or gid looks like */
#define ENTRY_MAX 16384     /* bytes of one entry of the user database; larger groups: by number */
#define STRING (1u << CONFIG_TYPE_STRING)
#define INT (1u << CONFIG_TYPE_INT)

/* "a//b/./c/" is "a/b/c": two spellings of one path must be seen to be one. */
static void tidy(char *path)
{
	char *to = path;
	for (const char *from = path; *from;) {
		if (from[0] == '/' && from[1] == '/')
			from++;
		else if (from[0] == '/' && from[1] == '.' && (from[2] == '/' || !from[2]))
			from += 2;
		else
			*to++ = *from++;
	}
	if (to > path + 1 && to[-1] == '/')
		to--;
	if (to == path)
		*to++ = '/';
	*to = '\0';
}

/* A ".." begins here: with it, two spellings of one path could not be seen to be one. */
static bool climbs(const char *path, const char *at)
{
	return (at == path || at[-1] == '/') && at[0] == '.' && at[1] == '.' && (at[2] == '/' || !at[2]);
}

static enum mk_err read_path_from(struct mk_reader *r, const struct mk_key *k, const config_setting_t *s, void *at,
				  const char *dir)
{
	char path[MK_PATH_MAX] = { 0 };
	const char *p = mk_keys_text(s);
	if (!p[0])
		return mk_keys_unfit(r, k, s);
	for (const char *c = p; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f || climbs(p, c))
			return mk_keys_unfit(r, k, s);
	if (mk_path_join(dir, p, path, sizeof path) != MK_OK)
		return mk_keys_refuse(r, s, "\"%s\" is too long: at most %d bytes with its directory", k->name,
				      MK_PATH_MAX - 1);
	tidy(path);
	memcpy(at, path, sizeof path);
	return MK_OK;
}

static enum mk_err read_path(struct mk_reader *r, const struct mk_key *k, const config_setting_t *s, void *at)
{
	return read_path_from(r, k, s, at, r->dir);
}

static enum mk_err read_store(struct mk_reader *r, const struct mk_key *k, const config_setting_t *s, void *at)
{
	return read_path_from(r, k, s, at, r->state_dir);
}

/* A number, or digits in quotes for what 31 bits do not hold. False for anything else. */
static bool number(const config_setting_t *s, uint32_t *ret)
{
	if (config_setting_type(s) == CONFIG_TYPE_STRING)
		return mk_u32_of(mk_span_of(mk_keys_text(s)), ret) == MK_OK;
	const int n = config_setting_get_int(s);
	*ret = (uint32_t)n;
	return n >= 0;
}

static enum mk_err check_id(struct mk_reader *r, const struct mk_key *k, const config_setting_t *s, uint32_t id)
{
	if (id == NOBODY || id == UINT32_MAX)
		return mk_keys_refuse(r, s, "\"%s\" is %u, which is nobody: it is what every unmapped caller looks like; "
				      "name an account of the service's own",
				      k->name, id);
	return MK_OK;
}

static enum mk_err read_uid(struct mk_reader *r, const struct mk_key *k, const config_setting_t *s, void *at)
{
	uint32_t n = 0;
	if (!number(s, &n))
		return config_setting_type(s) == CONFIG_TYPE_STRING
			       ? mk_keys_unfit(r, k, s)
			       : mk_keys_refuse(r, s, "\"%s\" must not be negative", k->name);
	MK_TRY(check_id(r, k, s, n));
	memcpy(at, &(uid_t){ n }, sizeof(uid_t));
	return MK_OK;
}

static enum mk_err read_user(struct mk_reader *r, const struct mk_key *k, const config_setting_t *s, void *at)
{
	char buf[ENTRY_MAX], shown[MK_SHOWN_MAX];
	struct passwd pw, *found = NULL;
	if (r->in_pod)
		return mk_keys_refuse(r, s, "\"user\" names an account of this container, not of the caller's: in a pod write "
				      "uid, the number that is the caller's runAsUser");
	if (getpwnam_r(mk_keys_text(s), &pw, buf, sizeof buf, &found) != 0)
		return mk_keys_refuse(r, s, "user \"%s\" could not be looked up: mend the user database, or write uid",
				      mk_shown(mk_keys_text(s), shown));
	if (!found)
		return mk_keys_refuse(r, s, "there is no user \"%s\" on this host: create it, or correct the name",
				      mk_shown(mk_keys_text(s), shown));
	MK_TRY(check_id(r, k, s, pw.pw_uid));
	memcpy(at, &pw.pw_uid, sizeof pw.pw_uid);
	return MK_OK;
}

static enum mk_err group_by_name(struct mk_reader *r, const config_setting_t *s, gid_t *ret)
{
	char buf[ENTRY_MAX], shown[MK_SHOWN_MAX];
	struct group gr, *found = NULL;
	if (getgrnam_r(mk_keys_text(s), &gr, buf, sizeof buf, &found) != 0)
		return mk_keys_refuse(r, s, "group \"%s\" could not be looked up: mend the user database, or write its number",
				      mk_shown(mk_keys_text(s), shown));
	if (!found)
		return mk_keys_refuse(r, s, "there is no group \"%s\" here: create it, correct the name, or write its number",
				      mk_shown(mk_keys_text(s), shown));
	*ret = gr.gr_gid;
	return MK_OK;
}

/* By name; by number where there is no user database that knows it, as in a pod. */
static enum mk_err read_group(struct mk_reader *r, const struct mk_key *k, const config_setting_t *s, void *at)
{
	uint32_t n = 0;
	gid_t gid = 0;
	if (number(s, &n))
		gid = n;
	else if (config_setting_type(s) == CONFIG_TYPE_STRING)
		MK_TRY(group_by_name(r, s, &gid));
	else
		return mk_keys_refuse(r, s, "\"%s\" must not be negative", k->name);
	MK_TRY(check_id(r, k, s, gid));
	memcpy(at, &gid, sizeof gid);
	return MK_OK;
}

/* A point of small order would make every sealing key public. */
static bool usable(const uint8_t key[32])
{
	static const uint8_t scalar[32] = { 9 };
	uint8_t out[32];
	return crypto_scalarmult(out, scalar, key) == 0;
}

static enum mk_err read_key32(struct mk_reader *r, const struct mk_key *k, const config_setting_t *s, void *at)
{
	uint8_t key[32];
	size_t n = 0;
	const char *t = mk_keys_text(s);
	if (sodium_base642bin(key, sizeof key, t, strlen(t), NULL, &n, NULL, sodium_base64_VARIANT_ORIGINAL) != 0 ||
	    n != sizeof key)
		return mk_keys_unfit(r, k, s);
	if (!usable(key))
		return mk_keys_refuse(r, s, "\"%s\" is no usable key: make one with `makinictl audit keygen FILE` and put what "
				      "it prints here",
				      k->name);
	memcpy(at, key, sizeof key);
	return MK_OK;
}

/* Splits "[host]:port" or "host:port"; host has room for INET6_ADDRSTRLEN. */
static bool split_address(const char *t, char host[INET6_ADDRSTRLEN], bool *ret_v6, uint32_t *ret_port)
{
	const char *colon = strrchr(t, ':');
	if (!colon || mk_u32_of(mk_span_of(colon + 1), ret_port) != MK_OK || *ret_port == 0 || *ret_port > 65535)
		return false;
	size_t n = (size_t)(colon - t);
	*ret_v6 = n > 2 && t[0] == '[' && t[n - 1] == ']';
	if (*ret_v6) {
		t++;
		n -= 2;
	}
	if (n == 0 || n >= INET6_ADDRSTRLEN)
		return false;
	memcpy(host, t, n);
	host[n] = '\0';
	return true;
}

static enum mk_err read_address(struct mk_reader *r, const struct mk_key *k, const config_setting_t *s, void *at)
{
	union {
		struct sockaddr_storage any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} a = { .any = { .ss_family = AF_UNSPEC } };
	char host[INET6_ADDRSTRLEN] = "";
	bool is_v6 = false;
	uint32_t port = 0;
	if (strcmp(mk_keys_text(s), "none") != 0) {
		if (!split_address(mk_keys_text(s), host, &is_v6, &port) ||
		    inet_pton(is_v6 ? AF_INET6 : AF_INET, host, is_v6 ? (void *)&a.v6.sin6_addr : &a.v4.sin_addr) != 1)
			return mk_keys_unfit(r, k, s);
		a.any.ss_family = is_v6 ? AF_INET6 : AF_INET;
		*(is_v6 ? &a.v6.sin6_port : &a.v4.sin_port) = htons((uint16_t)port);
	}
	memcpy(at, &a.any, sizeof a.any);
	return MK_OK;
}

const struct mk_kind mk_kind_path = { "a path in quotes, without \"..\" and control characters", STRING, read_path };
const struct mk_kind mk_kind_store = { "a path in quotes, without \"..\" and control characters", STRING, read_store };
const struct mk_kind mk_kind_user = { "a user's name in quotes", STRING, read_user };
const struct mk_kind mk_kind_uid = { "a uid: a number, or digits in quotes", STRING | INT, read_uid };
const struct mk_kind mk_kind_group = { "a group's name in quotes, or its number", STRING | INT, read_group };
const struct mk_kind mk_kind_key32 = { "a public key in base64 (44 characters), as `makinictl audit keygen FILE` prints it", STRING,
				       read_key32 };
const struct mk_kind mk_kind_address = { "an address with its port, such as \"127.0.0.1:9464\" or \"[::1]:9464\", or \"none\"",
					 STRING, read_address };
