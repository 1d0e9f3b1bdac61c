/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts of agent.conf's reader, private to this folder. A tree is libconfig's view
 * of a text that mk_text_scan has passed, with the line of each string attached.
 */
#ifndef MK_CONF_SECTIONS_H
#define MK_CONF_SECTIONS_H

#include "agent/conf/keys.h"
#include "mk/conf.h"

#define MK_AGENT_LISTENERS_MAX (MK_LISTENERS_MAX + 1) /* with admin */

/* Parses text into *tree, which the caller destroys whatever the result. */
mk_must mk_tree_read(struct mk_span text, const char *file, config_t *tree, struct mk_why *why);

/* Entries of `listeners` and `backends`; base is the struct mk_conf, whose arrays have room for all. */
extern const struct mk_list mk_listener_list;
extern const struct mk_list mk_backend_list;

/* The two listeners that always are: admin (gid -1: mode 0600), then api. */
mk_must mk_listeners_own(struct mk_reader *r, const config_setting_t *root, gid_t admin_gid, struct mk_conf *c);

/* And the third, where a service is known by its unit: systemd asks there for credentials. c->rules is read already. */
mk_must mk_listeners_credential(struct mk_conf *c, struct mk_why *why);

/* `kubernetes` (kubernetes.c): its keys, and what takes two of them to tell. */
extern const struct mk_section mk_kubernetes_section; /* struct mk_conf_kubernetes */
mk_must mk_kubernetes_check(struct mk_reader *r, const config_setting_t *root, struct mk_conf_kubernetes *k);

/* A backend's files must not be each other's, nor any other file of the configuration. */
mk_must mk_backends_apart(struct mk_reader *r, const config_setting_t *root, const struct mk_conf *c);

/* The proxy ("" for none) of all backends that are reached over a network. */
void mk_backends_proxy(struct mk_conf *c, const char proxy[MK_URL_MAX]);

#endif
