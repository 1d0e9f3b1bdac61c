/* SPDX-License-Identifier: Apache-2.0
 *
 * The kinds of values that name things at a store: addresses, paths, words of its own.
 * Looks at the text alone; asks no resolver.
 */
#include "agent/conf/store.h"

#include "agent/base/units.h"

#include <arpa/inet.h>

#define STRING (1u << CONFIG_TYPE_STRING)
#define HOLE "{connection}"
#define HOST_MAX 253

struct address {
	bool tls, loopback;
	size_t n; /* bytes up to the end of the port */
};

static bool host_ok(const char *host, size_t n, bool *ret_loopback)
{
	char name[HOST_MAX + 1];
	struct in6_addr a;
	if (n == 0 || n > HOST_MAX)
		return false;
	memcpy(name, host, n);
	name[n] = '\0';
	if (name[0] == '[' && name[n - 1] == ']') {
		name[n - 1] = '\0';
		*ret_loopback = strcmp(name + 1, "::1") == 0;
		return inet_pton(AF_INET6, name + 1, &a) == 1;
	}
	*ret_loopback = strcmp(name, "localhost") == 0 || (strncmp(name, "127.", 4) == 0 && inet_pton(AF_INET, name, &a) == 1);
	return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.") == n && name[0] != '.' && name[0] != '-';
}

static bool port_ok(const char *port, size_t n)
{
	uint32_t number = 0;
	return mk_u32_of(mk_span(port, n), &number) == MK_OK && number > 0 && number <= 65535;
}

/* "https://host:8200", with one "/" behind it at most. */
static bool address_of(const char *t, struct address *ret)
{
	const char *host = strstr(t, "://");
	struct address a = { .tls = strncmp(t, "https://", 8) == 0 };
	if (!a.tls && strncmp(t, "http://", 7) != 0)
		return false;
	host += 3;
	const size_t all = strcspn(host, "/");
	const char *v6 = memchr(host, ']', all), *colon = v6 ? v6 + 1 : memchr(host, ':', all);
	const size_t n_host = colon && colon < host + all ? (size_t)(colon - host) : all;
	if (host[all] == '/' && host[all + 1])
		return false;
	if (n_host < all && (host[n_host] != ':' || !port_ok(host + n_host + 1, all - n_host - 1)))
		return false;
	a.n = (size_t)(host - t) + all;
	if (a.n >= MK_URL_MAX || !host_ok(host, n_host, &a.loopback))
		return false;
	*ret = a;
	return true;
}

bool mk_address_is_loopback(const char *address)
{
	struct address a = { 0 };
	return address_of(address, &a) && a.loopback;
}

static void copy(void *at, const char *t, size_t n, size_t cap)
{
	memset(at, 0, cap);
	memcpy(at, t, n);
}

static enum mk_err read_store_address(struct mk_reader *r, const struct mk_key *k, const config_setting_t *s, void *at)
{
	struct address a;
	if (!address_of(mk_keys_text(s), &a))
		return mk_keys_unfit(r, k, s);
	if (!a.tls && !a.loopback)
		return mk_keys_refuse(r, s, "\"%s\" is http to another host, where anybody on the way could read the tokens: write https",
				      k->name);
	copy(at, mk_keys_text(s), a.n, MK_URL_MAX);
	return MK_OK;
}

static enum mk_err read_proxy(struct mk_reader *r, const struct mk_key *k, const config_setting_t *s, void *at)
{
	struct address a;
	if (!address_of(mk_keys_text(s), &a) || a.tls)
		return mk_keys_unfit(r, k, s);
	copy(at, mk_keys_text(s), a.n, MK_URL_MAX);
	return MK_OK;
}

/* Parts between single slashes, of visible characters that mean nothing in a URL. */
static bool route_ok(const char *t, size_t n)
{
	size_t part = 0, dots = 0;
	for (size_t i = 0; i <= n; i++) {
		if (i == n || t[i] == '/') {
			if (part == 0 || (dots == part && part <= 2))
				return false;
			part = dots = 0;
			continue;
		}
		if (t[i] <= ' ' || t[i] > '~' || strchr("\\?#%{}", t[i]))
			return false;
		part++;
		dots += t[i] == '.';
	}
	return true;
}

static enum mk_err read_route(struct mk_reader *r, const struct mk_key *k, const config_setting_t *s, void *at)
{
	const size_t n = strlen(mk_keys_text(s)), max = (size_t)k->max;
	if (n > max || !route_ok(mk_keys_text(s), n))
		return mk_keys_unfit(r, k, s);
	copy(at, mk_keys_text(s), n, max + 1);
	return MK_OK;
}

/* Ends in {connection}: a name then is the end of a key, and names are listed in the order of keys. */
static enum mk_err read_template(struct mk_reader *r, const struct mk_key *k, const config_setting_t *s, void *at)
{
	char probe[MK_STORE_PATH_MAX + 1];
	const size_t n = strlen(mk_keys_text(s)), max = (size_t)k->max, hole = strlen(HOLE);
	if (n > max || n > MK_STORE_PATH_MAX || n < hole || strcmp(mk_keys_text(s) + n - hole, HOLE) != 0)
		return mk_keys_unfit(r, k, s);
	memcpy(probe, mk_keys_text(s), n - hole);
	probe[n - hole] = 'x';
	if (!route_ok(probe, n - hole + 1))
		return mk_keys_unfit(r, k, s);
	copy(at, mk_keys_text(s), n, max + 1);
	return MK_OK;
}

static enum mk_err read_label(struct mk_reader *r, const struct mk_key *k, const config_setting_t *s, void *at)
{
	const size_t n = strlen(mk_keys_text(s)), max = (size_t)k->max;
	bool ok = n > 0 && n <= max;
	for (size_t i = 0; ok && i < n; i++)
		ok = mk_keys_text(s)[i] > ' ' && mk_keys_text(s)[i] <= '~';
	if (!ok)
		return mk_keys_unfit(r, k, s);
	copy(at, mk_keys_text(s), n, max + 1);
	return MK_OK;
}

const struct mk_kind mk_kind_store_address = { "an address such as \"https://vault.example:8200\", without user, path or parameters; "
					       "http only to this host", STRING, read_store_address };
const struct mk_kind mk_kind_proxy = { "a proxy's address such as \"http://proxy.example:3128\", without user or path", STRING, read_proxy };
const struct mk_kind mk_kind_route = { "a path at the store such as \"kv/team\": parts between single slashes, no blanks and none of "
				       "\\ ? # % { }", STRING, read_route };
const struct mk_kind mk_kind_template = { "a path at the store that ends in {connection}, such as \"makini/production/{connection}\"",
					  STRING, read_template };
const struct mk_kind mk_kind_label = { "a name at the store, without blanks", STRING, read_label };
